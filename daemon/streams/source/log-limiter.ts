/** Lets one line through per period and counts the rest, so that a flapping source cannot flood the log. */
export class LogLimiter {
  readonly #periodMs: number;
  #lastAt = Number.NEGATIVE_INFINITY;
  #suppressed = 0;

  constructor(periodMs = 1_000) {
    this.#periodMs = periodMs;
  }

  /** Number of lines suppressed since the last one that passed, or null when this one must not pass either. */
  admit(now: number): number | null {
    if (now - this.#lastAt < this.#periodMs) {
      this.#suppressed += 1;
      return null;
    }
    const suppressed = this.#suppressed;
    this.#lastAt = now;
    this.#suppressed = 0;
    return suppressed;
  }
}
