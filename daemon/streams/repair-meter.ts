/** What receivers report, as shares and rates of the last seconds: totals in, {@link Measured} out. */
import type { SenderCounters } from '../plane/contract.js';
import { type Measured, RUN_LENGTHS } from './repair-estimate.js';

/** So long is looked back: two of the intervals at which receivers report. */
const WINDOW_MS = 4_000;
/** Fewer different packets asked for say nothing of how many ask for the same. */
const FEWEST_ASKED = 10;

const RUNS = [
  'runs1',
  'runs2',
  'runs3',
  'runs4',
  'runs6',
  'runs8',
  'runs12',
  'runs16',
  'runs24',
  'runs32',
  'runs64',
  'runsLonger',
] as const satisfies readonly (keyof SenderCounters)[];

interface Sample {
  readonly at: number;
  readonly counters: SenderCounters;
}

/** Of one sender. Time is an argument, in milliseconds. */
export class RepairMeter {
  #samples: readonly Sample[] = [];
  #runs: readonly number[] = RUN_LENGTHS.map(() => 0);
  #sharing: number | null = null;

  /** Takes the totals as they are now; null while nobody reports, or nothing is sent. */
  take(counters: SenderCounters, at: number): Measured | null {
    this.#samples = [...this.#samples.filter((one) => at - one.at <= WINDOW_MS), { at, counters }];
    const first = this.#samples[0];
    if (first === undefined || first.at === at) return null;
    const grew = (name: keyof SenderCounters): number => counters[name] - first.counters[name];
    if (grew('lossReports') === 0 || grew('packets') === 0) return null;
    // What is known of how losses lie stays true until something else is known.
    const runs = RUNS.map(grew);
    if (runs.some((n) => n > 0)) this.#runs = runs;
    if (grew('askedPackets') >= FEWEST_ASKED) this.#sharing = grew('nacked') / grew('askedPackets');
    const meanLoss = grew('reportedExpected') === 0 ? 0 : grew('reportedMissing') / grew('reportedExpected');
    const roundTripUs = Math.max(...this.#samples.map((one) => one.counters.roundTripUs));
    return {
      receivers: counters.audience,
      meanLoss,
      tailLoss: Math.max(meanLoss, counters.tailLossPpm / 1e6),
      runs: this.#runs,
      roundTripMs: roundTripUs === 0 ? null : roundTripUs / 1000,
      packetsPerSecond: (grew('packets') * 1000) / (at - first.at),
      sharing: this.#sharing,
    };
  }
}
