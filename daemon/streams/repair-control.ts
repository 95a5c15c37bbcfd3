/** Lets a sender's parity follow what its receivers report. */
import type { Logger } from '../base/log.js';
import type { FecOptions, SenderCounters } from '../plane/contract.js';
import { type Means, RUN_LENGTHS } from './repair-estimate.js';
import { RepairMeter } from './repair-meter.js';
import { type Choice, RepairPolicy } from './repair-policy.js';
import type { RepairPolicyConfig, RetransmissionConfig } from './repair-settings.js';
import type { RepairChoiceStatus } from './status.js';

/** Of one sender. */
export class RepairControl {
  readonly #log: Logger;
  readonly #config: RepairPolicyConfig;
  readonly #resend: Pick<RetransmissionConfig, 'rate' | 'share' | 'multicast_after'>;
  readonly #meter = new RepairMeter();
  #policy: RepairPolicy | null = null;
  #since: number | null = null;

  constructor(log: Logger, config: RepairPolicyConfig, resend: RetransmissionConfig) {
    this.#log = log;
    this.#config = config;
    this.#resend = resend;
  }

  /** Once a second, with the totals of the sender and the rate of its stream; `wall` is for people. */
  take(counters: SenderCounters, bitrate: number, now: number, wall: number): void {
    this.#policy ??= bitrate === 0 ? null : this.#createPolicy(bitrate);
    if (this.#policy === null) return;
    const before = this.#policy.choice;
    const choice = this.#policy.next(this.#meter.take(counters, now), now);
    if (choice.means === before.means) return;
    this.#since = wall;
    this.#log.info(
      { from: nameOf(before.means), to: nameOf(choice.means), meets: choice.meets, ...figuresOf(choice) },
      'repair changes with what receivers report',
    );
  }

  /** The parity of what is chosen, for the plane. */
  get fec(): FecOptions | null {
    return this.#fecOf(this.#policy?.choice.means ?? { kind: 'nothing' });
  }

  get status(): RepairChoiceStatus | null {
    if (this.#policy === null) return null;
    const { choice } = this.#policy;
    const { expected, measured, meets, means } = choice;
    return {
      means: kindOf(means),
      says: nameOf(means),
      since: this.#since,
      meets,
      receivers: measured.receivers,
      ...figuresOf(choice),
      expectedResidual: expected.residual,
      expectedOverhead: expected.overhead,
      delayMs: expected.delayMs,
    };
  }

  #fecOf(means: Means): FecOptions | null {
    const payloadType = this.#config.payload_type;
    if (means.kind === 'parity') {
      const { columns, rows, rowParity } = means;
      return { parity: { columns, rows, rowParity }, block: null, payloadType };
    }
    if (means.kind !== 'block') return null;
    return { parity: null, block: { source: means.source, repair: means.repair }, payloadType };
  }

  #createPolicy(bitrate: number): RepairPolicy {
    const { playout, residual, most_overhead: most, codes, worse_after, better_after } = this.#config;
    return new RepairPolicy({
      limits: {
        playoutMs: playout,
        residual,
        mostOverhead: most / 100,
        multicastAfter: this.#resend.multicast_after,
        resendShare: this.#resend.share / 100,
        resendRate: this.#resend.rate / bitrate,
      },
      codes,
      worseAfterMs: worse_after,
      betterAfterMs: better_after,
    });
  }
}

export function kindOf(means: Means): RepairChoiceStatus['means'] {
  if (means.kind !== 'parity') return means.kind;
  return means.rowParity ? 'rows' : 'columns';
}

function nameOf(means: Means): string {
  if (means.kind === 'block') return `blocks of ${means.source} + ${means.repair}`;
  if (means.kind !== 'parity') return means.kind;
  return `${means.rowParity ? 'columns and rows' : 'columns'} of ${means.columns} x ${means.rows}`;
}

function figuresOf({ measured }: Choice): Pick<RepairChoiceStatus, 'loss' | 'tailLoss' | 'meanRun' | 'roundTripMs'> {
  const runs = measured.runs.reduce((sum, n) => sum + n, 0);
  const packets = measured.runs.reduce((sum, n, i) => sum + n * (RUN_LENGTHS[i] ?? 0), 0);
  return {
    loss: measured.meanLoss,
    tailLoss: measured.tailLoss,
    meanRun: runs === 0 ? null : packets / runs,
    roundTripMs: measured.roundTripMs,
  };
}
