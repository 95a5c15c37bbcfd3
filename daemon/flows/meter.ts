import type { Clock } from '../base/clock.js';
import type { FlowCounters } from '../plane/contract.js';
import type { FlowRates } from './status.js';

type Totals = Pick<FlowCounters, 'packetsIn' | 'packetsOut' | 'bytesIn' | 'bytesOut'>;

/** Rates of a flow over the last second or so, and when it last had a packet. */
export class FlowMeter {
  #at: number;
  readonly #last: Record<keyof Totals, number> = { packetsIn: 0, packetsOut: 0, bytesIn: 0, bytesOut: 0 };
  #arrivedAt: number | null = null;
  readonly #rates: { -readonly [Name in keyof FlowRates]: number } = {
    packetsIn: 0,
    packetsOut: 0,
    bitsIn: 0,
    bitsOut: 0,
  };

  constructor(private readonly clock: Clock) {
    this.#at = clock.now();
  }

  get rates(): FlowRates {
    return { ...this.#rates };
  }

  /** Since packets were last seen to have come, as exact as it is asked; null before the first. */
  get ageMs(): number | null {
    return this.#arrivedAt === null ? null : this.clock.now() - this.#arrivedAt;
  }

  /** To be called about once a second with the totals as they stand; totals that fell began anew. */
  sample(totals: Totals): void {
    const now = this.clock.now();
    const seconds = (now - this.#at) / 1000;
    if (seconds <= 0) return;
    const packetsIn = this.#grown('packetsIn', totals);
    if (packetsIn > 0) this.#arrivedAt = now;
    this.#rates.packetsIn = packetsIn / seconds;
    this.#rates.packetsOut = this.#grown('packetsOut', totals) / seconds;
    this.#rates.bitsIn = (8 * this.#grown('bytesIn', totals)) / seconds;
    this.#rates.bitsOut = (8 * this.#grown('bytesOut', totals)) / seconds;
    this.#at = now;
  }

  #grown(key: keyof Totals, totals: Totals): number {
    const before = totals[key] < this.#last[key] ? 0 : this.#last[key];
    this.#last[key] = totals[key];
    return totals[key] - before;
  }
}
