import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ROOT } from '../../test/lab/lib/compile.js';
import { poll } from '../../test/lab/lib/poll.js';
import type { Child } from '../../test/lab/lib/process.js';
import type { Group, Sample } from '../lib/bench.js';
import { AdminApi, flowCount } from '../lib/flows/admin.js';
import { writeConfiguration } from '../lib/flows/daemon.js';
import { sampled } from '../lib/flows/topology.js';
import { begins, generate, type Heard, heardBy, listen, sentBy } from '../lib/flows/traffic.js';
import type { Topology } from '../lib/topology.js';
import { flowsOf, type Relaying, sluice } from '../voice/programs.js';
import { BYTES, FLOWS, type Reference } from './delay.js';

const RELAYING: Relaying = { receivers: sampled(FLOWS), kind: 'shared' };
const PART = 0.5;

/** What is done to the daemon in every second phase. */
export interface Disturbance {
  readonly name: string;
  readonly env: Readonly<Record<string, string>>;
  disturb(topology: Topology, daemon: Child, count: number): void;
  /** Resolves when the last of so many disturbances is seen to have done what it should. */
  seen?(topology: Topology, daemon: Child, count: number): Promise<void>;
}

const PRELOAD = { NODE_OPTIONS: `--import=${pathToFileURL(join(ROOT, 'dist/bench/relay-latency/disturb.js')).href}` };

const standStill = (_: Topology, daemon: Child): void => daemon.signal('SIGUSR2');

/** One flow more, or one less. */
const flowsAfter = (count: number): number => FLOWS + (count % 2);

function reload(topology: Topology, daemon: Child, count: number): void {
  writeConfiguration(topology, { flows: flowsOf({ ...RELAYING, receivers: sampled(flowsAfter(count)) }) });
  daemon.signal('SIGHUP');
}

async function reloaded({ lab }: Topology, daemon: Child, count: number): Promise<void> {
  if (!daemon.running) throw new Error(`the daemon ended: ${daemon.tail()}`);
  const api = new AdminApi(lab.file('admin.sock'));
  try {
    await poll(async () => (await flowCount(api)) === flowsAfter(count), 5_000, 'the daemon to have reloaded');
  } finally {
    api.close();
  }
}

export const DISTURBANCES: readonly Disturbance[] = [
  { name: 'JavaScript blocked for 200 ms', env: PRELOAD, disturb: standStill },
  { name: 'a reload', env: {}, disturb: reload, seen: reloaded },
  {
    name: 'JavaScript busy for 200 ms',
    env: { ...PRELOAD, SLUICE_BENCH_DISTURB: 'busy' },
    disturb: standStill,
  },
];

/** Phases of the generator: one to settle, then undisturbed ones and disturbed ones in turn. */
const isDisturbed = (phase: number): boolean => phase % 2 === 0;

async function run(topology: Topology, reference: Reference, one: Disturbance, pairs: number): Promise<Sample> {
  const rate = PART * (await reference.capacity(RELAYING.kind));
  const { child, targets } = await sluice.start(topology, RELAYING, one.env);
  try {
    const sink = await listen(topology, FLOWS);
    const phases = Array.from({ length: 1 + 2 * pairs }, () => ({ rate, seconds: 1 }));
    const generator = await generate(topology, { targets, bytes: BYTES, burst: 1, phases });
    for (let pair = 1; pair <= pairs; pair++) {
      await begins(generator, 2 * pair, 5_000);
      one.disturb(topology, child, pair);
    }
    await sentBy(generator);
    await one.seen?.(topology, child, pairs);
    return summary(await heardBy(sink));
  } finally {
    await child.stop();
  }
}

function summary(heard: ReadonlyMap<number, Heard>): Sample {
  const counted = [...heard.values()].filter(({ phase }) => phase > 0);
  const p99 = (disturbed: boolean): number[] =>
    counted
      .filter(({ phase }) => isDisturbed(phase) === disturbed)
      .map((one) => one.p99)
      .toSorted((a, b) => a - b);
  const [still, disturbed] = [p99(false), p99(true)];
  const middle = disturbed[disturbed.length >> 1] ?? Number.NaN;
  const gaps = counted.reduce((sum, one) => sum + one.gaps, 0);
  const list = (values: readonly number[]): string => values.map((value) => value.toFixed(0)).join(', ');
  return {
    figures: { p99: middle, spread: middle / (still.at(-1) ?? Number.NaN), gaps },
    notes: [`undisturbed ${list(still)} us, disturbed ${list(disturbed)} us`],
  };
}

/** The delay while something else happens in the daemon, beside the seconds in which nothing does. */
export function disturbanceGroup(topology: Topology, reference: Reference, one: Disturbance, quick: boolean): Group {
  const measure = (): Promise<Sample> => run(topology, reference, one, quick ? 3 : 5);
  return {
    figures: [
      { case: `${one.name}, delay p99`, unit: 'us', better: 'less', key: 'p99' },
      { case: `${one.name}, p99 beside the highest undisturbed one`, unit: 'times', better: 'less', key: 'spread' },
      { case: `${one.name}, gaps in the sequence`, unit: 'gaps', better: 'less', key: 'gaps' },
    ],
    ours: { name: sluice.name, measure },
    limit: null,
    peers: [],
    notes: [`${FLOWS} flows on one port at ${PART * 100} % of capacity; seconds with and without in turn, medians`],
  };
}
