import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '../base/clock.js';
import { describeError } from '../base/errors.js';
import type { Logger } from '../base/log.js';
import { isMulticast } from '../config/units.js';
import {
  type FecOptions,
  type PlaneApi,
  SENDER_COUNTERS,
  type SenderCounters,
  type SenderHandle,
  type StreamHandle,
} from '../plane/contract.js';
import { rtpUrl } from './media-url.js';
import { RepairControl } from './repair-control.js';
import { fecOptionsOf, retransmissionOptionsOf } from './repair-settings.js';
import type { MulticastConfig } from './settings.js';
import type { RepairChoiceStatus } from './status.js';

/** Between attempts at a sender that cannot be set up, milliseconds. */
const RETRY_MS = 2_000;
/** Checks (one a second) without a packet taken and with errors after which the socket is made anew. */
const DEAD_CHECKS = 3;

/** What is not added up over the sockets that were used. */
const GAUGES: readonly (keyof SenderCounters)[] = [
  'segmentation',
  'reportedLostPpm',
  'reportedJitterUs',
  'roundTripUs',
  'audience',
  'tailLossPpm',
];

/** What each counter is, in the order of the list. */
function countersOf(value: (name: keyof SenderCounters) => number): SenderCounters {
  return Object.fromEntries(SENDER_COUNTERS.map((name) => [name, value(name)])) as SenderCounters;
}

const NOTHING = countersOf(() => 0);

/** Whether a group is source-specific: 232.0.0.0/8 (RFC 4607) or ff3x::/32 (RFC 4607 section 1, RFC 3306). */
export function isSourceSpecific(group: string): boolean {
  if (!isMulticast(group)) return false;
  return group.includes(':') ? /^ff3[0-9a-f]:(:|0{1,4}:)/i.test(group) : group.startsWith('232.');
}

/**
 * The multicast side of one rendition. An interface or address that is absent is waited for; one that goes and comes back is
 * taken up again. Counters go on over all sockets used.
 */
export class MulticastSender {
  readonly url: string;
  readonly #plane: PlaneApi;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #stream: StreamHandle;
  readonly #config: MulticastConfig;
  readonly #cname: string;
  readonly #control: RepairControl | null;
  #handle: SenderHandle | null = null;
  /** The parity that the plane was told. */
  #fec: FecOptions | null = null;
  #before = NOTHING;
  #retryAt = 0;
  #fault: string | null = 'not started';
  #seen = NOTHING;
  #deadChecks = 0;

  /** `cname` tells receivers' tools who sends (RFC 3550 section 6.5.1). */
  constructor(
    plane: PlaneApi,
    clock: Clock,
    log: Logger,
    stream: StreamHandle,
    config: MulticastConfig,
    cname: string,
  ) {
    this.#plane = plane;
    this.#clock = clock;
    this.#log = log;
    this.#stream = stream;
    this.#config = config;
    this.#cname = cname;
    const { repair_policy: policy, retransmission } = config;
    this.#control =
      policy === undefined || retransmission === undefined ? null : new RepairControl(log, policy, retransmission);
    this.url = rtpUrl(config.address, config.port, isSourceSpecific(config.address) ? (config.source ?? null) : null);
  }

  /** Why nothing is sent, or null. */
  get fault(): string | null {
    return this.#fault;
  }

  /** What the repair policy has chosen; null where there is none, or nothing to go by yet. */
  get chosen(): RepairChoiceStatus | null {
    return this.#control?.status ?? null;
  }

  /** Sets the sender up where it is not, and looks after it; once a second. Never throws. */
  check(): void {
    if (this.#handle !== null) this.#watch(this.#handle);
    else if (this.#clock.now() >= this.#retryAt) this.#tryOpen();
  }

  /** Sets the sender up, now or never. @throws SluiceError INTERFACE_UNKNOWN, ADDRESS_INVALID, SYSTEM_CALL */
  open(): void {
    const {
      address,
      port,
      interface: interfaceName = null,
      source: sourceAddress = null,
      ttl,
      dscp,
      batching,
      loop,
      rtcp,
      numbering,
      fec,
      reed_solomon: block,
      retransmission,
    } = this.#config;
    this.#fec = this.#control?.fec ?? fecOptionsOf(fec, block);
    this.#handle = this.#plane.addSender(this.#stream, {
      address,
      port,
      interfaceName,
      sourceAddress,
      sourcePort: 0,
      ttl,
      dscp,
      batching,
      loop,
      // Without RTP there is nothing to report of.
      rtcp: rtcp && numbering !== 'field' ? { cname: this.#cname } : null,
      numbering,
      fec: this.#fec,
      retransmission: retransmissionOptionsOf(retransmission, port, dscp),
    });
    if (this.#fault !== null) this.#log.info({ to: this.url, interface: interfaceName }, 'multicast sender is up');
    this.#fault = null;
    this.#seen = this.counters();
    this.#deadChecks = 0;
  }

  /** This sender replaces another of the same stream: totals go on from there. */
  goOnFrom(totals: SenderCounters): void {
    this.#before = totals;
    this.#seen = this.counters();
  }

  stop(): void {
    this.#close();
    this.#fault = 'stopped';
  }

  counters(): SenderCounters {
    const live = this.#handle === null ? NOTHING : this.#plane.senderCounters(this.#handle);
    return countersOf((name) => live[name] + (GAUGES.includes(name) ? 0 : this.#before[name]));
  }

  #tryOpen(): void {
    try {
      this.open();
    } catch (error) {
      const fault = describeError(error);
      if (fault !== this.#fault)
        this.#log.warn({ to: this.url, err: error, retryMs: RETRY_MS }, 'multicast sender cannot be set up; waiting');
      this.#fault = fault;
      this.#retryAt = this.#clock.now() + RETRY_MS;
    }
  }

  /** A socket whose interface was taken away sends nothing ever again: it gives errors and no packets. */
  #watch(handle: SenderHandle): void {
    const now = this.counters();
    const dead = now.packets === this.#seen.packets && now.errors > this.#seen.errors;
    this.#deadChecks = dead ? this.#deadChecks + 1 : 0;
    if (now.packets > this.#seen.packets) this.#fault = null;
    else if (dead) this.#fault = `the kernel refuses packets to ${this.url} (${now.errors} errors)`;
    this.#seen = now;
    this.#choose(handle, now);
    if (this.#deadChecks < DEAD_CHECKS) return;
    this.#log.warn({ to: this.url, errors: now.errors }, 'multicast sender only gives errors; setting it up anew');
    this.#close(handle);
    this.#retryAt = 0;
  }

  /** Parity that cannot be set up is tried again the next time; what is sent stays meanwhile. */
  #choose(handle: SenderHandle, counters: SenderCounters): void {
    if (this.#control === null) return;
    this.#control.take(
      counters,
      this.#plane.streamCounters(this.#stream).bitrate,
      this.#clock.now(),
      this.#clock.wall(),
    );
    const { fec } = this.#control;
    if (isDeepStrictEqual(fec, this.#fec)) return;
    try {
      this.#plane.setFec(handle, fec);
      this.#fec = fec;
    } catch (error) {
      this.#log.warn({ to: this.url, err: error }, 'parity cannot be changed');
    }
  }

  #close(handle: SenderHandle | null = this.#handle): void {
    if (handle === null) return;
    this.#before = this.counters();
    this.#handle = null;
    this.#plane.removeSender(handle);
  }
}
