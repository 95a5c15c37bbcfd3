/** Long enough to even out the bursts of segmented sources, short enough to follow a change. Milliseconds. */
const WINDOW_MS = 6000;

interface Sample {
  readonly ms: number;
  readonly bytes: number;
}

/** The growth of a total over the last six seconds. For the daemon and for its page alike. */
export class RateWindow {
  #samples: Sample[] = [];

  /**
   * Takes a total and gives its growth in bits a second; 0 until there are two samples.
   * @param ms any clock that only grows; one that goes back begins anew, and so does a total
   */
  push(ms: number, bytes: number): number {
    const last = this.#samples.at(-1);
    if (last !== undefined && (ms < last.ms || bytes < last.bytes)) this.#samples = [];
    if (last === undefined || ms !== last.ms) this.#samples.push({ ms, bytes });
    while (this.#samples.length > 2 && ms - (this.#samples[0]?.ms ?? ms) > WINDOW_MS + 500) this.#samples.shift();
    const first = this.#samples[0];
    if (first === undefined || ms <= first.ms) return 0;
    return Math.round(((bytes - first.bytes) * 8000) / (ms - first.ms));
  }
}
