import { test } from 'tap';
import { changeRows, diff } from '../../daemon/config/diff.js';
import { printable } from '../../daemon/config/printable.js';
import { parseSettings } from '../../daemon/settings.js';

const channel = (id: string, more = '', url = 'http://x.example/y.ts'): string =>
  `{ id: ${id}, renditions: [{ id: r, url: "${url}" }]${more} }`;
const settings = (channels: readonly string[], more = ''): unknown =>
  parseSettings(`${more}\nchannels: [${channels.join(', ')}]`, 'f.yaml');

test('the same, in whatever order and with defaults written out, is no difference', async (t) => {
  t.same(diff(settings([channel('a'), channel('b')]), settings([channel('b'), channel('a')])), []);
  const written = 'http: { listen: ["0.0.0.0:8080"], idle_timeout: 1m }\nlog: { level: info }';
  t.same(diff(settings([channel('a')]), settings([channel('a', ', hls: { segment: 2s }')], written)), []);
});

test('what is different is named by ids, with both values', async (t) => {
  const old = settings([channel('a'), channel('b', ', name: B')], 'http: { idle_timeout: 10s }');
  const next = settings(
    [channel('c'), channel('a', ', name: A, hls: { window: 9 }', 'http://x.example/z.ts')],
    'http: { listen: ["0.0.0.0:8080", "[::]:8080"] }\nadmin: { socket: null }',
  );
  t.same(diff(old, next), [
    { key: 'admin.socket', kind: 'added', old: null, new: null },
    { key: 'http.listen', kind: 'changed', old: ['0.0.0.0:8080'], new: ['0.0.0.0:8080', '[::]:8080'] },
    { key: 'http.idle_timeout', kind: 'changed', old: 10_000, new: 60_000 },
    { key: 'channels[a].hls.window', kind: 'changed', old: 6, new: 9 },
    {
      key: 'channels[a].renditions[r].url',
      kind: 'changed',
      old: 'http://x.example/y.ts',
      new: 'http://x.example/z.ts',
    },
    { key: 'channels[a].name', kind: 'added', old: null, new: 'A' },
    {
      key: 'channels[b]',
      kind: 'removed',
      old: {
        id: 'b',
        name: 'B',
        hls: { segment: 2000, window: 6 },
        smoothing: { threshold: 20, max_delay: 200 },
        renditions: [
          {
            id: 'r',
            url: 'http://x.example/y.ts',
            format: 'auto',
            numbering: 'rtp',
            buffer: { memory: 33_554_432, delay: 300 },
          },
        ],
      },
      new: null,
    },
    { key: 'channels[c]', kind: 'added', old: null, new: printable((next as { channels: unknown[] }).channels[0]) },
  ]);
});

test('secrets are told apart and never shown', async (t) => {
  const old = {
    tokens: ['one', 'two'],
    signing_key: 'abc',
    tls: { certificate: '/a.pem', password: 'p1' },
    sites: [{ id: 's', origin: 'http://user:p1@x.example/a?token=t1&quality=2', nested: { token: { value: 'v1' } } }],
  };
  const next = {
    tokens: ['one', 'three'],
    signing_key: 'abd',
    tls: { certificate: '/b.pem', password: 'p2' },
    sites: [{ id: 's', origin: 'http://user:p2@x.example/a?token=t2&quality=2', nested: { token: { value: 'v2' } } }],
  };
  const changes = diff(old, next);
  t.same(
    changes.map(({ key }) => key),
    ['tokens', 'signing_key', 'tls.certificate', 'tls.password', 'sites[s].origin', 'sites[s].nested.token'],
  );
  t.notMatch(JSON.stringify(changes), /one|two|three|ab[cd]|p[12]|t[12]"|v[12]/);
  t.match(JSON.stringify(changes), /a\.pem.*b\.pem/);
  const origin = 'http://***@x.example/a?token=***&quality=2';
  t.same(changes[4], { key: 'sites[s].origin', kind: 'changed', old: origin, new: origin });
  t.notMatch(JSON.stringify(printable([old, next])), /one|two|three|ab[cd]|p[12]|t[12]"|v[12]/);
});

test('what is printable stays as it is, so that it can be compared with what a daemon tells', async (t) => {
  const source = 'http://u:secret@x.example/live.m3u8?token=abc';
  const checked = settings([channel('a', '', source), channel('b', '', 'rtp://192.0.2.1@232.1.1.1:5000?iface=lo')]);
  const shown = printable(checked);
  t.same(printable(JSON.parse(JSON.stringify(shown))), shown);
  t.same(diff(JSON.parse(JSON.stringify(shown)), printable(checked)), []);
  t.match(JSON.stringify(shown), /"rtp:\/\/192\.0\.2\.1@232\.1\.1\.1:5000\?iface=lo"/);
  t.notMatch(JSON.stringify(shown), /secret|abc/);
});

test('origins of sites are URLs, and the fields sent to them may be secrets', async (t) => {
  const site = (origin: string, headers: string): unknown =>
    parseSettings(`sites: [{ id: s, origin: "${origin}", headers: { ${headers} } }]`, 'f.yaml');
  const old = site('http://x.example/a/', 'authorization: Bearer one, x-api-key: two, accept-language: en');
  const next = site('http://u:three@x.example/b/', 'authorization: Bearer four, x-api-key: five, accept-language: de');
  t.same(diff(old, next), [
    { key: 'sites[s].origin', kind: 'changed', old: 'http://x.example/a/', new: 'http://***@x.example/b/' },
    { key: 'sites[s].headers.authorization', kind: 'changed', old: '***', new: '***' },
    { key: 'sites[s].headers.x-api-key', kind: 'changed', old: '***', new: '***' },
    { key: 'sites[s].headers.accept-language', kind: 'changed', old: 'en', new: 'de' },
  ]);
  t.same(diff(printable(old), printable(next)).length, 2, 'without the secrets that a daemon does not tell');
});

test('a table of changes', async (t) => {
  const changes = diff({ a: 1, b: ['x'], long: 'l' }, { a: 2, c: 'y'.repeat(100), long: 'm' });
  t.same(changeRows(changes), {
    columns: ['change', 'key', 'running', 'new'],
    rows: [
      { change: 'changed', key: 'a', running: '1', new: '2' },
      { change: 'removed', key: 'b', running: '["x"]', new: null },
      { change: 'changed', key: 'long', running: 'l', new: 'm' },
      { change: 'added', key: 'c', running: null, new: `${'y'.repeat(59)}…` },
    ],
  });
});
