import type { Code } from './codes.js';

/** One link, and how many packets go over it. */
export interface Way {
  /** `random 5 %`. */
  readonly name: string;
  /** Share that is lost at random, or how many in a row of each {@link PERIOD}. */
  readonly loss: { readonly random: number } | { readonly burst: number };
  /** Milliseconds. */
  readonly roundTrip: number;
  /** Of the media. */
  readonly megabits: number;
  readonly packets: number;
}

/** Packets in which there is one burst. */
export const PERIOD = 2_000;

export interface Outcome {
  readonly lost: number;
  /** Percent of the media's bytes. */
  readonly parity: number;
  readonly resends: number;
}

/** Lets a stream go over a link: the model, or a real one. */
export interface Trial {
  /**
   * The receiver waits a block of `code` and four round trips before it gives up; without `code`, as long as with one of `like`.
   *
   * @param resends whether what is missing is asked for
   */
  run(way: Way, code: Code | null, resends: boolean, like?: Code | null): Promise<Outcome>;
}

const BYTES = 1_316;

/** Milliseconds between packets. */
export const intervalMs = ({ megabits }: Way): number => (BYTES * 8) / (megabits * 1_000);

/** Milliseconds from arrival to delivery. */
export const playoutMs = (way: Way, code: Code | null): number =>
  (code?.span ?? 0) * intervalMs(way) + 4 * way.roundTrip;
