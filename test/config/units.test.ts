import { test } from 'tap';
import type { z } from 'zod';
import * as units from '../../daemon/config/units.js';

/** [type, [written, result] taken, written refused] */
const TABLE: readonly [string, z.ZodType, readonly (readonly [unknown, unknown])[], readonly unknown[]][] = [
  [
    'duration',
    units.duration(),
    [
      ['0ms', 0],
      ['300ms', 300],
      ['2s', 2000],
      ['1.5s', 1500],
      ['1m', 60_000],
      ['1 h', 3_600_000],
      ['1d', 86_400_000],
    ],
    ['2', '', 's', '-1s', '2 sec', '2d', '1e3s', '٣s', 300, null, '1toString', '9'.repeat(30)],
  ],
  [
    'bytes',
    units.bytes({ min: 1024, max: 2 ** 30 }),
    [
      ['1KiB', 1024],
      ['32MiB', 2 ** 25],
      ['1GiB', 2 ** 30],
      ['64kB', 64_000],
      ['2048B', 2048],
    ],
    ['1B', '2GiB', '1TiB', '32mib', '32', 32, '1kib', {}],
  ],
  [
    'id',
    units.id,
    [
      ['a', 'a'],
      ['news-24', 'news-24'],
      ['0'.repeat(63), '0'.repeat(63)],
    ],
    ['', '-a', 'A', 'a_b', 'a/b', '0'.repeat(64), 'é', 7],
  ],
  [
    'port',
    units.port,
    [
      [1, 1],
      [65_535, 65_535],
    ],
    [0, 65_536, 1.5, '80', Number.NaN],
  ],
  [
    'mediaPort',
    units.mediaPort,
    [
      [2, 2],
      [5000, 5000],
      [65_534, 65_534],
    ],
    [0, 5001, 65_536, 2.5, '5000'],
  ],
  [
    'ipAddress',
    units.ipAddress,
    [
      ['192.0.2.1', '192.0.2.1'],
      ['2001:db8::1', '2001:db8::1'],
    ],
    ['256.1.1.1', 'localhost', 'fe80::1%eth0', '[::1]', '1.2.3', ''],
  ],
  [
    'multicastAddress',
    units.multicastAddress,
    [
      ['239.1.1.1', '239.1.1.1'],
      ['ff35::8000:1', 'ff35::8000:1'],
    ],
    ['192.0.2.1', '223.255.255.255', '240.0.0.1', '2001:db8::1', 'ff02::1%lo'],
  ],
  [
    'interfaceName',
    units.interfaceName,
    [
      ['lo', 'lo'],
      ['eth0.100', 'eth0.100'],
    ],
    ['', '.', '..', 'a/b', 'a b', 'x'.repeat(16)],
  ],
  [
    'listenAddress',
    units.listenAddress,
    [
      ['0.0.0.0:8080', { address: '0.0.0.0', port: 8080 }],
      ['[::1]:0', { address: '::1', port: 0 }],
      ['[::ffff:192.0.2.1]:80', { address: '::ffff:192.0.2.1', port: 80 }],
    ],
    ['8080', ':8080', 'localhost:80', '::1:80', '[127.0.0.1]:80', '127.0.0.1:65536', '127.0.0.1:', '127.0.0.1:80x'],
  ],
  [
    'socketPath',
    units.socketPath,
    [['/run/sluice/admin.sock', '/run/sluice/admin.sock']],
    ['admin.sock', '/', `/${'x'.repeat(107)}`],
  ],
  [
    'httpUrl',
    units.httpUrl,
    [['http://a.example/x?y', 'http://a.example/x?y']],
    ['https://a.example/', 'ftp://a', 'http://', 'a.example', 'http://u:p@a/'],
  ],
  ['label', units.label, [['Das Erste ✓', 'Das Erste ✓']], ['', 'a\nb', 'x'.repeat(201)]],
];

for (const [name, type, taken, refused] of TABLE) {
  test(name, async (t) => {
    for (const [written, result] of taken) t.same(type.parse(written), result, `takes ${JSON.stringify(written)}`);
    for (const written of refused) {
      const { success, error } = type.safeParse(written);
      t.notOk(success, `refuses ${JSON.stringify(written)}`);
      t.match(error?.issues[0]?.message, /^expected /);
    }
  });
}

test('what is formatted is read back', async (t) => {
  for (const ms of [0, 1, 999, 1000, 1500, 60_000, 90_000, 3_600_000, 86_400_000]) {
    t.equal(units.duration().parse(units.formatDuration(ms)), ms);
  }
  for (const size of [0, 1, 1023, 1024, 1025, 2 ** 20, 2 ** 30, 3 * 2 ** 30]) {
    t.equal(units.bytes().parse(units.formatBytes(size)), size);
  }
  for (const text of ['0.0.0.0:80', '[::1]:8080']) {
    const endpoint = units.parseEndpoint(text);
    t.equal(endpoint && units.formatEndpoint(endpoint), text);
  }
});
