import t from 'tap';
import { hostOf, isLoopbackHost } from '../../daemon/admin/guard.js';
import { ask, json } from './client.js';
import { startHarness } from './fixture.js';

t.test('host of a Host field', async (t) => {
  const cases: [string | undefined, string | undefined, boolean][] = [
    ['localhost', 'localhost', true],
    ['LOCALHOST:9480', 'localhost', true],
    ['127.0.0.1:9480', '127.0.0.1', true],
    ['127.9.9.9', '127.9.9.9', true],
    ['[::1]:9480', '::1', true],
    ['sluice.localhost:80', 'sluice.localhost', true],
    ['evil.example:9480', 'evil.example', false],
    ['localhost.evil.example', 'localhost.evil.example', false],
    ['127.0.0.1.evil.example', '127.0.0.1.evil.example', false],
    ['[::2]', '::2', false],
    ['10.0.0.1', '10.0.0.1', false],
    ['user@localhost', undefined, false],
    ['localhost:9480:9480', undefined, false],
    ['', undefined, false],
    [undefined, undefined, false],
  ];
  for (const [field, host, loopback] of cases) {
    t.equal(hostOf(field), host, `${field}`);
    t.equal(isLoopbackHost(hostOf(field)), loopback, `${field}`);
  }
});

t.test('a name that was rebound to the loopback gets nothing', async (t) => {
  const { admin, close } = await startHarness();
  t.teardown(close);
  for (const path of ['/', '/v1/status', '/nothing', '/v1/channels/news']) {
    const answer = await ask(`${admin.url}${path}`, { headers: { host: 'rebound.example:9480' } });
    t.equal(answer.status, 421, path);
    t.match(json(answer), { code: 'REQUEST_REFUSED', details: { field: 'host' } });
  }
});

t.test('a foreign page cannot stop the daemon', async (t) => {
  const { admin, stops, close } = await startHarness();
  t.teardown(close);
  const own = new URL(admin.url).host;
  const post = (headers: Record<string, string>) => ask(`${admin.url}/v1/stop`, { method: 'POST', headers });
  const foreign: Record<string, string>[] = [
    { origin: 'http://evil.example' },
    { origin: 'null' },
    { origin: 'http://127.0.0.1:1' },
    { origin: `https://${own}` },
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
  ];
  for (const headers of foreign) {
    const answer = await post(headers);
    t.equal(answer.status, 403, JSON.stringify(headers));
    t.equal(json<{ code: string }>(answer).code, 'REQUEST_REFUSED');
    t.notOk(answer.headers['access-control-allow-origin']);
  }
  t.same(stops, []);
  t.equal((await post({ origin: `http://${own}`, 'sec-fetch-site': 'same-origin' })).status, 202, 'our own page may');
});

t.test('a foreign page may not read, either: no CORS field, no framing', async (t) => {
  const { admin, close } = await startHarness();
  t.teardown(close);
  const answer = await ask(`${admin.url}/v1/status`, { headers: { origin: 'http://evil.example' } });
  t.equal(answer.headers['access-control-allow-origin'], undefined);
  t.equal(answer.headers['cross-origin-resource-policy'], 'same-origin');
  t.equal(answer.headers['x-content-type-options'], 'nosniff');
});
