/**
 * Runs in a network namespace of its own (see wire.test.ts), with a veth pair a0-a1: plays captures into a0 and to addresses,
 * and records them at a1 with our own program and with tcpdump. Files go into the folder that is the argument; the results
 * are told as one JSON line.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { ROOT } from '../../daemon/cli/root.js';
import { scanCapture } from '../../daemon/plane/captures.js';
import { poll } from '../lab/lib/poll.js';
import { LOW } from './fixtures.js';
import { readPcap, tagged, writePcap } from './pcap-maker.js';

const folder = process.argv[2] ?? '.';
const SLUICE = join(ROOT, 'dist', 'daemon', 'cli', 'sluice.js');
const FRAMES = 60;
const STEP_NS = 10e6;
const LIMIT_MS = 60_000;

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

class Running {
  stdout = '';
  stderr = '';
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;

  constructor(command: string, args: readonly string[]) {
    this.child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.child.stdout?.on('data', (text: Buffer) => {
      this.stdout += text.toString();
    });
    this.child.stderr?.on('data', (text: Buffer) => {
      this.stderr += text.toString();
    });
    this.ended = new Promise((resolve) => {
      this.child.on('close', (code) => resolve({ code, stdout: this.stdout, stderr: this.stderr }));
    });
    process.on('exit', () => void this.child.kill('SIGKILL'));
  }

  async says(pattern: RegExp): Promise<void> {
    await poll(
      () => pattern.test(this.stderr),
      LIMIT_MS,
      () => `${String(pattern)}: ${this.stderr}`,
      20,
    );
  }

  end(signal: NodeJS.Signals = 'SIGINT'): Promise<Ended> {
    this.child.kill(signal);
    return this.ended;
  }
}

const at = (name: string): string => join(folder, name);
const sluice = (...args: string[]): Running => new Running(process.execPath, [SLUICE, ...args]);

async function capture(name: string, ...args: string[]): Promise<Running> {
  const running = sluice('capture', at(name), ...args, '--json');
  await running.says(/capturing on/);
  return running;
}

async function tcpdump(name: string): Promise<Running> {
  const options = ['-i', 'a1', '-U', '-w', at(name), '--time-stamp-precision=nano', '-Z', 'root'];
  const running = new Running('tcpdump', [...options, 'udp', 'or', 'vlan']);
  await running.says(/listening on/);
  return running;
}

/** A file that somebody still writes: what is there so far. */
function count(name: string): number {
  try {
    return scanCapture(at(name)).packets;
  } catch {
    return 0;
  }
}

async function arrived(name: string, packets: number): Promise<void> {
  await poll(
    () => count(name) >= packets,
    LIMIT_MS,
    () => `${packets} packets in ${name}, got ${count(name)}`,
    50,
  );
}

async function replay(...args: string[]): Promise<unknown> {
  const { code, stdout, stderr } = await sluice('replay', ...args, '--json').ended;
  if (code !== 0) throw new Error(`replay ${args.join(' ')}: ${code} ${stderr}`);
  return JSON.parse(stdout);
}

const summary = (ended: Ended): unknown => JSON.parse(ended.stdout);

/** Frames without a tag, with one and with two, 10 ms apart. */
function makeFrames(): void {
  const kinds = [
    [],
    [[0x8100, 0x6064]],
    [
      [0x88a8, 0x0007],
      [0x8100, 0x0064],
    ],
  ] as const;
  const packets = readPcap(LOW)
    .slice(0, FRAMES)
    .map(({ bytes }, n) => ({ timeNs: 1e18 + n * STEP_NS, bytes: tagged(bytes, kinds[n % kinds.length] ?? []) }));
  writePcap(at('frames.pcap'), packets);
}

async function onTheWire(): Promise<object> {
  makeFrames();
  const peer = await tcpdump('tcpdump.pcap');
  const ours = await capture('ours.pcapng', '-i', 'a1', '--protocol', 'udp');
  const vlan = await capture('vlan.pcap', '-i', 'a1', '--vlan', '100');
  const all = await capture('all.pcapng', '--group', '239.255.0.0/16');
  const half = await replay(at('frames.pcap'), '--to', 'a0', '--speed', '2');
  await arrived('tcpdump.pcap', FRAMES);
  await arrived('ours.pcapng', FRAMES);
  const results = [await ours.end(), await vlan.end(), await all.end()].map(summary);
  await peer.end();
  return { half, captures: results };
}

/** As fast as it goes, with other addresses; from a file without Ethernet, too. */
async function rewritten(): Promise<object> {
  const ours = await capture('rewritten.pcapng', '-i', 'a1', '--port', '5000');
  const ip = readPcap(LOW).map(({ bytes }, n) => ({ timeNs: n * STEP_NS, bytes: bytes.subarray(14) }));
  writePcap(at('raw.pcap'), ip.slice(0, FRAMES), 101);
  await replay(LOW, '--to', 'a0', '--rewrite-mac', '--speed', 'max', '--flow', '239.255.0.2:5000');
  const raw = await replay(at('raw.pcap'), '--to', 'a0', '--speed', 'max', '--loop', '3');
  await arrived('rewritten.pcapng', 702 + 3 * FRAMES);
  // Killed outright: what came is in the file all the same.
  await ours.end('SIGKILL');
  return { raw };
}

/** A flow to addresses, recorded by tcpdump and by a receiver without any privilege of its own. */
async function toAddresses(): Promise<object> {
  const peer = await tcpdump('addresses.pcap');
  const flow = ['--flow', '1', '--speed', 'max'];
  const receivers = [
    ['rtp://127.0.0.1:6000', '127.0.0.1:6000'],
    ['rtp://[::1]:6002', '[::1]:6002'],
  ] as const;
  const recorded: Ended[] = [];
  for (const [n, [url, to]] of receivers.entries()) {
    const receiver = sluice('receive', url, '--record', at(`received-${n}.pcapng`), '--json');
    await receiver.says(/joined, no packets yet/);
    await replay(LOW, '--to', to, ...flow, '--ttl', '9');
    await arrived(`received-${n}.pcapng`, 702);
    recorded.push(await receiver.end());
  }
  const toGroup = await replay(LOW, '--to', '239.1.2.3', '--interface', 'a0', '--ttl', '4', ...flow);
  await replay(LOW, '--to', '[ff15::7]:7000', '--interface', 'a0', '--ttl', '5', ...flow);
  await arrived('addresses.pcap', 2 * 702);
  await peer.end();
  return { toGroup, received: recorded.map(({ stdout }) => JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '')) };
}

async function limits(): Promise<object> {
  const counted = await capture('counted.pcap', '-i', 'a1', '--port', '5000', '--count', '25');
  const sized = await capture('sized.pcapng', '-i', 'a1', '--port', '5000', '--max-size', '10kB');
  const rotated = await capture(
    'ring.pcapng',
    '-i',
    'a1',
    '--port',
    '5000',
    '--max-size',
    '10kB',
    '--rotate',
    '--keep',
    '2',
  );
  const snapped = await capture('snapped.pcap', '-i', 'a1', '--port', '5000', '--snap', '60', '--count', '100');
  await replay(LOW, '--to', 'a0', '--speed', 'max');
  const ends = [await counted.ended, await sized.ended, await snapped.ended];
  await arrived('ring-00101.pcapng', 2);
  ends.push(await rotated.end());
  return { limits: ends.map(summary) };
}

const told = { ...(await onTheWire()), ...(await rewritten()), ...(await toAddresses()), ...(await limits()) };
process.stdout.write(`${JSON.stringify(told)}\n`);
process.exit();
