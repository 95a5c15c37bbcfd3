import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Test, test } from 'tap';
import { z } from 'zod';
import { ROOT } from '../../daemon/cli/root.js';
import { LOW, temporaryFolder } from './fixtures.js';
import { type Packet, readPcap } from './pcap-maker.js';
import { dissect, has, must } from './tshark.js';

const SCENE = join(ROOT, 'dist', 'test', 'replay', 'wire-scene.js');
const SET_UP =
  'ip link set lo up && ip link add a0 address 02:00:00:00:00:a0 type veth peer name a1 && ' +
  'ip addr add 10.0.0.1/24 dev a0 && ip addr add fd00::1/64 dev a0 nodad && ip link set a0 up && ip link set a1 up && exec "$@"';
const FRAMES = 60;
const STEP_NS = 10e6;
const FLOW = 702;

const counters = z.looseObject({ packets: z.number() });
const replayed = counters.extend({ bytes: z.number(), loops: z.number(), errors: z.number(), unsuitable: z.number() });
const captured = counters.extend({ received: z.number(), kernelDrops: z.number(), files: z.number() });
const told = z.object({
  half: replayed,
  raw: replayed,
  toGroup: replayed,
  captures: z.array(captured),
  received: z.array(z.looseObject({ packets: z.number(), recorded: z.number(), rtpLost: z.number() })),
  limits: z.array(captured),
});

/** The flags with which this user may make a network namespace, or undefined. */
function namespaceFlags(): string | undefined {
  const pair = ['ip', 'link', 'add', 'd0', 'type', 'veth', 'peer', 'name', 'd1'];
  return ['-n', '-Urn'].find((flags) => spawnSync('unshare', [flags, ...pair]).status === 0);
}

const flags = namespaceFlags();
const missing = ['tshark', 'editcap', 'tcpdump', 'capinfos'].filter((tool) => !has(tool));
const skip =
  flags === undefined
    ? 'no network namespace with a veth pair can be made here'
    : missing.length > 0
      ? `not installed: ${missing.join(', ')}`
      : false;

/** The packets of a capture of any format. */
function packetsOf(file: string): Packet[] {
  must('editcap', ['-F', 'nsecpcap', file, `${file}.plain`]);
  return readPcap(`${file}.plain`);
}

const bytesOf = (packets: readonly Packet[]): string[] =>
  packets.map(({ bytes }) => Buffer.from(bytes).toString('hex'));
const withoutTime = (file: string) => dissect(file).map((packet) => ({ ...packet, timeNs: null }));

/** Payload of UDP as tshark dissects it. */
function payloads(file: string, filter: string): string[] {
  const text = must('tshark', ['-n', '-r', file, '-Y', filter, '-T', 'fields', '-e', 'udp.payload']);
  return text.split('\n').filter(Boolean);
}

function fields(file: string, filter: string, field: string): Set<string> {
  const text = must('tshark', ['-n', '-r', file, '-Y', filter, '-T', 'fields', '-E', 'occurrence=f', '-e', field]);
  return new Set(text.split('\n').filter(Boolean));
}

test('replay and capture on a wire, beside tcpdump and tshark', { skip, timeout: 300_000 }, async (t) => {
  const folder = temporaryFolder(t);
  const at = (name: string): string => join(folder, name);
  const run = spawnSync('unshare', [flags ?? '', 'sh', '-c', SET_UP, 'sh', process.execPath, SCENE, folder], {
    encoding: 'utf8',
    timeout: 270_000,
  });
  t.equal(run.status, 0, run.stderr);
  const said = told.parse(JSON.parse(run.stdout));

  await t.test('frames arrive as they were captured, tags included, in their time', (t) => onTheWire(t, at, said));
  await t.test('addresses are made to fit, frames are made where there were none', (t) => rewritten(t, at, said));
  await t.test('a flow goes to addresses, and a receiver records it', (t) => toAddresses(t, at, said));
  await t.test('limits and rotation', (t) => limits(t, folder, said));
});

type At = (name: string) => string;
type Said = z.output<typeof told>;

async function onTheWire(t: Test, at: At, said: Said): Promise<void> {
  const sent = readPcap(at('frames.pcap'));
  t.match(said.half, { packets: FRAMES, loops: 1, errors: 0, unsuitable: 0 });
  t.strictSame(bytesOf(packetsOf(at('tcpdump.pcap'))), bytesOf(sent), 'tcpdump has every byte');
  t.strictSame(bytesOf(packetsOf(at('ours.pcapng'))), bytesOf(sent), 'so have we, VLAN tags put back');
  t.strictSame(withoutTime(at('ours.pcapng')), withoutTime(at('frames.pcap')), 'tshark sees the same in both');
  t.equal(packetsOf(at('vlan.pcap')).length, (FRAMES / 3) * 2, 'with VLAN 100 in either tag');
  // All interfaces: seen leaving a0 and arriving at a1, as Linux cooked packets, tags included.
  const all = dissect(at('all.pcapng'));
  t.equal(all.length, 2 * FRAMES);
  t.equal(all.filter(({ vlans }) => vlans.includes(100)).length, 2 * (FRAMES / 3) * 2);
  for (const capture of said.captures) t.equal(capture.kernelDrops, 0);
  const info = must('capinfos', ['-M', at('ours.pcapng')]);
  t.match(info, /Name = a1/);
  t.match(info, /Capture application:\s+sluice/);
  t.match(info, /Number of packets:\s+60/);
  for (const file of ['tcpdump.pcap', 'ours.pcapng']) {
    const times = packetsOf(at(file)).map(({ timeNs }) => timeNs);
    t.ok(
      times.every((time, n) => n === 0 || time >= (times[n - 1] ?? 0)),
      'in order',
    );
    // Never early; how late is the scheduler's affair.
    const took = (times.at(-1) ?? 0) - (times[0] ?? 0);
    const due = ((FRAMES - 1) * STEP_NS) / 2;
    t.ok(took > due * 0.9 && took < due + 5e9, `${took / 1e6} ms for ${due / 1e6}`);
  }
}

async function rewritten(t: Test, at: At, said: Said): Promise<void> {
  t.match(said.raw, { packets: 3 * FRAMES, loops: 3, errors: 0, unsuitable: 0 });
  const file = at('rewritten.pcapng');
  t.strictSame(fields(file, 'frame', 'eth.src'), new Set(['02:00:00:00:00:a0']));
  t.strictSame(fields(file, 'frame', 'eth.dst'), new Set(['01:00:5e:7f:00:02']));
  const got = packetsOf(file);
  t.equal(got.length, FLOW + 3 * FRAMES, 'all are in the file of a program that was killed');
  const ip = (packets: readonly Packet[]): string[] =>
    bytesOf(packets.map(({ timeNs, bytes }) => ({ timeNs, bytes: bytes.subarray(14) })));
  const media = readPcap(LOW).filter(({ bytes }) => bytes[36] === 0x13 && bytes[37] === 0x88);
  t.strictSame(ip(got.slice(0, FLOW)), ip(media));
  const raw = bytesOf(readPcap(at('raw.pcap')));
  t.strictSame(ip(got.slice(FLOW)), [...raw, ...raw, ...raw]);
}

async function toAddresses(t: Test, at: At, said: Said): Promise<void> {
  const sent = payloads(LOW, 'udp.dstport == 5000');
  t.equal(sent.length, FLOW);
  t.match(said.toGroup, { packets: FLOW, errors: 0 });
  const wire = at('addresses.pcap');
  t.strictSame(payloads(wire, 'ip.dst == 239.1.2.3 && udp.dstport == 5000'), sent, "with the flow's port");
  t.strictSame(fields(wire, 'ip.dst == 239.1.2.3', 'ip.ttl'), new Set(['4']));
  t.strictSame(payloads(wire, 'ipv6.dst == ff15::7 && udp.dstport == 7000'), sent);
  t.strictSame(fields(wire, 'ipv6.dst == ff15::7', 'ipv6.hlim'), new Set(['5']));
  for (const [n, address] of ['127.0.0.1', '::1'].entries()) {
    t.match(said.received[n], { packets: FLOW, recorded: FLOW, rtpLost: 0 });
    const file = at(`received-${n}.pcapng`);
    t.strictSame(payloads(file, `udp.dstport == ${6000 + 2 * n}`), sent, 'every datagram is recorded, in order');
    const family = address.includes(':') ? 'ipv6' : 'ip';
    t.strictSame(fields(file, 'udp', `${family}.dst`), new Set([address]));
    t.strictSame(fields(file, 'udp', `${family}.${family === 'ip' ? 'ttl' : 'hlim'}`), new Set(['9']));
    const checks = ['-o', 'udp.check_checksum:TRUE', '-o', 'ip.check_checksum:TRUE'];
    const good = family === 'ip' ? 'udp.checksum.status == 1 && ip.checksum.status == 1' : 'udp.checksum.status == 1';
    const right = must('tshark', ['-n', '-r', file, ...checks, '-Y', good, '-T', 'fields', '-e', 'frame.number']);
    t.equal(right.split('\n').filter(Boolean).length, FLOW, 'checksums are right');
  }
}

async function limits(t: Test, folder: string, said: Said): Promise<void> {
  const [counted, sized, snapped, rotated] = said.limits;
  t.equal(counted?.packets, 25);
  t.equal(dissect(join(folder, 'counted.pcap')).length, 25);
  t.equal(dissect(join(folder, 'sized.pcapng')).length, sized?.packets);
  t.equal(sized?.packets, 7, 'seven of 1370 bytes and the headers fit into 10,000');
  t.equal(snapped?.packets, 100);
  t.ok(dissect(join(folder, 'snapped.pcap')).every(({ captured: size, original }) => size === 60 && original === 1370));
  const ring = readdirSync(folder).filter((name) => /^ring-\d{5}\.pcapng$/.test(name));
  t.equal(ring.length, 2, 'only the newest are left');
  t.equal(rotated?.packets, FLOW);
  t.equal(rotated?.files, Math.ceil(FLOW / 7));
  t.strictSame(ring.map((name) => dissect(join(folder, name)).length).toSorted(), [FLOW % 7, 7]);
}
