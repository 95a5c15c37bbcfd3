import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { SluiceError } from '../../daemon/base/errors.js';
import { schemaText } from '../../daemon/cli/check.js';
import { ROOT } from '../../daemon/cli/root.js';
import { loadSettings, parseSettings } from '../../daemon/settings.js';

const FOLDER = join(ROOT, 'config');

test('every shipped example is a good configuration', async (t) => {
  const files = readdirSync(FOLDER).filter((name) => name.endsWith('.yaml'));
  t.ok(files.includes('demo.yaml') && files.includes('sluice.yaml'));
  for (const file of files) {
    const settings = await loadSettings(join(FOLDER, file));
    t.ok(settings.channels.length + settings.flows.length + settings.interfaces.length > 0, file);
    t.ok(Object.isFrozen(settings.channels) && Object.isFrozen(settings.flows[0]?.receivers), `${file} is frozen`);
  }
});

test('sluice.yaml names every default as it is', async (t) => {
  const complete = await loadSettings(join(FOLDER, 'sluice.yaml'));
  const least = parseSettings(
    'channels: [{ id: a, renditions: [{ id: b, url: http://x.example/y.ts }] }]',
    'least.yaml',
  );
  t.same(complete.http, least.http);
  t.same(complete.plane, least.plane);
  t.same(complete.objects, least.objects);
  const site = parseSettings('sites: [{ id: vod, origin: http://origin-a.example/vod/ }]', 'site.yaml').sites[0];
  t.same(complete.sites[0], site);
  t.same(complete.log, least.log);
  t.same(complete.membership, least.membership);
  const multicast = await loadSettings(join(FOLDER, 'multicast.yaml'));
  const defaults = parseSettings('interfaces: [{ name: eth1, hosts: {}, pim: {} }]', 'i.yaml').interfaces[0];
  t.same(multicast.interfaces[1]?.hosts, defaults?.hosts);
  t.same(multicast.interfaces[0]?.pim, defaults?.pim);
  const receiver = '{ id: box-1, to: "192.0.2.7:6000" }';
  const flow = parseSettings(
    `flows: [{ id: studio-a, input: "rtp://239.1.2.1:5004", receivers: [${receiver}] }]`,
    'flow.yaml',
  ).flows[0];
  t.same(complete.flows[0], flow);
  t.same(complete.channels[0]?.hls, least.channels[0]?.hls);
  t.same(complete.channels[0]?.renditions[0]?.buffer, least.channels[0]?.renditions[0]?.buffer);
});

test('the schema file is the one of the code', async (t) => {
  t.equal(
    readFileSync(join(FOLDER, 'schema', 'sluice.schema.json'), 'utf8'),
    schemaText(),
    'write it again by: sluice check --schema config/schema/sluice.schema.json',
  );
});

test('the demo stays on this machine', async (t) => {
  const { channels, admin, http } = await loadSettings(join(FOLDER, 'demo.yaml'));
  for (const { renditions } of channels) {
    for (const { multicast } of renditions) t.match(multicast, { interface: 'lo', ttl: 1, source: '127.0.0.1' });
  }
  t.equal(admin.socket, null);
  t.ok(http.listen.every(({ address }) => address === '127.0.0.1'));
});

function problemsOf(text: string): string[] {
  try {
    parseSettings(text, 'f.yaml');
    return [];
  } catch (error) {
    if (!(error instanceof SluiceError)) throw error;
    return error.message.split('\n');
  }
}

const CHANNELS = 'channels: [{ id: a, renditions: [{ id: b, url: "http://x.example/y.ts" }] }]';

test('ports that collide are refused', async (t) => {
  const cases = [
    ['http: { listen: ["127.0.0.1:80", "127.0.0.1:80"] }', 1],
    ['http: { listen: ["127.0.0.1:80", "0.0.0.0:80"] }', 1],
    ['http: { listen: ["[::1]:80", "[::]:80"] }', 1],
    ['http: { listen: ["127.0.0.1:80", "127.0.0.2:80"] }', 0],
    ['http: { listen: ["127.0.0.1:0", "127.0.0.1:0"] }', 0],
    ['http: { listen: ["0.0.0.0:9480"] }\nadmin: { listen: 127.0.0.1:9480 }', 1],
    ['http: { listen: ["0.0.0.0:80"], tls: [{ listen: "0.0.0.0:443", certificate: a, key: b }] }', 0],
    ['http: { listen: ["0.0.0.0:443"], tls: [{ listen: "127.0.0.1:443", certificate: a, key: b }] }', 1],
  ] as const;
  for (const [text, count] of cases) {
    const found = problemsOf(`${text}\n${CHANNELS}`);
    t.equal(found.length, count, text);
    for (const line of found)
      t.match(line, /^f\.yaml:\d+:\d+: http\.(?:listen\[\d\]|tls\[\d\]\.listen): the port is already used by /);
  }
});

test('a listener with TLS has certificates, or one', async (t) => {
  const tls = (text: string): string[] =>
    problemsOf(`http: { tls: [{ listen: "0.0.0.0:443", ${text} }] }\n${CHANNELS}`);
  t.same(tls('certificate: a, key: b'), []);
  t.same(tls('certificates: [{ certificate: a, key: b }, { certificate: c, key: d }]'), []);
  for (const text of ['certificate: a', 'key: b', 'certificate: a, certificates: [{ certificate: a, key: b }]'])
    t.match(tls(text), [/http\.tls\[0\]: .*expected either certificates, or one certificate and its key/], text);
  t.match(tls('certificates: []'), [/http\.tls\[0\]\.certificates: .*expected at least one certificate/]);
});

test('duplicates among channels are refused', async (t) => {
  const group = 'multicast: { address: 239.1.1.1, port: 5000 }';
  const found = problemsOf(
    [
      'channels:',
      `  - { id: a, renditions: [{ id: r, url: "http://x.example/y.ts", ${group} }] }`,
      `  - { id: a, renditions: [{ id: r, url: "http://x.example/z.ts", ${group} }, { id: r, url: "http://x.example/w.ts" }] }`,
    ].join('\n'),
  );
  t.equal(found.length, 3);
  t.match(found.join('\n'), /channels\[1\]\.id: .*in use/);
  t.match(found.join('\n'), /channels\[1\]\.renditions\[1\]\.id: .*in use/);
  t.match(found.join('\n'), /channels\[1\]\.renditions\[0\]\.multicast\.port: .*used by a\/r/);
});

test('what upstreams are given', async (t) => {
  const channels = 'channels: [{ id: a, renditions: [{ id: b, url: "https://x.example/y.m3u8" }] }]';
  const upstream = (text: string): readonly string[] => problemsOf(`upstream: ${text}\n${channels}`);
  t.strictSame(upstream('{ allow: [10.0.0.0/8, "fd00::/8", origin.internal, 127.0.0.1], redirects: 0 }'), []);
  t.match(upstream('{ allow: [10.0.0.0/33] }'), [/upstream\.allow\[0\]: .*expected a host name/]);
  t.match(upstream('{ allow: ["http://a/"] }'), [/upstream\.allow\[0\]/]);
  t.match(upstream('{ redirects: 21 }'), [/upstream\.redirects/]);
  t.match(upstream('{ tls: { ca_only: true } }'), [/upstream\.tls\.ca_only: .*expected ca_file/]);
});
