import type { Clock } from '../base/clock.js';
import type { FlowCounters } from '../plane/contract.js';
import type { FlowRates } from './status.js';

type Totals = Pick<FlowCounters, 'packetsIn' | 'packetsOut' | 'bytesIn' | 'bytesOut'>;

/** Rates of a flow over the last second or so, and when it last had a packet. */
export class FlowMeter {
  #at: number;
  #last: Totals = { packetsIn: 0, packetsOut: 0, bytesIn: 0, bytesOut: 0 };
  #arrivedAt: number | null = null;
  #rates: FlowRates = { packetsIn: 0, packetsOut: 0, bitsIn: 0, bitsOut: 0 };

  constructor(private readonly clock: Clock) {
    this.#at = clock.now();
  }

  get rates(): FlowRates {
    return this.#rates;
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
    const grown = (key: keyof Totals): number => {
      const before = totals[key] < this.#last[key] ? 0 : this.#last[key];
      return totals[key] - before;
    };
    if (grown('packetsIn') > 0) this.#arrivedAt = now;
    this.#rates = {
      packetsIn: grown('packetsIn') / seconds,
      packetsOut: grown('packetsOut') / seconds,
      bitsIn: (8 * grown('bytesIn')) / seconds,
      bitsOut: (8 * grown('bytesOut')) / seconds,
    };
    const { packetsIn, packetsOut, bytesIn, bytesOut } = totals;
    this.#last = { packetsIn, packetsOut, bytesIn, bytesOut };
    this.#at = now;
  }
}
