import t from 'tap';
import { ManualClock } from '../../daemon/base/clock.js';
import { redirectTarget } from '../../daemon/streams/source/fetcher.js';
import { formatOfPath } from '../../daemon/streams/source/http-driver.js';
import { Resolver } from '../../daemon/streams/source/resolver.js';

t.test('redirects', async (t) => {
  const from = 'http://u:p@origin.example:8080/live/a/index.m3u8?x=1';
  const to = (status: number, location?: string): string | null =>
    redirectTarget(from, { status, headers: location === undefined ? {} : { location } });
  const cases: [number, string, string][] = [
    [301, 'http://edge.example/b.m3u8', 'http://edge.example/b.m3u8'],
    [302, '/b.m3u8', 'http://u:p@origin.example:8080/b.m3u8'],
    [303, '../b.m3u8#frag', 'http://u:p@origin.example:8080/live/b.m3u8'],
    [307, '//edge.example/b', 'http://edge.example/b'],
    [308, '?y=2', 'http://u:p@origin.example:8080/live/a/index.m3u8?y=2'],
  ];
  for (const [status, location, target] of cases) t.equal(to(status, location), target, `${status} ${location}`);
  for (const status of [200, 206, 300, 304, 404, 500]) t.equal(to(status, '/x'), null, String(status));
  t.throws(() => to(302), { code: 'UPSTREAM_HTTP', message: /Location/ });
  t.throws(() => to(302, 'http://['), { code: 'UPSTREAM_HTTP' });
  t.throws(() => to(302, 'https://origin.example/'), { code: 'SOURCE_UNSUPPORTED', message: /plain HTTP only/ });
  t.throws(() => to(302, 'file:///etc/passwd'), { code: 'SOURCE_UNSUPPORTED' });
});

t.test('what the path tells about the format', async (t) => {
  const cases: [string, string | null][] = [
    ['http://a/x.m3u8?y=.ts', 'hls'],
    ['http://a/X.M3U', 'hls'],
    ['http://a/x.ts', 'ts'],
    ['http://a/x.mpegts', 'ts'],
    ['http://a/udp/239.1.1.1:5000', null],
    ['http://a/', null],
  ];
  for (const [url, format] of cases) t.equal(formatOfPath(url), format, url);
});

t.test('names are asked for anew after 5 s; all addresses are given, the one that worked first', async (t) => {
  const clock = new ManualClock();
  let asked = 0;
  const resolver = new Resolver(clock, async () => {
    asked += 1;
    return ['192.0.2.1', '2001:db8::1'];
  });
  t.strictSame(await resolver.resolve('origin.example'), ['192.0.2.1', '2001:db8::1']);
  resolver.prefer('origin.example', '2001:db8::1');
  t.strictSame(await resolver.resolve('origin.example'), ['2001:db8::1', '192.0.2.1']);
  t.equal(asked, 1);
  await clock.advance(5_001);
  t.strictSame(await resolver.resolve('origin.example'), ['192.0.2.1', '2001:db8::1']);
  t.equal(asked, 2);
});

t.test('numeric hosts stand for themselves', async (t) => {
  const resolver = new Resolver(new ManualClock(), async () => t.fail('asked') as never);
  t.strictSame(await resolver.resolve('192.0.2.1'), ['192.0.2.1']);
  t.strictSame(await resolver.resolve('[2001:db8::1]'), ['2001:db8::1']);
});

t.test('names that cannot be resolved, or not in time', async (t) => {
  const clock = new ManualClock();
  const unknown = new Resolver(clock, async () => Promise.reject(new Error('ENOTFOUND')));
  await t.rejects(unknown.resolve('no.example'), {
    code: 'UPSTREAM_CONNECT',
    message: /cannot resolve no\.example: ENOTFOUND/,
  });
  const none = new Resolver(clock, async () => []);
  await t.rejects(none.resolve('none.example'), { code: 'UPSTREAM_CONNECT', message: /no address/ });
  const silent = new Resolver(clock, () => new Promise(() => {}));
  const late = silent.resolve('slow.example');
  const refused = t.rejects(late, { code: 'UPSTREAM_CONNECT', message: /no answer within 5000 ms/ });
  await clock.advance(5_000);
  await refused;
  t.equal(clock.pending, 0, 'no timer is left');
});
