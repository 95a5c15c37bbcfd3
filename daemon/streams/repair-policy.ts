/** Which means of repair a sender uses: the cheapest that is good enough, and none that changes with every whim of the network. */
import {
  type Estimate,
  estimate,
  type Means,
  type Measured,
  type RepairLimits,
  RUN_LENGTHS,
} from './repair-estimate.js';

/** Kinds of parity that may be chosen. */
export type Code = 'columns' | 'rows' | 'block';

export interface PolicyOptions {
  readonly limits: RepairLimits;
  readonly codes: readonly Code[];
  /** For so long what is used must not have been good enough before it is changed. */
  readonly worseAfterMs: number;
  /** Of so long the worst is remembered: what is cheaper must have been good enough meanwhile. */
  readonly betterAfterMs: number;
}

/** What is used, and why. */
export interface Choice {
  readonly means: Means;
  /** For the worst of late. */
  readonly expected: Estimate;
  readonly measured: Measured;
  /** Whether it is expected to keep the limits. */
  readonly meets: boolean;
}

const columns = (l: number, d: number, rowParity = false): Means => ({
  kind: 'parity',
  columns: l,
  rows: d,
  rowParity,
});
const block = (source: number, repair: number): Means => ({ kind: 'block', source, repair });

/** L x D is at most 100 packets. */
const PARITY: Readonly<Record<Code, readonly Means[]>> = {
  columns: [
    columns(5, 20),
    columns(10, 10),
    columns(20, 5),
    columns(25, 4),
    columns(5, 10),
    columns(10, 5),
    columns(5, 5),
  ],
  rows: [columns(10, 10, true), columns(15, 6, true), columns(20, 5, true), columns(7, 7, true), columns(6, 8, true)],
  block: [
    ...[block(20, 1), block(20, 2), block(20, 4), block(28, 8)],
    ...[block(50, 3), block(50, 6), block(50, 14)],
    ...[block(100, 5), block(100, 12), block(100, 29)],
    ...[block(185, 10), block(185, 25), block(185, 54)],
  ],
};

/** What a description says of parity that is chosen as it goes: receivers learn its dimensions from its packets. */
export const ANNOUNCED = { columns: 10, rows: 10, source: 185, repair: 54 } as const;

const NOBODY: Measured = {
  receivers: 0,
  meanLoss: 0,
  tailLoss: 0,
  runs: RUN_LENGTHS.map(() => 0),
  roundTripMs: null,
  packetsPerSecond: 0,
  sharing: null,
};

/** Cheaper by less is not worth a change: of the media's bytes, and of what the present one adds. */
const MARGIN = 0.005;
const PART = 0.1;
/** Where nothing is good enough, a change is worth it that leaves half. */
const HALF = 0.5;

/** Takes what was measured, now and then, and gives what is to be used; time is an argument, in milliseconds. */
export class RepairPolicy {
  readonly #options: PolicyOptions;
  readonly #candidates: readonly Means[];
  #choice: Choice;
  #changedAt = Number.NEGATIVE_INFINITY;
  #worseSince: number | null = null;
  /** The worst of this time, and of the one before; each lasts as long as is remembered. */
  #worst = NOBODY;
  #worstBefore = NOBODY;
  #turnedAt: number | null = null;

  constructor(options: PolicyOptions) {
    this.#options = options;
    const parity = options.codes.flatMap((code) => PARITY[code]);
    this.#candidates = [{ kind: 'nothing' }, { kind: 'retransmission' }, ...parity];
    const expected = { residual: 0, overhead: 0, delayMs: 0 };
    this.#choice = { means: { kind: 'nothing' }, expected, measured: NOBODY, meets: true };
  }

  get choice(): Choice {
    return this.#choice;
  }

  /** @param measured of the last seconds; null while nobody reports */
  next(measured: Measured | null, now: number): Choice {
    const recent = measured ?? { ...NOBODY, packetsPerSecond: this.#choice.measured.packetsPerSecond };
    if (recent.packetsPerSecond === 0) return this.#choice;
    const held = this.#hold(recent, now);
    const best = this.#best(held);
    const present = this.#look(this.#choice.means, held);
    const fits = this.#fits(this.#expect(this.#choice.means, recent));
    this.#worseSince = fits ? null : (this.#worseSince ?? now);
    const worse = this.#worseSince !== null && now - this.#worseSince >= this.#options.worseAfterMs;
    const changes = worse ? this.#helps(best, present) : this.#saves(best, present) && this.#rested(now);
    if (changes) {
      this.#changedAt = now;
      this.#worseSince = null;
    }
    this.#choice = changes ? best : present;
    return this.#choice;
  }

  #helps(best: Choice, present: Choice): boolean {
    if (!best.meets)
      return best.expected.residual < HALF * present.expected.residual || overspends(present, best, this.#most);
    return !present.meets || best.expected.overhead < present.expected.overhead;
  }

  #saves(best: Choice, present: Choice): boolean {
    if (!best.meets) return false;
    const least = Math.max(MARGIN, PART * present.expected.overhead);
    return best.expected.overhead + least <= present.expected.overhead;
  }

  #rested(now: number): boolean {
    return now - this.#changedAt >= this.#options.betterAfterMs;
  }

  get #most(): number {
    return this.#options.limits.mostOverhead;
  }

  /** The worst of what is remembered: a means that is good enough for it was good enough all the time. */
  #hold(recent: Measured, now: number): Measured {
    this.#turnedAt ??= now;
    if (now - this.#turnedAt >= this.#options.betterAfterMs) {
      this.#worstBefore = this.#worst;
      this.#worst = NOBODY;
      this.#turnedAt = now;
    }
    this.#worst = worseOf(this.#worst, recent);
    return { ...worseOf(this.#worst, this.#worstBefore), packetsPerSecond: recent.packetsPerSecond };
  }

  #expect(means: Means, measured: Measured): Estimate {
    return estimate(means, measured, this.#options.limits);
  }

  #look(means: Means, measured: Measured): Choice {
    const expected = this.#expect(means, measured);
    return { means, expected, measured, meets: this.#fits(expected) };
  }

  #fits({ residual, overhead, delayMs }: Estimate): boolean {
    const { limits } = this.#options;
    return residual <= limits.residual && overhead <= limits.mostOverhead && delayMs <= limits.playoutMs;
  }

  /** The cheapest that keeps the limits; where none does, the one that leaves least of those that are not too dear. */
  #best(measured: Measured): Choice {
    const all = this.#candidates.map((means) => this.#look(means, measured));
    const good = all.filter(({ meets }) => meets);
    if (good.length > 0) return good.reduce((best, one) => (cheaper(one, best) ? one : best));
    const affordable = all.filter(({ expected }) => expected.overhead <= this.#most);
    return affordable.reduce((best, one) => (one.expected.residual < best.expected.residual ? one : best));
  }
}

function cheaper(a: Choice, b: Choice): boolean {
  if (a.expected.overhead !== b.expected.overhead) return a.expected.overhead < b.expected.overhead;
  return a.expected.delayMs < b.expected.delayMs;
}

function overspends(present: Choice, best: Choice, most: number): boolean {
  return present.expected.overhead > most && best.expected.overhead <= most;
}

function worseOf(a: Measured, b: Measured): Measured {
  return {
    receivers: Math.max(a.receivers, b.receivers),
    meanLoss: Math.max(a.meanLoss, b.meanLoss),
    tailLoss: Math.max(a.tailLoss, b.tailLoss),
    runs: a.runs.map((n, i) => n + (b.runs[i] ?? 0)),
    roundTripMs: a.roundTripMs === null ? b.roundTripMs : Math.max(a.roundTripMs, b.roundTripMs ?? 0),
    packetsPerSecond: b.packetsPerSecond,
    sharing: a.sharing === null ? b.sharing : Math.min(a.sharing, b.sharing ?? a.sharing),
  };
}
