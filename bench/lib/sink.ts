import { z } from 'zod';
import { poll } from '../../test/lab/lib/poll.js';
import type { Child } from '../../test/lab/lib/process.js';
import { cpuSeconds, processTree } from './processes.js';

/**
 * What a sink prints every 100 ms; `at` is CLOCK_MONOTONIC in ns, the others are totals, `connected` is a gauge. Viewers of
 * objects add requests that were late, and the microseconds from each request to its first byte since the report before. Viewers
 * of a stream add how many have had some of it, how many of these began with a PAT, and after how long the last of them.
 */
const report = z.object({
  at: z.number(),
  bytes: z.number(),
  connected: z.number(),
  errors: z.number(),
  late: z.number().default(0),
  served: z.number().default(0),
  entered: z.number().default(0),
  served_ms: z.number().default(0),
  firsts: z.array(z.number()).default([]),
});
type Report = z.infer<typeof report>;

function reports(sink: Child): Report[] {
  if (!sink.running) throw new Error(`${sink.name} ended: ${sink.tail()}`);
  return sink.lines().map((line) => report.parse(JSON.parse(line)));
}

const nowNs = (): number => Number(process.hrtime.bigint());

/** Waits until all clients are connected and bytes come. */
export async function flowing(sink: Child, clients: number, timeoutMs: number): Promise<void> {
  const ready = (): boolean => {
    const last = reports(sink).at(-1);
    return last !== undefined && last.connected >= clients && last.bytes > 0;
  };
  await poll(ready, timeoutMs, () => `${clients} clients of ${sink.name}: ${sink.tail().split('\n').at(-1)}`);
}

/** How a burst of arrivals went. */
export interface Burst {
  /** Clients that have had bytes of the stream. */
  readonly served: number;
  /** Of these, those whose first packet was a PAT. */
  readonly entered: number;
  /** Clients that are no longer connected. */
  readonly ended: number;
  /** From the first connection to the first byte of the last client that had any. */
  readonly ms: number;
}

/** Waits until all clients have had bytes, but not longer than so. */
export async function served(sink: Child, clients: number, timeoutMs: number): Promise<Burst> {
  const last = (): Report | undefined => reports(sink).at(-1);
  await poll(() => (last()?.served ?? 0) >= clients, timeoutMs, 'all to be served').catch(() => null);
  const report = last();
  if (report === undefined) throw new Error(`${sink.name} does not report`);
  const { served, entered, connected, served_ms: ms } = report;
  return { served, entered, ended: clients - connected, ms };
}

/** Resolves when so many milliseconds of the measurement have passed. */
export function elapse(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}

/** What went through a sink while a program was watched. */
export interface Delivery {
  /** Bits delivered to all clients. */
  readonly bits: number;
  /** CPU seconds of the program, all threads and children. */
  readonly cpu: number;
  readonly seconds: number;
  /** Gaps in the continuity or the sequence that the sink saw. */
  readonly errors: number;
  /** Requests that came late because the answer before was. */
  readonly late: number;
  /** Milliseconds from each request to its first byte, smallest first. */
  readonly firstBytes: readonly number[];
}

/** Watches a program and its sink for so long. Bytes are taken between reports by interpolation. */
export async function watch(program: Child, sink: Child, ms: number): Promise<Delivery> {
  const pids = processTree(program.pid);
  const [beginCpu, begin] = [cpuSeconds(pids), nowNs()];
  await elapse(ms);
  const [endCpu, end] = [cpuSeconds(pids), nowNs()];
  await poll(() => (reports(sink).at(-1)?.at ?? 0) > end, 5_000, 'the sink to report');
  if (!program.running) throw new Error(`${program.name} ended: ${program.tail()}`);
  const all = reports(sink);
  const between = (key: 'bytes' | 'errors' | 'late'): number => at(all, end, key) - at(all, begin, key);
  return {
    bits: between('bytes') * 8,
    cpu: endCpu - beginCpu,
    seconds: (end - begin) / 1e9,
    errors: Math.ceil(between('errors')),
    late: Math.ceil(between('late')),
    firstBytes: all
      .filter((one) => one.at > begin && one.at <= end)
      .flatMap((one) => one.firsts)
      .map((microseconds) => microseconds / 1000)
      .toSorted((a, b) => a - b),
  };
}

/** A total at a moment between two reports. */
function at(all: readonly Report[], moment: number, key: 'bytes' | 'errors' | 'late'): number {
  const after = all.findIndex((one) => one.at >= moment);
  const [a, b] = [all[after - 1], all[after]];
  if (a === undefined || b === undefined) throw new Error('the sink has no reports around the measurement');
  return a[key] + ((b[key] - a[key]) * (moment - a.at)) / (b.at - a.at);
}
