import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';

/** How often the probes wake, ms. The interval itself is in every sample and is taken off again. */
const RESOLUTION_MS = 100;
/** Seconds between two restarts of the long probes: what they tell covers this long to twice as long. */
const HALF_WINDOW_S = 30;

/** A distribution of delays, in seconds, with the number of samples behind it. */
export interface DelaySummary {
  readonly count: number;
  readonly mean: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly max: number;
}

/**
 * Measures how late the JavaScript event loop is, for two readings that do not disturb each other however many ask: the
 * last second (status page), and the last 30 to 60 s (metrics, whatever the scrape interval).
 */
export class LoopDelay {
  readonly #second = probe();
  #older = probe();
  #newer = probe();
  #seconds = 0;
  #lastSecond: DelaySummary = summarise(this.#second);

  /** Closes the running second; to be called once a second. */
  tick(): void {
    this.#lastSecond = summarise(this.#second);
    this.#second.reset();
    if (++this.#seconds % HALF_WINDOW_S !== 0) return;
    [this.#older, this.#newer] = [this.#newer, this.#older];
    this.#newer.reset();
  }

  /** The last full second. */
  get lastSecond(): DelaySummary {
    return this.#lastSecond;
  }

  /** The last 30 to 60 s (less just after the start). */
  get lastMinute(): DelaySummary {
    return summarise(this.#older);
  }

  /** Ends the probes. Idempotent. */
  close(): void {
    for (const histogram of [this.#second, this.#older, this.#newer]) histogram.disable();
  }
}

function probe(): IntervalHistogram {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  histogram.enable();
  return histogram;
}

function summarise(histogram: IntervalHistogram): DelaySummary {
  const { count } = histogram;
  const delay = (ns: number): number => (count === 0 ? 0 : Math.max(0, ns / 1e9 - RESOLUTION_MS / 1e3));
  return {
    count,
    mean: delay(histogram.mean),
    p50: delay(histogram.percentile(50)),
    p90: delay(histogram.percentile(90)),
    p99: delay(histogram.percentile(99)),
    max: delay(histogram.max),
  };
}
