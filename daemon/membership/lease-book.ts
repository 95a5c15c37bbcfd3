/** Leases as the admin API has given them: the router knows them while it runs, this over its restarts. */
import { SocketAddress } from 'node:net';
import { z } from 'zod';
import type { Clock } from '../base/clock.js';
import { describeError } from '../base/errors.js';
import type { Logger } from '../base/log.js';
import { ipAddress, multicastAddress } from '../config/units.js';
import type { MulticastChannel, MulticastLease } from '../plane/contract-router.js';
import type { StateFile } from '../store/state-file.js';
import { familyOf } from './options.js';

export const leaseFileSchema = z.object({
  version: z.literal(1),
  leases: z.array(
    z.object({
      subscriber: z.string(),
      group: multicastAddress,
      source: ipAddress.nullable(),
      /** Milliseconds since 1970; null: for good. */
      until: z.int().nullable(),
    }),
  ),
});
type LeaseFile = z.output<typeof leaseFileSchema>;
type Entry = Omit<LeaseFile['leases'][number], 'subscriber'>;

export interface LeaseBookParts {
  readonly clock: Pick<Clock, 'wall'>;
  readonly log: Logger;
  /** null: leases end with the process. */
  readonly file: StateFile<LeaseFile> | null;
}

function spelled(address: string): string {
  return new SocketAddress({ address, family: familyOf(address) === 6 ? 'ipv6' : 'ipv4' }).address;
}

/** The same for all spellings of its addresses. */
export function channelKey({ group, source }: MulticastChannel): string {
  return `${spelled(group)} ${source === null ? '*' : spelled(source)}`;
}

export class LeaseBook {
  readonly #subscribers = new Map<string, Map<string, Entry>>();
  #changes = 0;
  #written = 0;
  #writing: Promise<void> = Promise.resolve();
  #failing = false;

  constructor(private readonly parts: LeaseBookParts) {}

  /** Takes up what was kept and is not over, of these subscribers. What cannot be read is told, and nothing is taken up. */
  async load(subscribers: ReadonlySet<string>): Promise<void> {
    const { file, log, clock } = this.parts;
    try {
      const now = clock.wall();
      for (const { subscriber, ...entry } of (await file?.read())?.leases ?? [])
        if (subscribers.has(subscriber) && !isOver(entry, now)) this.#of(subscriber).set(channelKey(entry), entry);
    } catch (error) {
      log.error({ err: error }, `leases of before are lost: ${describeError(error)}`);
    }
  }

  /** Each in the place of what was said of its channel before. */
  put(subscriber: string, leases: readonly MulticastLease[]): void {
    const now = this.parts.clock.wall();
    const own = this.#of(subscriber);
    for (const { group, source, leaseMs } of leases)
      own.set(channelKey({ group, source }), {
        group,
        source,
        until: leaseMs === null ? null : Math.round(now + leaseMs),
      });
    this.#changed();
  }

  remove(subscriber: string, channels: readonly MulticastChannel[]): void {
    const own = this.#subscribers.get(subscriber);
    const before = own?.size;
    for (const channel of channels) own?.delete(channelKey(channel));
    if (own?.size !== before) this.#changed();
  }

  /** Whoever else is there no longer. */
  retain(subscribers: ReadonlySet<string>): void {
    const gone = [...this.#subscribers.keys()].filter((one) => !subscribers.has(one));
    for (const one of gone) this.#subscribers.delete(one);
    if (gone.length > 0) this.#changed();
  }

  /** What a subscriber has now, with what is left of it. */
  of(subscriber: string): MulticastLease[] {
    const now = this.parts.clock.wall();
    return [...(this.#subscribers.get(subscriber)?.values() ?? [])]
      .filter((entry) => !isOver(entry, now))
      .map(({ group, source, until }) => ({ group, source, leaseMs: until === null ? null : until - now }));
  }

  /** Resolves when all that was said so far is written, or could not be, which the log tells. */
  written(): Promise<void> {
    return this.#writing;
  }

  #of(subscriber: string): Map<string, Entry> {
    const known = this.#subscribers.get(subscriber) ?? new Map<string, Entry>();
    this.#subscribers.set(subscriber, known);
    return known;
  }

  /** Changes that come while it is being written are written together. */
  #changed(): void {
    this.#changes++;
    this.#writing = this.#writing.then(() => (this.#written === this.#changes ? undefined : this.#write()));
  }

  async #write(): Promise<void> {
    const { file, log } = this.parts;
    if (file === null && !this.#failing)
      log.warn('leases end with this process: there is no store.folder to keep them in');
    this.#failing ||= file === null;
    if (file === null) return;
    this.#written = this.#changes;
    try {
      await file.write({ version: 1, leases: this.#all() });
      this.#failing = false;
    } catch (error) {
      // Once, however many fail.
      if (!this.#failing) log.error({ err: error }, `leases would not outlive this process: ${describeError(error)}`);
      this.#failing = true;
    }
  }

  /** Those that are over are forgotten. */
  #all(): LeaseFile['leases'] {
    const now = this.parts.clock.wall();
    for (const own of this.#subscribers.values())
      for (const [key, entry] of own) if (isOver(entry, now)) own.delete(key);
    return [...this.#subscribers].flatMap(([subscriber, own]) =>
      [...own.values()].map((entry) => ({ subscriber, ...entry })),
    );
  }
}

function isOver({ until }: Entry, now: number): boolean {
  return until !== null && until <= now;
}
