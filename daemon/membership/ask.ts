/** Joins that wait are asked about upwards: who is asked about what, what was answered, and until when that holds. */
import type { Clock, Timer } from '../base/clock.js';
import { describeError } from '../base/errors.js';
import type { Logger } from '../base/log.js';
import type { MulticastChannel, MulticastLease } from '../plane/contract-router.js';
import type { Answer, Operator, Question } from './operator.js';
import type { AskConfig } from './settings.js';

/** What became of questions; `known`: refused again without asking, `dropped`: too many waited. */
export const ASK_RESULTS = ['allowed', 'refused', 'failed', 'known', 'dropped'] as const;
export type AskResult = (typeof ASK_RESULTS)[number];
export type AskTotals = Readonly<Record<AskResult, number>>;

/** The last that is known of a question. */
export interface Verdict {
  readonly question: Question;
  readonly state: 'waiting' | 'allowed' | 'refused' | 'failed';
  readonly says: string;
  /** When, as of Clock.now(). */
  readonly at: number;
}

/** What follows from answers. */
export interface AskActs {
  /** A subscriber that is no longer there is nothing to it. */
  authorise(subscriber: string, leases: readonly MulticastLease[]): unknown;
  revoke(subscriber: string, channels: readonly MulticastChannel[]): unknown;
  /** Tells whether hosts of a subscriber want a channel now. */
  wanted(): (subscriber: string, channel: MulticastChannel) => boolean;
}

export interface AskParts {
  readonly clock: Clock;
  readonly log: Logger;
  readonly acts: AskActs;
}

interface Lease {
  readonly question: Question;
  readonly until: number;
  /** When it is asked about again. */
  readonly renewAt: number;
}

const SWEEP_MS = 500;
/** Before this much of a lease is over, the next is asked for. */
const RENEWAL = 0.75;
/** What is remembered of questions, and leases that are renewed. */
const MOST_REMEMBERED = 20_000;

const keyOf = (subscriber: string, { group, source }: MulticastChannel): string =>
  `${subscriber} ${group} ${source ?? '*'}`;

/**
 * Each (subscriber, channel) is asked about once at a time, so many at once, and so many wait; what was refused is refused for a
 * while without asking. Who still wants a channel when its lease comes to an end is asked about again before.
 */
export class Asking {
  readonly #queue = new Map<string, Question>();
  readonly #verdicts = new Map<string, Verdict>();
  readonly #leases = new Map<string, Lease>();
  readonly #totals = new Map<string, Record<AskResult, number>>();
  #inFlight = 0;
  #sweep: Timer | null = null;
  #failing = false;
  #closed = false;

  constructor(
    private settings: AskConfig,
    private operator: Operator,
    private readonly parts: AskParts,
  ) {}

  /** Other settings from now on; what is under way at the operator's old system fails. */
  configure(settings: AskConfig, operator: Operator): void {
    this.operator.close();
    this.settings = settings;
    this.operator = operator;
  }

  /** A join waits to be authorised. */
  held(question: Question): void {
    const { subscriber } = question;
    const key = keyOf(subscriber, question);
    const last = this.#verdicts.get(key);
    if (last?.state === 'waiting') return;
    if (last?.state === 'refused' && this.parts.clock.now() - last.at < this.settings.refusal)
      this.#count(subscriber, 'known');
    else this.#put(key, question);
  }

  #put(key: string, question: Question): void {
    if (this.#closed) return;
    if (this.#queue.size >= this.settings.max_queued) {
      this.#count(question.subscriber, 'dropped');
      return;
    }
    this.#remember(key, question, 'waiting', '');
    this.#queue.set(key, question);
    this.#next();
  }

  /** Somebody else has decided about these: what is answered to questions of before does not count, nor are they asked again. */
  forget(subscriber: string, channels: readonly MulticastChannel[]): void {
    for (const channel of channels) {
      const key = keyOf(subscriber, channel);
      this.#leases.delete(key);
      this.#verdicts.delete(key);
      this.#queue.delete(key);
    }
  }

  /** Questions that wait for their turn, and for their answer. */
  get waiting(): number {
    return this.#queue.size + this.#inFlight;
  }

  /** Of a subscriber, or of all. */
  totals(subscriber?: string): AskTotals {
    const sum = { allowed: 0, refused: 0, failed: 0, known: 0, dropped: 0 };
    for (const [name, one] of this.#totals)
      if (subscriber === undefined || name === subscriber) for (const result of ASK_RESULTS) sum[result] += one[result];
    return sum;
  }

  /** What is known of a group's channels. */
  about(group: string): Verdict[] {
    return [...this.#verdicts.values()].filter(({ question }) => question.group === group);
  }

  /** Leases that were given hold on. Idempotent. */
  close(): void {
    this.#closed = true;
    this.#sweep?.cancel();
    this.#queue.clear();
    this.operator.close();
  }

  #next(): void {
    for (const [key, question] of this.#queue) {
      if (this.#inFlight >= this.settings.max_in_flight) return;
      this.#queue.delete(key);
      this.#inFlight++;
      void this.#ask(key, question);
    }
  }

  async #ask(key: string, question: Question): Promise<void> {
    try {
      const answer = await this.operator.ask(question);
      if (this.#isOpen(key, question)) this.#take(key, question, answer);
    } catch (error) {
      if (this.#isOpen(key, question)) this.#fail(key, question, error);
    } finally {
      this.#inFlight--;
      if (!this.#closed) this.#next();
    }
  }

  /** Whether its answer is still waited for. */
  #isOpen(key: string, question: Question): boolean {
    return !this.#closed && this.#verdicts.get(key)?.question === question;
  }

  #take(key: string, question: Question, { allow, lease, reason }: Answer): void {
    const { subscriber, group, source } = question;
    this.#count(subscriber, allow ? 'allowed' : 'refused');
    if (this.#failing) this.parts.log.info("the operator's system answers again");
    this.#failing = false;
    if (!allow) {
      this.#remember(key, question, 'refused', reason ?? '');
      if (this.#leases.delete(key)) this.parts.acts.revoke(subscriber, [{ group, source }]);
      return;
    }
    const leaseMs = lease ?? this.settings.lease;
    const now = this.parts.clock.now();
    this.#remember(key, question, 'allowed', `for ${Math.round(leaseMs / 1000)} s`);
    this.parts.acts.authorise(subscriber, [{ group, source, leaseMs }]);
    this.#leases.delete(key);
    if (this.#leases.size < MOST_REMEMBERED)
      this.#leases.set(key, { question, until: now + leaseMs, renewAt: now + leaseMs * RENEWAL });
    this.#arm();
  }

  #fail(key: string, question: Question, error: unknown): void {
    this.#count(question.subscriber, 'failed');
    this.#remember(key, question, 'failed', describeError(error));
    // Once, however many fail.
    if (!this.#failing) this.parts.log.error({ err: error }, `joins are not decided: ${describeError(error)}`);
    this.#failing = true;
    const lease = this.#leases.get(key);
    const now = this.parts.clock.now();
    if (lease !== undefined) this.#leases.set(key, { ...lease, renewAt: now + (lease.until - now) / 2 });
  }

  #arm(): void {
    if (this.#sweep === null && this.#leases.size > 0)
      this.#sweep = this.parts.clock.setTimeout(() => this.#renew(), SWEEP_MS, false);
  }

  #renew(): void {
    this.#sweep = null;
    const now = this.parts.clock.now();
    const due = [...this.#leases].filter(
      ([key, { renewAt }]) => now >= renewAt && this.#verdicts.get(key)?.state !== 'waiting',
    );
    const wanted = due.length === 0 ? () => false : this.parts.acts.wanted();
    for (const [key, { question, until }] of due) {
      if (now < until && wanted(question.subscriber, question)) this.#put(key, question);
      else this.#leases.delete(key);
    }
    this.#arm();
  }

  #remember(key: string, question: Question, state: Verdict['state'], says: string): void {
    this.#verdicts.delete(key);
    this.#verdicts.set(key, { question, state, says, at: this.parts.clock.now() });
    // The oldest go first; what waits is the queue's to bound.
    for (const [old, { state: its }] of this.#verdicts) {
      if (this.#verdicts.size <= MOST_REMEMBERED) return;
      if (its !== 'waiting') this.#verdicts.delete(old);
    }
  }

  #count(subscriber: string, result: AskResult): void {
    const known = this.#totals.get(subscriber);
    if (known === undefined) this.#totals.set(subscriber, { ...this.totals(subscriber), [result]: 1 });
    else known[result]++;
  }
}
