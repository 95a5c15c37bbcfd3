import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { z } from 'zod';
import { ROOT } from '../../daemon/cli/root.js';
import { Program, sluice, temporaryFolder } from '../cli/lib/program.js';
import { TsMaker } from '../streams/ts-maker.js';
import { LoopbackSender, rtpPackets } from './rtp-sender.js';

const JOINED = /joined, no packets yet/;
const SSRC = 0x1234abcd;
const FIRST_SEQUENCE = 65_500;

const summarySchema = z.looseObject({ type: z.literal('summary') }).catchall(z.union([z.number(), z.string()]));

function summaryOf(text: string): z.output<typeof summarySchema> {
  return summarySchema.parse(JSON.parse(text.trimEnd().split('\n').at(-1) ?? ''));
}

test('loss, reordering and duplicates are counted, the MPEG-TS is written in order', { timeout: 60_000 }, async (t) => {
  const file = join(temporaryFolder(t), 'out.ts');
  const url = 'rtp://239.255.76.1:15000?iface=lo';
  const program = new Program(t, ['receive', url, '--json', '-o', file]);
  await program.said(JOINED, 20_000);
  const ts = new TsMaker().frames(0, 250);
  const whole = rtpPackets(ts, SSRC, FIRST_SEQUENCE);
  const lost = 100;
  const sent = whole.filter((_, n) => n !== lost);
  [sent[20], sent[21]] = [sent[21] as Buffer, sent[20] as Buffer];
  sent.splice(50, 0, sent[49] as Buffer);
  const sender = await LoopbackSender.open(t);
  await sender.send(sent, 15000, '239.255.76.1');
  // The gap is given up after the reorder time at the latest; everything before the signal is counted.
  await program.said(/"packets":\d+,"rtpLost":1/, 10_000);
  program.child.kill('SIGINT');
  const ended = await program.ended;
  t.equal(ended.code, 0);
  t.match(summaryOf(ended.stdout), {
    url,
    packets: whole.length,
    rtpLost: 1,
    rtpReordered: 1,
    rtpDuplicates: 1,
    rtpLate: 0,
    malformed: 0,
    kernelDrops: 0,
    tsPackets: ts.length / 188 - 7,
    ssrc: SSRC,
    lastSequence: 65_536 + FIRST_SEQUENCE + whole.length - 1,
    syncErrors: 0,
  });
  t.ok(Number(summaryOf(ended.stdout)['continuityErrors']) >= 1);
  const expected = Buffer.concat(whole.filter((_, n) => n !== lost).map((packet) => packet.subarray(12)));
  t.ok(readFileSync(file).equals(expected), 'the file has all that came, in order');
});

test('a source-specific join hears its source only', { timeout: 60_000 }, async (t) => {
  const program = new Program(t, ['receive', 'rtp://127.0.0.2@232.255.76.2:15002?iface=lo', '--json']);
  await program.said(JOINED, 20_000);
  const packets = rtpPackets(new TsMaker().frames(0, 25), SSRC, 1);
  const wanted = await LoopbackSender.open(t, '127.0.0.2');
  const stranger = await LoopbackSender.open(t, '127.0.0.3');
  await stranger.send(rtpPackets(new TsMaker().frames(0, 25), 99, 1), 15002, '232.255.76.2');
  await wanted.send(packets, 15002, '232.255.76.2');
  await program.said(/"packets":[1-9]/, 10_000);
  program.child.kill('SIGTERM');
  const ended = await program.ended;
  t.equal(ended.code, 0);
  t.match(summaryOf(ended.stdout), { packets: packets.length, ssrc: SSRC, malformed: 0, continuityErrors: 0 });
});

test('plain MPEG-TS: a table for people', { timeout: 60_000 }, async (t) => {
  const program = new Program(t, ['receive', 'udp://239.255.76.3:15005?iface=lo']);
  await program.said(JOINED, 20_000);
  const ts = new TsMaker().frames(0, 25);
  const datagrams = rtpPackets(ts, SSRC, 1).map((packet) => packet.subarray(12));
  await (await LoopbackSender.open(t)).send(datagrams, 15005, '239.255.76.3');
  await program.said(/^ +\d+s +\d+\.\d{3} +[1-9]/m, 10_000);
  program.child.kill('SIGINT');
  const { code, stdout, stderr } = await program.ended;
  t.equal(code, 0);
  t.equal(stdout, '');
  t.match(stderr, /^ +TIME +MBIT\/S +PACKETS +LOST/m);
  t.match(stderr, new RegExp(`${datagrams.length} packets, .*no RTP`));
  t.match(stderr, new RegExp(`${ts.length / 188} packets, 0 continuity errors`));
});

test('a reader that goes away ends it quietly', { timeout: 60_000 }, async (t) => {
  const script = join(ROOT, 'dist', 'daemon', 'cli', 'sluice.js');
  const child = spawn(process.execPath, [script, 'receive', 'udp://239.255.76.4:15007?iface=lo', '-o', '-'], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  t.teardown(() => void child.kill('SIGKILL'));
  let told = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    told += text;
  });
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
  const deadline = Date.now() + 20_000;
  while (!JOINED.test(told) && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 20));
  child.stdout.once('data', () => child.stdout.destroy());
  const sender = await LoopbackSender.open(t);
  const datagrams = rtpPackets(new TsMaker().frames(0, 25), SSRC, 1).map((packet) => packet.subarray(12));
  while (child.exitCode === null && Date.now() < deadline) await sender.send(datagrams, 15007, '239.255.76.4');
  t.equal(await ended, 0);
  t.notMatch(told, /EPIPE|sluice:/);
});

test('nothing came: said, and a failure when a time was set', { timeout: 60_000 }, async (t) => {
  const { code, stderr } = await sluice(t, 'receive', 'rtp://239.255.76.5:15008?iface=lo', '--duration', '1.2');
  t.equal(code, 1);
  t.match(stderr, /joined, no packets yet: 239\.255\.76\.5 port 15008, any source, interface lo/);
  t.match(stderr, /SOURCE_STALLED: no packets/);
});

test('wrong use is told with what was expected', { timeout: 60_000 }, async (t) => {
  const cases: readonly (readonly [args: readonly string[], code: number, message: RegExp])[] = [
    [['rtp://239.1.1.1'], 2, /expected .*rtp:\/\/\[SOURCE@\]ADDRESS:PORT/],
    [['rtp://239.1.1.1:5001'], 2, /even port/],
    [['http://origin.example/x.ts'], 2, /expected rtp:\/\/ or udp:\/\//],
    [['rtp://239.1.1.1:5000?iface=lo&ttl=3'], 2, /expected no parameter but iface, got ttl/],
    [['rtp://239.1.1.1:5000', '--reorder', '3s'], 2, /--reorder: expected a duration of 0ms to 2s/],
    [['rtp://239.1.1.1:5000?iface=nosuch0'], 1, /INTERFACE_UNKNOWN.*`nosuch0`/],
    [['rtp://239.1.1.1:5000?iface=lo', '-o', '/nonexistent/out.ts'], 1, /SYSTEM_CALL.*nonexistent/],
  ];
  for (const [args, code, message] of cases) {
    const ended = await sluice(t, 'receive', ...args);
    t.equal(ended.code, code, args.join(' '));
    t.match(ended.stderr, message);
  }
});
