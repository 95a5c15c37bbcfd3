import t from 'tap';
import { bytes, count, duration, milliseconds, plural, rate, ratio, splitUrl } from '../../daemon/admin/page/format.js';

/** With plain spaces, to be readable here. */
const plain = (text: string): string => text.replaceAll(/[\u00a0\u202f]/g, ' ');

t.test('numbers have three digits and a unit, also where a unit ends', async (t) => {
  const cases: [string, string][] = [
    [rate(0), '0 bit/s'],
    [rate(999), '999 bit/s'],
    [rate(999.6), '1.00 kbit/s'],
    [rate(3_214_000), '3.21 Mbit/s'],
    [rate(99_960_000), '100 Mbit/s'],
    [rate(999_600_000), '1.00 Gbit/s'],
    [bytes(0), '0 B'],
    [bytes(1023), '1023 B'],
    [bytes(1024), '1.00 KiB'],
    [bytes(32 * 2 ** 20), '32.0 MiB'],
    [bytes(5 * 2 ** 50), '5120 TiB'],
    [count(12_345), '12 345'],
    [count(1_234_567), '1.23 M'],
    [milliseconds(0.42), '0.42 ms'],
    [milliseconds(9.96), '10.0 ms'],
    [milliseconds(340), '340 ms'],
    [milliseconds(1200), '1.20 s'],
    [duration(0), '0 s'],
    [duration(725), '12 min 5 s'],
    [duration(3 * 86_400 + 4 * 3600 + 59), '3 d 4 h'],
    [duration(3600), '1 h 0 min'],
    [ratio(48.2, 1), '48.2 ×'],
    [ratio(5, 0), '–'],
    [plural(1, 'viewer'), '1 viewer'],
    [plural(0, 'viewer'), '0 viewers'],
    [plural(2, 'retry', 'retries'), '2 retries'],
  ];
  for (const [got, expected] of cases) t.equal(plain(got), expected);
});

t.test('URLs are split for two lines', async (t) => {
  t.same(splitUrl('http://origin.example:8000/live/a.m3u8?x=1'), {
    host: 'origin.example:8000',
    path: '/live/a.m3u8?x=1',
  });
  t.same(splitUrl('rtp://192.0.2.1@239.1.1.1:5000?iface=eth0'), {
    host: '192.0.2.1@239.1.1.1:5000',
    path: '?iface=eth0',
  });
  t.same(splitUrl('http://h'), { host: 'h', path: '/' });
  t.same(splitUrl('nonsense'), { host: 'nonsense', path: '' });
});
