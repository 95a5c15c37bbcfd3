/** A source whose rate varies by six times, sent as it is and smoothed; the wire is recorded and read by tshark. */
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { ReceiverHandle } from '../../daemon/plane/contract.js';
import { temporaryFolder } from '../cli/lib/program.js';
import { has, must } from '../replay/tshark.js';
import { edge } from './bed.js';
import { type Edge, until } from './edge.js';
import { LiveOrigin } from './live-origin.js';
import { TsMaker } from './ts-maker.js';

const GROUP = '239.7.9.1';
const AS_IT_IS = 5040;
const SMOOTHED = 5050;
const MAX_DELAY_MS = 600;
/** The source's pictures are dated evenly over so much (StreamOptions.spreadMs). */
const SPREAD_MS = 200;
/** What a busy machine may add to a departure. */
const LATE_MS = 150;
const PACKETS = 700;
const WINDOW_MS = 100;

interface Packet {
  readonly ms: number;
  readonly sequence: number;
  readonly timestamp: number;
  readonly bytes: number;
  /** Of its first PCR, 90 kHz; null where it carries none. */
  readonly pcr: number | null;
}

const skip = has('tshark') ? false : 'tshark is not installed';

t.test('peaks do not reach the network, and no packet is late', { skip, timeout: 120_000 }, async (t) => {
  // Each second begins with 400 ms at six times the rate of the rest.
  const maker = new TsMaker(1, (picture) => (picture % 25 < 10 ? 15_000 : 2_400));
  const origin = new LiveOrigin(4, 6, maker);
  await origin.listen();
  t.teardown(() => origin.kill());
  const channel = (id: string, port: number, smoothing: unknown): object => ({
    id,
    hls: { segment: '1s' },
    smoothing,
    renditions: [
      {
        id: 'main',
        url: `${origin.base}/live/index.m3u8`,
        buffer: { memory: '4MiB' },
        multicast: { address: GROUP, port, interface: 'lo', ttl: 0 },
      },
    ],
  });
  const it = await edge(t, [
    channel('plain', AS_IT_IS, 'off'),
    channel('smooth', SMOOTHED, { threshold: '20%', max_delay: `${MAX_DELAY_MS}ms` }),
  ]);
  const smooth = (): ReturnType<Edge['rendition']>['smoothing'] => it.rendition(0, 1).smoothing;
  await until('the variation is seen', () => smooth().active && smooth().delayMs > 50, 30_000);
  const folder = temporaryFolder(t);
  const [plainFile, smoothFile] = [join(folder, 'plain.pcap'), join(folder, 'smooth.pcap')];
  const receivers = [record(it, AS_IT_IS, plainFile), record(it, SMOOTHED, smoothFile)];
  await until('packets', () => receivers.every((r) => it.plane.inputCounters(r).packets > PACKETS), 30_000);
  t.match(it.rendition(0, 0).smoothing, { thresholdPercent: null, active: false, delayMaxMs: 0 });
  t.match(smooth(), { thresholdPercent: 20, maxDelayMs: MAX_DELAY_MS });
  t.ok(smooth().delayMaxMs <= MAX_DELAY_MS, `the bound is kept: ${smooth().delayMaxMs} ms`);
  t.ok(smooth().variationPercent > 50 && smooth().outputPeakRate < 0.7 * smooth().peakRate);
  await tells(t, it);
  for (const receiver of receivers) it.plane.removeReceiver(receiver);

  // From here on tshark holds this process up, and with it the origin.
  const [before, after] = [read(plainFile, AS_IT_IS), read(smoothFile, SMOOTHED)];
  const mean = meanRate(before);
  t.ok(peakRate(before) > 1.6 * mean, `as it is: ${describe(before)}`);
  t.ok(peakRate(after) < 1.4 * meanRate(after), `smoothed: ${describe(after)}`);
  t.ok(inOrder(after), 'every packet, in order');
  const held = transitRange(after);
  t.ok(held < MAX_DELAY_MS + SPREAD_MS + LATE_MS, `PCR to wire varies by ${held.toFixed(0)} ms`);
  t.ok(held > transitRange(before), 'which is what smoothing is made of');
  t.ok(jitter(after) < 30, `RTP timestamps are those of the departure: jitter ${jitter(after).toFixed(1)} ms`);
});

/** The figures are where operators look. */
async function tells(t: Test, it: Edge): Promise<void> {
  const metrics = await it.metrics.text();
  t.match(metrics, /sluice_stream_smoothing_active\{stream="smooth\/main"\} 1\b/);
  t.match(metrics, /sluice_stream_smoothing_active\{stream="plain\/main"\} 0\b/);
  t.match(metrics, /sluice_stream_smoothing_delay_seconds\{stream="smooth\/main"\} 0\.\d/);
  const why = it.service.why('smooth')?.renditions[0]?.steps.find(({ step }) => step === 'smoothing');
  t.match(why?.says, /the rate varies by \d+ % \(over 20 %\): peaks of \d\.\d leave as \d\.\d Mbit\/s/);
}

function record(it: Edge, port: number, path: string): ReceiverHandle {
  return it.plane.addReceiver({
    address: GROUP,
    port,
    source: null,
    interfaceName: 'lo',
    reorderMs: 0,
    outputFd: null,
    recording: {
      path,
      format: 'pcap',
      interfaceName: null,
      comment: '',
      application: '',
      snaplen: 2000,
      maxPackets: PACKETS,
      maxBytes: 0,
      rotate: false,
      keep: 0,
    },
  });
}

function read(file: string, port: number): Packet[] {
  const fields = ['frame.time_epoch', 'rtp.seq', 'rtp.timestamp', 'udp.length', 'mp2t.af.pcr'];
  const options = ['-n', '-r', file, '-d', `udp.port==${port},rtp`, '-T', 'fields', '-E', 'occurrence=f'];
  const text = must('tshark', [...options, ...fields.flatMap((field) => ['-e', field])]);
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => {
      const [time = '', sequence, timestamp, bytes, pcr = ''] = line.split('\t');
      const base = pcr === '' ? null : Number(pcr) / 300;
      return {
        ms: Number(time) * 1000,
        sequence: Number(sequence),
        timestamp: Number(timestamp),
        bytes: Number(bytes),
        pcr: base,
      };
    });
}

/** Bytes a millisecond. */
function meanRate(packets: readonly Packet[]): number {
  const length = (packets.at(-1)?.ms ?? 0) - (packets[0]?.ms ?? 0);
  return packets.reduce((sum, { bytes }) => sum + bytes, 0) / length;
}

/** Of the fullest window that begins with a packet. */
function peakRate(packets: readonly Packet[]): number {
  let [first, bytes, most] = [0, 0, 0];
  for (const packet of packets) {
    bytes += packet.bytes;
    for (let head = packets[first]; head !== undefined && packet.ms - head.ms >= WINDOW_MS; head = packets[++first])
      bytes -= head.bytes;
    most = Math.max(most, bytes);
  }
  return most / WINDOW_MS;
}

function inOrder(packets: readonly Packet[]): boolean {
  return packets.every(({ sequence }, n) => n === 0 || sequence === (((packets[n - 1]?.sequence ?? 0) + 1) & 0xffff));
}

/** By how much the way from the media's clock to the wire differs, ms. */
function transitRange(packets: readonly Packet[]): number {
  const transits = packets.flatMap(({ ms, pcr }) => (pcr === null ? [] : [ms - pcr / 90]));
  return Math.max(...transits) - Math.min(...transits);
}

/** RFC 3550 section 6.4.1, ms. */
function jitter(packets: readonly Packet[]): number {
  return packets.reduce((j, packet, n) => {
    const before = packets[n - 1];
    if (before === undefined) return j;
    const steps = (packet.timestamp - before.timestamp) | 0;
    return j + (Math.abs(packet.ms - before.ms - steps / 90) - j) / 16;
  }, 0);
}

function describe(packets: readonly Packet[]): string {
  const megabits = (rate: number): string => ((rate * 8) / 1000).toFixed(2);
  return `mean ${megabits(meanRate(packets))}, peak ${megabits(peakRate(packets))} Mbit/s`;
}
