import type { Lab } from '../../test/lab/lib/lab.js';

/** One figure of a group of runs: becomes one line per peer. */
export interface Figure {
  /** Name of the case: `http 200 viewers`. */
  readonly case: string;
  readonly unit: string;
  /** Which way is better; ratios are turned so that greater is better. */
  readonly better: 'less' | 'more';
  /** Key in {@link Sample.figures}. */
  readonly key: string;
}

/** What one run measured. */
export interface Sample {
  readonly figures: Readonly<Record<string, number>>;
  /** What is to be known when reading the figures: loss, a run that did not reach its load. */
  readonly notes?: readonly string[];
}

/** One program that is measured. */
export interface Contender {
  readonly name: string;
  /** One run from start to end. Throws {@link Absent} when the program is not there. */
  measure(): Promise<Sample>;
}

/** Ours, the bare program and the peers under one load, measured in turn. */
export interface Group {
  readonly figures: readonly Figure[];
  readonly ours: Contender;
  readonly limit: Contender | null;
  readonly peers: readonly Contender[];
  /** Stands in every line of the group: what is the same, what is not. */
  readonly notes: readonly string[];
}

export interface BenchOptions {
  /** Short runs: shows that it works, not how fast it is. */
  readonly quick: boolean;
}

/** One thing that `npm run bench` can measure. */
export interface Bench {
  readonly name: string;
  readonly summary: string;
  /** Rounds of a full run; each contender is measured once a round. */
  readonly rounds: number;
  /** The table of docs/benches.md in Markdown, where one line per case and peer is not how it reads best. */
  readonly page?: (lines: readonly BenchLine[]) => string;
  /** Builds the topology and says what is to be measured. */
  prepare(lab: Lab, options: BenchOptions): Promise<readonly Group[]>;
}

/** Thrown by a contender whose program is not on this machine: its figures are null with this reason, never guessed. */
export class Absent extends Error {
  override readonly name = 'Absent';
}

/** The line for machines: one per case and peer. */
export interface BenchLine {
  readonly bench: string;
  readonly case: string;
  readonly unit: string;
  readonly ours: number | null;
  readonly limit: number | null;
  readonly peer: number | null;
  readonly peer_name: string | null;
  readonly ratio_to_limit: number | null;
  readonly ratio_to_peer: number | null;
  readonly runs: number;
  readonly notes: string;
}
