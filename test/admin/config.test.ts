import t, { type Test } from 'tap';
import { SluiceError } from '../../daemon/base/errors.js';
import { ask, json } from './client.js';
import { PlannedSource, startHarness, TWO_CHANNELS } from './fixture.js';

const type = { 'content-type': 'application/json' };

async function harness(
  t: Test,
  load: () => Promise<object>,
): Promise<{ readonly url: string; readonly post: (body?: string) => ReturnType<typeof ask> }> {
  const { admin, close } = await startHarness(new PlannedSource(TWO_CHANNELS), undefined, { file: 'f.yaml', load });
  t.teardown(close);
  const post = (body?: string) =>
    ask(`${admin.url}/v1/reload`, { method: 'POST', ...(body === undefined ? {} : { headers: type, body }) });
  return { url: admin.url, post };
}

t.test('a reload is answered with its outcome; the running configuration is told without secrets', async (t) => {
  const { url, post } = await harness(t, async () => ({}));
  t.same(json(await post()), { outcome: 'unchanged', file: 'f.yaml', changes: [], steps: [] });
  t.same(json(await post('{"dry_run":true}')), { outcome: 'unchanged', file: 'f.yaml', changes: [], steps: [] });
  t.same(json(await ask(`${url}/v1/config`)), { file: 'f.yaml', config: {}, reloadable: [] });
  t.match((await ask(`${url}/metrics`)).text, /^sluice_config_reloads_total\{result="unchanged"\} 1$/m);
  const stamp = /^sluice_config_last_reload_timestamp_seconds (\S+)$/m.exec((await ask(`${url}/metrics`)).text)?.[1];
  t.ok(Math.abs(Number(stamp) - Date.now() / 1000) < 60, `${stamp} is in seconds since 1970`);
});

t.test('refusals have a status of their own, a code and the facts', async (t) => {
  const problems = [{ line: 2, column: 3, key: 'http', message: 'wrong' }];
  const outcomes: (() => object)[] = [
    () => ({ plane: { memory: 1 }, tls: { key: 'abc' } }),
    () => {
      throw new SluiceError('CONFIG_INVALID', 'f.yaml:2:3: http: wrong', { file: 'f.yaml', problems });
    },
    () => {
      throw new SluiceError('CONFIG_UNREADABLE', 'f.yaml: there is no such file');
    },
    () => {
      throw new SluiceError('ADDRESS_IN_USE', 'listening on 127.0.0.1:80');
    },
    () => {
      throw new Error('secret detail');
    },
  ];
  const { post } = await harness(t, async () => outcomes.shift()?.() ?? {});
  const restart = await post();
  t.equal(restart.status, 409);
  t.match(json(restart), {
    code: 'RELOAD_NEEDS_RESTART',
    details: { keys: ['plane', 'tls'], changes: [{ key: 'plane' }, {}] },
  });
  t.notMatch(restart.text, /abc/);
  const invalid = await post();
  t.equal(invalid.status, 422);
  t.match(json(invalid), { code: 'CONFIG_INVALID', message: /2:3/, details: { problems } });
  t.match([(await post()).status, (await post()).status], [422, 409]);
  const defect = await post();
  t.equal(defect.status, 500);
  t.notMatch(defect.text, /secret/);
});

t.test('bad requests reload nothing', async (t) => {
  let loads = 0;
  const { post } = await harness(t, async () => {
    loads += 1;
    return {};
  });
  for (const body of ['{', '{"dryrun":true}', '{"dry_run":"yes"}', '[]']) t.equal((await post(body)).status, 400, body);
  t.equal(loads, 0);
});
