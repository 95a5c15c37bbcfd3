import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type Test, test } from 'tap';
import { needsOf } from '../../daemon/cli/check-host.js';
import { checkHost, type HostFinding, type HostNeeds } from '../../daemon/host/checks.js';
import { KernelView } from '../../daemon/host/kernel-view.js';
import { addressNumber, interfaceTowards, parseIpv4Routes, parseIpv6Routes } from '../../daemon/host/routes.js';
import { parseSettings } from '../../daemon/settings.js';
import { Program, sluice, temporaryFolder } from '../cli/lib/program.js';

/** A machine on which everything is as it should be. */
const GOOD: Readonly<Record<string, string>> = {
  'proc/sys/net/core/rmem_max': '16777216\n',
  'proc/sys/net/core/wmem_max': '16777216\n',
  'proc/sys/net/core/somaxconn': '4096\n',
  'proc/sys/net/ipv4/tcp_max_syn_backlog': '4096\n',
  'proc/sys/net/ipv4/igmp_max_memberships': '20\n',
  'proc/sys/net/ipv4/igmp_max_msf': '10\n',
  'proc/sys/net/ipv6/mld_max_msf': '64\n',
  'proc/sys/net/ipv4/conf/all/rp_filter': '0\n',
  'proc/sys/net/ipv4/conf/eth1/rp_filter': '1\n',
  'proc/self/limits':
    'Limit  Soft Limit  Hard Limit  Units\nMax open files            1024                 1048576              files\n',
  // 192.0.2.0/24 by eth1, everything else by eth0.
  'proc/net/route':
    'Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n' +
    'eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n' +
    'eth1\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n',
  'proc/net/ipv6_route': '',
  'sys/class/net/eth0/flags': '0x1003\n',
  'sys/class/net/eth1/flags': '0x1003\n',
  'sys/devices/system/clocksource/clocksource0/current_clocksource': 'tsc\n',
};
const OFFLOAD = { segmentation: true, coalescing: true };
const NEEDS = needsOf(
  parseSettings(
    [
      'channels:',
      '  - id: a',
      '    renditions:',
      '      - { id: in, url: "rtp://192.0.2.10@232.1.1.1:5000?iface=eth1" }',
      '      - { id: out, url: "http://x.example/y.ts", multicast: { address: 239.1.1.1, port: 5000, interface: eth1 } }',
    ].join('\n'),
    'needs.yaml',
  ),
);

function view(t: Test, changes: Readonly<Record<string, string | null>> = {}): KernelView {
  const root = mkdtempSync(join(tmpdir(), 'sluice-host-'));
  t.teardown(() => rmSync(root, { recursive: true }));
  for (const [path, text] of Object.entries({ ...GOOD, ...changes })) {
    if (text === null) continue;
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return new KernelView(root);
}

/** What is not ok. */
function complaints(kernel: KernelView, needs: HostNeeds = NEEDS, offload = OFFLOAD): HostFinding[] {
  return checkHost(kernel, needs, offload).filter(({ level }) => level !== 'ok');
}

test('needs are read from the configuration', async (t) => {
  t.same(NEEDS, {
    joined: [{ stream: 'a/in', address: '232.1.1.1', source: '192.0.2.10', interfaceName: 'eth1' }],
    sent: [{ stream: 'a/out', address: '239.1.1.1', source: null, interfaceName: 'eth1' }],
    receives: true,
    connections: 4096,
    sendBuffer: 512 * 1024,
  });
});

test('a machine as it should be', async (t) => {
  t.same(complaints(view(t)), []);
});

test('every setting that is wrong is told with what to set', async (t) => {
  const eth1 = 'proc/sys/net/ipv4/conf/eth1/rp_filter';
  const cases: readonly [Record<string, string | null>, Partial<HostFinding>][] = [
    [{ 'proc/sys/net/core/rmem_max': '212992' }, { level: 'advice', set: 'net.core.rmem_max=8388608' }],
    [{ 'proc/sys/net/core/wmem_max': '212992' }, { level: 'advice', set: 'net.core.wmem_max=262144' }],
    [{ 'proc/sys/net/core/somaxconn': '128' }, { level: 'advice', set: 'net.core.somaxconn=4096' }],
    [{ 'proc/sys/net/core/somaxconn': null }, { level: 'advice', found: 'unreadable' }],
    [{ 'proc/sys/net/ipv4/igmp_max_memberships': '0' }, { level: 'problem', set: 'net.ipv4.igmp_max_memberships=1' }],
    [{ 'proc/sys/net/ipv4/igmp_max_msf': '0' }, { level: 'problem', set: 'net.ipv4.igmp_max_msf=1' }],
    [{ 'sys/class/net/eth1/flags': null }, { level: 'problem', found: 'absent' }],
    [{ 'sys/class/net/eth1/flags': '0x1002' }, { level: 'problem', set: 'ip link set dev eth1 up' }],
    [{ 'sys/class/net/eth1/flags': '0x3' }, { level: 'problem', set: 'ip link set dev eth1 multicast on' }],
    // The route to the source goes elsewhere.
    [
      { 'proc/net/route': 'head\neth0\t00000000\t0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n', [eth1]: '1' },
      { level: 'problem', set: 'net.ipv4.conf.eth1.rp_filter=2' },
    ],
    [
      { 'sys/devices/system/clocksource/clocksource0/current_clocksource': 'hpet\n' },
      { level: 'advice', found: 'hpet' },
    ],
    [{ 'proc/self/limits': 'Max open files  1024  4096  files\n' }, { level: 'advice', found: '4096' }],
  ];
  for (const [changes, expected] of cases) {
    const found = complaints(view(t, changes));
    t.equal(found.length, 1, JSON.stringify(changes));
    t.match(found[0], expected);
  }
  t.match(complaints(view(t), NEEDS, { segmentation: false, coalescing: true }), [{ check: /UDP_SEGMENT/ }]);
});

test('strict filtering is judged by the source, as far as it is known', async (t) => {
  const [group] = NEEDS.joined;
  const joined = group === undefined ? [] : [{ ...group, source: null }];
  const unknown = { ...NEEDS, joined };
  t.match(complaints(view(t), unknown), [{ check: 'rp_filter on eth1', level: 'advice' }]);
  t.same(complaints(view(t, { 'proc/sys/net/ipv4/conf/all/rp_filter': '2' }), unknown), []);
  const vlan = { ...NEEDS, joined: joined.map((one) => ({ ...one, interfaceName: 'eth1.7' })) };
  const kernel = view(t, {
    'sys/class/net/eth1.7/flags': '0x1003',
    'proc/sys/net/ipv4/conf/eth1.7/rp_filter': '1',
  });
  t.match(complaints(kernel, vlan), [{ set: 'net/ipv4/conf/eth1.7/rp_filter=2' }]);
});

test('without an interface the route decides', async (t) => {
  const sent = [{ stream: 'a/b', address: '239.1.1.1', source: null, interfaceName: null }];
  const needs = { ...NEEDS, joined: [], sent };
  t.same(complaints(view(t), needs), []);
  const lonely = complaints(view(t, { 'proc/net/route': 'head\n' }), needs);
  t.match(lonely, [{ check: 'route to 239.1.1.1', level: 'problem', set: /^ip route add 224\.0\.0\.0\/4 dev / }]);
  const v6 = complaints(view(t), { ...needs, sent: [{ ...sent[0], address: 'ff3e::1' }] as HostNeeds['sent'] });
  t.match(v6, [{ level: 'problem', set: /^ip -6 route add multicast ff00::\/8 dev / }]);
});

test('routes are read as the kernel writes them', async (t) => {
  const ipv4 = parseIpv4Routes(
    'head\n' +
      'wide\t0000000A\t0\t0001\t0\t0\t0\t000000FF\t0\t0\t0\n' +
      'near\t0001000A\t0\t0001\t0\t0\t9\t00FFFFFF\t0\t0\t0\n' +
      'best\t0001000A\t0\t0001\t0\t0\t5\t00FFFFFF\t0\t0\t0\n' +
      'shut\t0101000A\t0\t0201\t0\t0\t0\tFFFFFFFF\t0\t0\t0\n' +
      'short\n',
  );
  const ipv6 = parseIpv6Routes(
    `${'20010db8'.padEnd(32, '0')} 20 ${'0'.repeat(32)} 00 ${'0'.repeat(32)} 00000400 00000001 00000000 00000001     eth6\n`,
  );
  const towards = (address: string) => interfaceTowards({ ipv4, ipv6 }, address);
  t.equal(towards('10.9.9.9'), 'wide');
  t.equal(towards('10.0.1.1'), 'best');
  t.equal(towards('11.0.0.1'), undefined);
  t.equal(towards('2001:db8:7::1'), 'eth6');
  t.equal(towards('2001:db9::1'), undefined);
  t.equal(addressNumber('::ffff:192.0.2.1'), 0xffff_c000_0201n);
  t.equal(addressNumber('1:2:3:4:5:6:7:8'), 0x1_0002_0003_0004_0005_0006_0007_0008n);
});

const asked = spawnSync('ip', ['-j', 'route', 'get', '198.51.100.7'], { encoding: 'utf8' });
const noRoute = asked.status === 0 ? false : 'no `ip` here, or no route';

test('this machine: the same route as iproute2 takes', { skip: noRoute }, async (t) => {
  const [route] = JSON.parse(asked.stdout) as { dev: string }[];
  t.equal(interfaceTowards(new KernelView().routes(), '198.51.100.7'), route?.dev);
});

test('check --host: a table, JSON, and the exit code', { timeout: 60_000 }, async (t) => {
  const file = join(temporaryFolder(t), 'bad.yaml');
  writeFileSync(file, 'channels: [{ id: a, renditions: [{ id: b, url: "udp://239.1.1.1:5000?iface=nosuch0" }] }]');
  const bad = await sluice(t, 'check', '--host', '-c', file);
  t.match(bad, { code: 1, stderr: '' });
  t.match(bad.stdout, /^CHECK +FOUND +WANTED +LEVEL +SET\n(.*\n)*interface nosuch0 +absent .*problem/);
  const json = await sluice(t, 'check', '--host', '-c', file, '--json');
  t.equal(json.code, 1);
  t.match(JSON.parse(json.stdout), { ok: false, file, checks: [{ check: 'interface nosuch0', level: 'problem' }] });
  const general = await sluice(t, 'check', '--host', '--json');
  t.match(general, { code: 0, stderr: '' });
  t.match(JSON.parse(general.stdout), { ok: true, file: null });
});

test('a daemon tells at its start what is not as it should be, in one line each', { timeout: 60_000 }, async (t) => {
  const file = join(temporaryFolder(t), 'run.yaml');
  writeFileSync(
    file,
    [
      'admin: { listen: 127.0.0.1:0, socket: null }',
      'http: { listen: ["127.0.0.1:0"] }',
      'channels: [{ id: a, renditions: [{ id: b, url: "udp://239.1.1.1:5000?iface=nosuch0", buffer: { memory: 1MiB } }] }]',
    ].join('\n'),
  );
  const daemon = new Program(t, ['run', '-c', file]);
  await daemon.said(/"msg":"daemon is up"/, 20_000);
  const told = daemon.stderr.split('\n').filter((line) => line.includes('"part":"host"'));
  t.equal(told.filter((line) => line.includes('host problem: interface nosuch0 is absent')).length, 1);
  t.notOk(
    told.some((line) => line.includes('"wanted":"not needed"')),
    'what is as it should be is not told',
  );
});
