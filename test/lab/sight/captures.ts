import { z } from 'zod';
import type { Host } from '../lib/host.js';
import { poll } from '../lib/poll.js';
import { exec } from '../lib/process.js';
import { expect, type Report } from '../lib/report.js';
import { Capture, fieldsOf } from '../parts/capture.js';
import { Member, type MulticastNet, RP, SOURCES, talk } from '../parts/multicast-net.js';
import { sluiceRouter } from '../parts/multicast-routers.js';
import { sluice } from '../parts/sluice.js';

/** What `--control` takes, as tcpdump says it; of MLD also what stands behind hop-by-hop options. */
const SAME =
  'igmp or pim or ( icmp6 and ( ( ip6[40] >= 130 and ip6[40] <= 132 ) or ip6[40] = 143 ) ) or ' +
  '( ip6[6] = 0 and ip6[40] = 58 and ( ( ip6[48] >= 130 and ip6[48] <= 132 ) or ip6[48] = 143 ) )';
/** Without it, what came in the last second before its end is lost to tcpdump. */
const AT_ONCE = '--immediate-mode --time-stamp-precision=nano';
const DEVICES = ['lan0', 'up0'] as const;
const GROUPS = ['239.40.1.1', 'ff1e::40:1'] as const;

const summary = z.object({
  packets: z.number(),
  bytes: z.number(),
  dropped: z.number(),
  end: z.string(),
  fileBytes: z.number(),
});
type Summary = z.infer<typeof summary>;

interface Packet {
  readonly time: string;
  readonly device: string;
  readonly hash: string;
  readonly kind: string;
}

/** In the order of the file. */
async function packetsOf(file: string): Promise<Packet[]> {
  const names = ['frame.time_epoch', 'frame.interface_name', 'frame.md5_hash', '_ws.col.Protocol'];
  const rows = await fieldsOf(file, 'frame', names, [], ['frame.generate_md5_hash:TRUE']);
  return rows.map(([time = '', device = '', hash = '', kind = '']) => ({ time, device, hash, kind }));
}

function record(host: Host, ...options: readonly string[]): Promise<Summary> {
  const admin = host.lab.file(`${host.name}.sock`);
  return exec(host.inside(sluice('capture', '--control', '--json', '--admin', admin, ...options)), {
    timeoutMs: 60_000,
  }).then(({ code, stdout, stderr }) => {
    expect(code === 0, `sluice capture: ${stderr}`);
    return summary.parse(JSON.parse(stdout));
  });
}

/** Hosts come and go while ours and tcpdump record the same devices. */
async function besideTcpdump(net: MulticastNet): Promise<string> {
  const { acc, hosts, lab } = net;
  const peers = await Promise.all(
    DEVICES.map((device) => Capture.start(acc, device, `${AT_ONCE} ${SAME}`, `peer-${device}`)),
  );
  const file = lab.file('control.pcapng');
  const recording = record(acc, '--duration', '6s', file);
  for (let round = 0; round < 3; round++) {
    const members = await Promise.all(
      hosts.map((host, at) => Member.join(host, `10.30.3.1${at + 1}`, ...GROUPS, `232.40.1.1/${SOURCES[4][0]}`)),
    );
    await members[0]?.hears(GROUPS[0], SOURCES[4][0]);
    for (const one of members) await one.leave();
  }
  const told = await recording;
  for (const one of peers) await one.stop();
  const ours = await packetsOf(file);
  expect(told.packets === ours.length && told.dropped === 0 && told.end === 'duration', JSON.stringify(told));
  const counts: string[] = [];
  for (const [at, device] of DEVICES.entries()) {
    const mine = ours.filter((one) => one.device === device);
    const [first = '', last = ''] = [mine.at(0)?.time, mine.at(-1)?.time];
    const theirs = (await packetsOf(peers[at]?.file ?? '')).filter(({ time }) => time >= first && time <= last);
    const same = (all: readonly Packet[]): string[] => all.map(({ time, hash }) => `${time} ${hash}`);
    const [a, b] = [same(mine), same(theirs)];
    const odd = [...a.filter((one) => !b.includes(one)), ...b.filter((one) => !a.includes(one))];
    expect(
      mine.length >= 5 && odd.length === 0 && a.length === b.length,
      `${device}: ${a.length} and ${b.length}; ${odd.slice(0, 4).join(', ')}`,
    );
    counts.push(`${device} ${mine.length}`);
  }
  const kinds = new Set(ours.map(({ kind }) => kind));
  for (const kind of ['IGMPv3', 'ICMPv6', 'PIMv2']) expect(kinds.has(kind), `no ${kind} among ${[...kinds].join(' ')}`);
  return `the same packets, bytes and times: ${counts.join(', ')}`;
}

/** Limits, names, and how many at once. */
async function limits(net: MulticastNet): Promise<string> {
  const { acc, lab } = net;
  const admin = 'http://127.0.0.1:9480/v1/capture';
  const three = lab.file('three.pcapng');
  const told = await record(acc, '-i', 'lan0', '--count', '3', '--duration', '30s', three);
  const packets = await packetsOf(three);
  expect(told.end === 'limit' && packets.length === 3, `${JSON.stringify(told)}: ${packets.length} packets`);
  expect(
    packets.every(({ device }) => device === 'lan0'),
    'another device',
  );
  const strange = await acc.get(`${admin}?interface=lo`);
  expect(strange.status === 404 && strange.body.includes('NOT_FOUND'), strange.body);
  const wrong = await acc.get(`${admin}?duration=2d`);
  expect(wrong.status === 400 && wrong.body.includes('100ms to 1h'), wrong.body);
  const many = await Promise.all(
    [1, 2, 3, 4].map((number) =>
      acc.spawn(`reader-${number}`, ['curl', '-sN', '-o', lab.file(`reader-${number}.pcapng`), `${admin}?duration=1h`]),
    ),
  );
  await poll(
    async () => (await acc.get(`${admin}?duration=1h&count=1`)).status === 429,
    10_000,
    'a fifth to be refused',
  );
  await many[0]?.stop();
  // Who goes away makes room for others.
  await poll(async () => (await acc.get(`${admin}?count=1`)).status === 200, 20_000, 'room for another');
  for (const one of many) await one.stop();
  return 'a number of packets, an interface, at most four at once, each as told';
}

/** Captures on request of a router between PIM and hosts. */
export async function playCaptures(net: MulticastNet, report: Report): Promise<void> {
  await sluiceRouter.start(net.up, { pim: ['src0', 'acc0'], rp: RP, helloS: 1 });
  const router = await sluiceRouter.start(net.acc, { hosts: ['lan0'], pim: ['up0'], rp: RP, helloS: 1 });
  await talk(net.source, SOURCES[4][0], [GROUPS[0]]);
  await poll(async () => (await router.neighbours()).length >= 2, 10_000, 'neighbours');
  await report.step('control messages captured are those that tcpdump sees', () => besideTcpdump(net));
  await report.step('captures on request are bounded', () => limits(net));
  await net.lab.stopChildren();
}
