// Where the daemon lets itself be led by redirects and playlists.
import t from 'tap';
import { specialRange } from '../../daemon/streams/source/address-policy.js';
import { UpstreamRules } from '../../daemon/streams/source/upstream-rules.js';
import { upstreamSchema } from '../../daemon/streams/upstream-settings.js';

const CONFIGURED = ['http://u:p@origin.example:8080/live/a/index.m3u8', 'https://[fd00::7]:444/x'];
const rules = (settings: unknown = {}): UpstreamRules =>
  new UpstreamRules(upstreamSchema.parse(settings), () => CONFIGURED);

t.test('redirects', async (t) => {
  const from = 'http://u:p@origin.example:8080/live/a/index.m3u8?x=1';
  const to = (status: number, location?: string, base = from): string | null =>
    rules().redirect(base, { status, headers: location === undefined ? {} : { location } });
  const cases: [number, string, string][] = [
    [301, 'http://edge.example/b.m3u8', 'http://edge.example/b.m3u8'],
    [302, '/b.m3u8', 'http://u:p@origin.example:8080/b.m3u8'],
    [303, '../b.m3u8#frag', 'http://u:p@origin.example:8080/live/b.m3u8'],
    [307, '//edge.example/b', 'http://edge.example/b'],
    [308, '?y=2', 'http://u:p@origin.example:8080/live/a/index.m3u8?y=2'],
    [302, 'https://edge.example/b', 'https://edge.example/b'],
  ];
  for (const [status, location, target] of cases) t.equal(to(status, location), target, `${status} ${location}`);
  for (const status of [200, 206, 300, 304, 404, 500]) t.equal(to(status, '/x'), null, String(status));
  t.throws(() => to(302), { code: 'UPSTREAM_HTTP', message: /Location/ });
  t.throws(() => to(302, 'http://['), { code: 'UPSTREAM_HTTP' });
  t.throws(() => to(302, 'file:///etc/passwd'), { code: 'SOURCE_UNSUPPORTED', message: /http:\/\/ or https:\/\// });
  const down = { code: 'UPSTREAM_REDIRECTS', message: /expected https:\/\/ after the redirect/ };
  t.throws(() => to(302, 'http://edge.example/', 'https://origin.example/'), down);
  const lenient = rules({ allow_downgrade: true });
  const answer = { status: 302, headers: { location: 'http://edge.example/' } };
  t.equal(lenient.redirect('https://origin.example/', answer), 'http://edge.example/');
});

t.test('addresses that are nobody else’s', async (t) => {
  const special: Record<string, readonly string[]> = {
    loopback: ['127.0.0.1', '127.255.0.9', '::1', '::ffff:127.0.0.1', '64:ff9b::7f00:1', '2002:7f00:1::'],
    'link-local': ['169.254.169.254', 'fe80::1', 'fe80::1%eth0', 'febf::1', '::ffff:a9fe:a9fe'],
    private: ['10.0.0.0', '10.255.255.255', '172.16.0.1', '172.31.255.255', '192.168.1.1', 'fc00::', 'fdff::1'],
    'shared by a provider (RFC 6598)': ['100.64.0.0', '100.127.255.255', '64:ff9b::100.64.1.1'],
    multicast: ['224.0.0.1', '239.255.255.255', 'ff02::1'],
    unspecified: ['0.0.0.0', '0.1.2.3', '::'],
    'for documentation': ['192.0.2.1', '198.51.100.1', '203.0.113.1', '2001:db8::1', '3fff::1'],
    reserved: ['255.255.255.255', '240.0.0.1', '198.18.0.1', '100::1', '2001::1', '::10.0.0.1', '64:ff9b:1::1'],
  };
  for (const [name, addresses] of Object.entries(special))
    for (const address of addresses) t.equal(specialRange(address), name, address);
  const usual = ['9.255.255.255', '11.0.0.0', '100.63.255.255', '100.128.0.0', '126.255.255.255', '128.0.0.0'];
  const others = ['172.15.255.255', '172.32.0.0', '223.255.255.255', '2a00::1', '2606:4700::1', '2002:808:808::1'];
  for (const address of [...usual, ...others, '::ffff:8.8.8.8', '64:ff9b::808:808'])
    t.equal(specialRange(address), null, address);
});

t.test('what an upstream names is looked at, what the configuration names is not', async (t) => {
  const ask = (url: string, addresses: string[], settings: unknown = {}): readonly string[] =>
    rules(settings).permitted(new URL(url), addresses);
  t.strictSame(ask('http://cdn.example/x', ['93.184.216.34', '10.0.0.1']), ['93.184.216.34'], 'only the good ones');
  t.throws(() => ask('http://cdn.example/x', ['10.0.0.1', '::1']), {
    code: 'UPSTREAM_ADDRESS_REFUSED',
    message: /http:\/\/cdn\.example\/x \(10\.0\.0\.1\): the address is private; upstream\.allow/,
  });
  t.throws(() => ask('http://0x7f.1/', ['127.0.0.1']), { message: /127\.0\.0\.1/ }, 'however it is written');
  t.strictSame(ask('https://origin.example/x', ['10.0.0.1']), ['10.0.0.1'], 'a configured host');
  t.strictSame(ask('http://[fd00::7]/x', ['fd00::7']), ['fd00::7']);
  t.strictSame(ask('http://in.example/x', ['10.0.0.1'], { allow: ['IN.example'] }), ['10.0.0.1']);
  t.strictSame(ask('http://a.example/x', ['10.1.0.1', '10.2.0.1'], { allow: ['10.1.0.0/16'] }), ['10.1.0.1']);
  t.strictSame(ask('http://a.example/x', ['fd00::1'], { allow: ['fd00::/8'] }), ['fd00::1']);
  t.throws(() => ask('ftp://origin.example/', ['1.2.3.4']), { code: 'SOURCE_UNSUPPORTED' });
});

t.test('ports and credentials', async (t) => {
  const ask = (url: string): readonly string[] => rules().permitted(new URL(url), ['93.184.216.34']);
  for (const url of ['http://a.example/', 'https://a.example/', 'http://a.example:443/', 'http://a.example:1024/'])
    t.equal(ask(url).length, 1, url);
  t.equal(ask('https://[fd00::7]:444/').length, 1, 'a configured port');
  for (const url of ['http://a.example:25/', 'http://origin.example:22/', 'http://[fd00::7]:445/'])
    t.throws(() => ask(url), { code: 'UPSTREAM_ADDRESS_REFUSED', message: /port \d+ is neither/ }, url);
  t.equal(ask('http://u:p@origin.example:8080/other').length, 1, 'the configured ones, at their own server');
  for (const url of ['http://u:p@a.example/', 'http://u:other@origin.example:8080/', 'http://u:p@origin.example/'])
    t.throws(() => ask(url), { code: 'UPSTREAM_ADDRESS_REFUSED', message: /credentials/ }, url);
});

t.test('how a server is known', async (t) => {
  const { viaName } = rules();
  t.match(viaName, /^sluice-[0-9a-f]{8}$/);
  t.not(viaName, rules().viaName, 'each daemon by itself');
  const tls = (url: string): unknown => rules({ tls: { insecure: ['Lab.example', 'fd00::1'] } }).tls(new URL(url));
  t.equal(tls('http://a.example/'), null);
  t.strictSame(tls('https://A.example.:8443/'), { serverName: 'a.example', insecure: false });
  t.strictSame(tls('https://lab.example/'), { serverName: 'lab.example', insecure: true });
  t.strictSame(tls('https://[fd00::1]/'), { serverName: 'fd00::1', insecure: true });
});

t.test('what is configured now counts, and a source may go to its own URLs', async (t) => {
  let configured: readonly string[] = [];
  const changing = new UpstreamRules(undefined, () => configured);
  const ask = (rules: UpstreamRules): readonly string[] =>
    rules.permitted(new URL('http://in.example:88/'), ['10.0.0.1']);
  t.throws(() => ask(changing), { code: 'UPSTREAM_ADDRESS_REFUSED' });
  const own = changing.for(['http://in.example:88/x']);
  t.equal(ask(own).length, 1);
  t.equal(own.viaName, changing.viaName);
  t.throws(() => ask(changing));
  configured = ['http://in.example:88/y'];
  t.equal(ask(changing).length, 1);
});
