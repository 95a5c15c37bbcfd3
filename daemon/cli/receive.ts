import { closeSync, openSync } from 'node:fs';
import { getSystemErrorName } from 'node:util';
import { type Command, Option } from 'commander';
import { systemClock } from '../base/clock.js';
import { SluiceError } from '../base/errors.js';
import type { PlaneApi, ReceiverHandle, RecordingOptions } from '../plane/contract.js';
import { createPlane } from '../plane/plane.js';
import type { DatagramLocation } from '../streams/media-url.js';
import { recordingTo } from './arguments.js';
import { type Flags, type Job, readArguments } from './receive-job.js';
import {
  HEADING,
  type Interval,
  intervalBetween,
  type Sample,
  summarise,
  summaryText,
  tableLine,
} from './receive-report.js';
import { Ending } from './supervise.js';

const INTERVAL_MS = 1000;
/** The heading comes again after so many lines, for people who scroll. */
const HEADING_EVERY = 20;
/** How often it is said that still nothing has come, in intervals. */
const SILENCE_EVERY = 5;
/** A receiver needs no ring; the plane wants a budget all the same. */
const PLANE_MEMORY_BYTES = 1 << 20;

/** `sluice receive URL`: joins, reorders, measures, and writes the MPEG-TS where wanted. */
export function register(program: Command): void {
  program
    .command('receive')
    .summary('receive and measure a multicast or unicast stream')
    .description(
      'Joins a group (or binds an own unicast address), puts RTP packets back into order, and reports once a second on standard ' +
        'error: rate, loss, jitter (RFC 3550), PCR jitter, continuity errors (ISO/IEC 13818-1). Ends with SIGINT.',
    )
    .argument(
      '<url>',
      'rtp://[SOURCE@]GROUP:PORT[?iface=NAME], udp:// for MPEG-TS without RTP, or http://….sdp: what that describes, with its repair',
    )
    .option('--iface <name>', 'interface to join on, where the URL is a description')
    .option('-o, --output <file>', 'write the MPEG-TS to a file, or to standard output with -')
    .option(
      '--record <file>',
      'record every datagram as it came (pcapng; pcap where the file is called so), with IP and UDP headers made from what the ' +
        'socket tells: needs no privilege',
    )
    .option('--stats', 'report also while writing with -o')
    .option('--json', 'one JSON line per second and one at the end, on standard output (standard error with -o -)')
    .option('--duration <time>', 'end after this time, such as 10s or 10 (seconds); fails when nothing came by then')
    .option('--reorder <time>', 'how long a missing RTP packet is waited for, 0ms to 2s', '50ms')
    .addOption(
      new Option('--numbering <where>', 'where packets have their numbers')
        .choices(['rtp', 'rtp-extension', 'ip-option', 'field'])
        .default('rtp'),
    )
    .option('--repair', 'repair lost RTP packets by the parity on the ports + 2, + 4 (ST 2022-1) and + 6')
    .option('--retransmission <address:port>', 'ask there for what is lost (RFC 4585, RFC 4588); implies --repair')
    .option('--tokens', 'with --retransmission: get a token there first (RFC 6284)')
    .option('--rapid', 'with --retransmission: begin with a burst from there (RFC 6285), and join after it')
    .option('--range <url>', 'fetch there by HTTP what still is missing: the .rtp of a rendition; implies --repair')
    .option('--playout <time>', 'with --repair: from arrival to delivery, 10ms to 10s', '200ms')
    .addHelpText(
      'after',
      '\nExamples:\n' +
        '  sluice receive rtp://239.1.1.1:5000?iface=eth0\n' +
        '  sluice receive rtp://192.0.2.7@232.1.1.1:5000 --duration 10s --json\n' +
        '  sluice receive udp://239.1.1.1:1234 -o - | ffplay -\n' +
        '  sluice receive http://192.0.2.1:8080/live/news/main.repair.sdp --iface eth0\n' +
        '  sluice receive rtp://239.1.1.1:5000 --retransmission 192.0.2.1:5008 --playout 300ms -o news.ts\n' +
        '\nPCR jitter is the largest deviation, within the last second, from a line fitted to the PCRs of the last four.',
    )
    .action(async (url: string, flags: Flags) => {
      await receive(await readArguments(url, flags));
    });
}

async function receive(job: Job): Promise<void> {
  const ending = new Ending();
  const plane = createPlane({ memoryBytes: PLANE_MEMORY_BYTES });
  const fd = openOutput(job.output);
  try {
    const { address, port, source, interfaceName } = job.location;
    const receiver = plane.addReceiver({
      address,
      port,
      source,
      interfaceName,
      reorderMs: job.reorderMs,
      numbering: job.numbering,
      repair: job.repair,
      outputFd: fd,
      recording: job.record === undefined ? null : recordingOf(job.record, job.location),
    });
    await new Measurement(plane, receiver, job, ending).run();
    plane.removeReceiver(receiver);
  } finally {
    await plane.close();
    if (fd !== null && fd > 2) closeSync(fd);
  }
}

function recordingOf(file: string, { display, interfaceName }: DatagramLocation): RecordingOptions {
  if (file === '-') throw new SluiceError('USAGE', 'receive: --record: expected a file, got -');
  return { ...recordingTo(file), interfaceName, comment: `sluice receive ${display}; IP and UDP headers made anew` };
}

function openOutput(output: string | undefined): number | null {
  if (output === undefined) return null;
  if (output === '-') return 1;
  try {
    return openSync(output, 'w');
  } catch (error) {
    throw new SluiceError(
      'SYSTEM_CALL',
      `receive: -o ${output}: ${(error as Error).message}`,
      { file: output },
      { cause: error },
    );
  }
}

/** Looks at the counters once a second and tells what it sees, until the end is wanted. */
class Measurement {
  readonly #began = systemClock.now();
  #last: Sample;
  #lines = 0;
  #silent = 0;
  #jitterMs = 0;
  #pcrJitterMs = 0;
  /** By how much output errors grew when they grew last. */
  #lastErrorStep = 0;

  constructor(
    private readonly plane: PlaneApi,
    private readonly receiver: ReceiverHandle,
    private readonly job: Job,
    private readonly ending: Ending,
  ) {
    this.#last = this.#sample();
  }

  async run(): Promise<void> {
    const { durationMs } = this.job;
    for (let tick = 1; !this.ending.signal.aborted; tick++) {
      const elapsed = systemClock.now() - this.#began;
      const next = Math.min(tick * INTERVAL_MS, durationMs ?? Number.POSITIVE_INFINITY);
      await systemClock.delay(Math.max(0, next - elapsed), this.ending.signal).catch(() => undefined);
      if (this.ending.signal.aborted || this.#look()) break;
      if (durationMs !== undefined && next >= durationMs) break;
    }
    this.#conclude();
  }

  #sample(): Sample {
    return { seconds: (systemClock.now() - this.#began) / 1000, counters: this.plane.inputCounters(this.receiver) };
  }

  /** One interval; true when there is nobody left to write to. */
  #look(): boolean {
    const now = this.#sample();
    const before = this.#last;
    this.#last = now;
    const interval = intervalBetween(before, now);
    this.#jitterMs = Math.max(this.#jitterMs, interval.jitterMs);
    this.#pcrJitterMs = Math.max(this.#pcrJitterMs, interval.pcrJitterMs);
    if (interval.outputErrors > 0) this.#lastErrorStep = interval.outputErrors;
    if (this.job.json) this.#json({ type: 'interval', ...interval });
    else if (this.job.report && now.counters.packets > 0) this.#line(interval);
    this.#silent = interval.packets > 0 ? 0 : this.#silent + 1;
    if (this.#silent % SILENCE_EVERY === 1) this.#note(this.#silence());
    return this.#readerIsGone(before, now);
  }

  /**
   * A reader that goes away counts one error, after which nothing is written any more. One that merely stands still lets
   * errors grow with every packet.
   */
  #readerIsGone(before: Sample, now: Sample): boolean {
    if (this.job.output === undefined || this.#lastErrorStep !== 1) return false;
    const still = (name: 'outputErrors' | 'outputBytes'): boolean => now.counters[name] === before.counters[name];
    return still('outputErrors') && still('outputBytes') && now.counters.tsPackets > before.counters.tsPackets;
  }

  #line(interval: Interval): void {
    const heading = process.stderr.isTTY ? this.#lines % HEADING_EVERY === 0 : this.#lines === 0;
    if (heading) this.#note(HEADING);
    this.#note(tableLine(interval));
    this.#lines++;
  }

  #silence(): string {
    if (this.#last.counters.packets > 0) return `no packets for ${this.#silent} s from ${this.job.location.display}`;
    const { address, port, source, interfaceName } = this.job.location;
    return (
      `joined, no packets yet: ${address} port ${port}, ${source === null ? 'any source' : `source ${source}`}, ` +
      `${interfaceName === null ? "the interface of the kernel's route" : `interface ${interfaceName}`}. ` +
      'Is the sender on, its TTL high enough, IGMP let through, no firewall or reverse path filter (rp_filter) in between?'
    );
  }

  #conclude(): void {
    const last = this.#sample();
    const url = this.job.location.display;
    const summary = summarise(url, last, { jitterMs: this.#jitterMs, pcrJitterMs: this.#pcrJitterMs });
    if (this.job.json) {
      const { counters, ...figures } = summary;
      this.#json({ type: 'summary', ...figures, ...counters });
    } else {
      this.#note(summaryText(summary, { ...this.job, repairs: this.job.repair !== null }));
    }
    const { recordError } = last.counters;
    if (recordError !== 0) {
      const file = this.job.record ?? '';
      throw new SluiceError('SYSTEM_CALL', `receive: --record ${file}: ${getSystemErrorName(-recordError)}`, { file });
    }
    if (!this.ending.signal.aborted && last.counters.packets === 0) {
      throw new SluiceError('SOURCE_STALLED', `no packets from ${url} in ${summary.seconds} s`, { url });
    }
  }

  #note(text: string): void {
    process.stderr.write(`${text}\n`);
  }

  #json(value: object): void {
    const stream = this.job.output === '-' ? process.stderr : process.stdout;
    stream.write(`${JSON.stringify(value)}\n`);
  }
}
