import t from 'tap';
import { ManualClock } from '../../daemon/base/clock.js';
import { formatOfPath } from '../../daemon/streams/source/http-driver.js';
import { Resolver } from '../../daemon/streams/source/resolver.js';

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
