import type { Child } from '../../../test/lab/lib/process.js';
import { cpuSeconds, processTree } from '../processes.js';
import { elapse } from '../sink.js';
import type { Topology } from '../topology.js';
import { highestBorne } from './search.js';
import { counted } from './topology.js';
import { begins, generate, sentBy, type Traffic } from './traffic.js';

/** One load, in packets that come in; every one goes out `copies` times. */
export interface Load extends Omit<Traffic, 'phases'> {
  readonly copies: number;
}

export interface Cost {
  /** Microseconds of CPU for each packet delivered, all threads and children. */
  readonly microseconds: number;
  /** Share of one core. */
  readonly busy: number;
  /** Packets delivered, of those that should have been. */
  readonly share: number;
}

interface Reading {
  readonly at: number;
  readonly delivered: number;
  readonly cpuAt: number;
  readonly cpu: number;
}

async function read(topology: Topology, pids: readonly number[]): Promise<Reading> {
  const delivered = await counted(topology);
  const at = performance.now() / 1000;
  return { delivered, at, cpu: cpuSeconds(pids), cpuAt: performance.now() / 1000 };
}

/** What a running program takes of the machine under a load of `rate` packets a second in. */
export async function costOf(
  topology: Topology,
  program: Child,
  load: Load,
  rate: number,
  seconds: number,
): Promise<Cost> {
  const generator = await generate(topology, { ...load, phases: [{ rate, seconds: seconds + SETTLES_MS / 1000 + 2 }] });
  try {
    await begins(generator, 0, 5_000);
    await elapse(SETTLES_MS);
    const pids = processTree(program.pid);
    const begin = await read(topology, pids);
    await elapse(seconds * 1000);
    const end = await read(topology, pids);
    if (!program.running) throw new Error(`${program.name} ended: ${program.tail()}`);
    const perSecond = (end.delivered - begin.delivered) / (end.at - begin.at);
    const busy = (end.cpu - begin.cpu) / (end.cpuAt - begin.cpuAt);
    return { microseconds: (busy / perSecond) * 1e6, busy, share: perSecond / (rate * load.copies) };
  } finally {
    await generator.stop();
  }
}

/** What the generator sends at most on one core, packets a second. */
export const GENERATOR_MOST = 330_000;
/** A machine on which a relay can do less is too busy with something else. */
export const LEAST_CAPACITY = 20_000;

/** A backlog longer than this when the last packet was sent is loss. */
const LATE_MS = 30;
const BEARABLE_LOSS = 1e-4;
/** Until a program does what it will go on doing: JavaScript is compiled meanwhile. */
const SETTLES_MS = 2_500;
type Outcome = 'borne' | 'lost' | 'not sent';

async function tryOnce(topology: Topology, load: Load, rate: number, seconds: number): Promise<Outcome> {
  const before = await counted(topology);
  const generator = await generate(topology, { ...load, phases: [{ rate, seconds }] });
  const [phase] = await sentBy(generator);
  await elapse(LATE_MS);
  const delivered = (await counted(topology)) - before;
  // What is late must not be counted for the next step.
  await elapse(5 * LATE_MS);
  if (phase === undefined || phase.sent < 0.98 * phase.asked) return 'not sent';
  return delivered >= phase.sent * load.copies * (1 - BEARABLE_LOSS) ? 'borne' : 'lost';
}

/** The machine is not ours alone: what is lost once is tried again, and what the generator had no time for, too. */
async function bears(topology: Topology, load: Load, rate: number, seconds: number): Promise<boolean> {
  for (let attempt = 0; attempt < 3; attempt++) {
    const outcome = await tryOnce(topology, load, rate, seconds);
    if (outcome === 'borne') return true;
    if (outcome === 'lost' && attempt > 0) return false;
  }
  return false;
}

/**
 * Capacity of a running program in packets in a second: the highest load with loss under 1e-4, to 5 %.
 *
 * @param guess where to look first
 */
export async function capacityOf(topology: Topology, load: Load, guess: number, seconds: number): Promise<number> {
  return highestBorne((rate) => bears(topology, load, rate, seconds), guess, GENERATOR_MOST);
}
