import type { SluiceError } from '../../base/errors.js';

/** Attempts at one URL before the next is taken. */
const ATTEMPTS_PER_URL = 2;
const FIRST_MS = 250;
const LEAST_MS = 20;
const CAP_MS = 1_000;
/** From this age of an outage on, attempts are spaced further. */
const OLD_OUTAGE_MS = 30_000;
const OLD_CAP_MS = 5_000;
/** When every URL is unusable as configured. */
const PERMANENT_MS = 30_000;
/** Media that flowed for so long ends an outage; less counts as one more failure of it. */
const STEADY_MS = 5_000;

/** Faults that another attempt soon will not mend. */
const PERMANENT: ReadonlySet<string> = new Set([
  'SOURCE_ENCRYPTED',
  'SOURCE_UNSUPPORTED',
  'SOURCE_NOT_MPEGTS',
  'SOURCE_PROGRAM_REQUIRED',
  'SOURCE_PROGRAM_MISSING',
  'SOURCE_NO_PCR',
]);

/** Whether the fault lies in what the source is, not in whether it can be reached. */
export function isPermanent(error: SluiceError): boolean {
  return PERMANENT.has(error.code);
}

export interface Decision {
  /** Time to wait before the next attempt. */
  readonly delayMs: number;
  /** URL to try next, by index. */
  readonly index: number;
  /** It is another one than before: what comes does not continue what came. */
  readonly switched: boolean;
  /** Every URL has turned out unusable as configured. */
  readonly hopeless: boolean;
}

/**
 * When to try again, and where: exponential backoff with full jitter, capped low at first, so that the picture is back soon
 * after the origin is; and round robin over the URLs. Pure: time and chance are arguments.
 */
export class RetryPolicy {
  readonly #count: number;
  readonly #random: () => number;
  readonly #permanent = new Set<number>();
  #index = 0;
  #attempts = 0;
  #attemptsHere = 0;
  #outageAt: number | null = null;
  #flowingAt: number | null = null;
  #failures = 0;

  /** @param count number of URLs, at least 1; @param random as Math.random */
  constructor(count: number, random: () => number) {
    this.#count = count;
    this.#random = random;
  }

  /** URL in use, by index. */
  get index(): number {
    return this.#index;
  }

  /** Failures since the start. */
  get failures(): number {
    return this.#failures;
  }

  /** Media arrives. */
  flowing(now: number): void {
    this.#flowingAt ??= now;
    this.#permanent.delete(this.#index);
  }

  failed(error: SluiceError, now: number): Decision {
    if (this.#flowingAt !== null && now - this.#flowingAt >= STEADY_MS) this.#calm();
    this.#flowingAt = null;
    this.#outageAt ??= now;
    this.#failures += 1;
    this.#attempts += 1;
    this.#attemptsHere += 1;
    if (isPermanent(error)) this.#permanent.add(this.#index);
    else this.#permanent.delete(this.#index);
    const switched = this.#advance();
    const hopeless = this.#permanent.size === this.#count;
    return { delayMs: hopeless ? PERMANENT_MS : this.#backoff(now), index: this.#index, switched, hopeless };
  }

  #calm(): void {
    this.#attempts = 0;
    this.#attemptsHere = 0;
    this.#outageAt = null;
  }

  #advance(): boolean {
    const spent = this.#permanent.has(this.#index) || this.#attemptsHere >= ATTEMPTS_PER_URL;
    if (!spent || this.#count === 1) return false;
    this.#index = (this.#index + 1) % this.#count;
    this.#attemptsHere = 0;
    return true;
  }

  #backoff(now: number): number {
    const cap = now - (this.#outageAt ?? now) < OLD_OUTAGE_MS ? CAP_MS : OLD_CAP_MS;
    const ceiling = Math.min(cap, FIRST_MS * 2 ** Math.min(this.#attempts - 1, 10));
    return Math.max(LEAST_MS, this.#random() * ceiling);
  }
}
