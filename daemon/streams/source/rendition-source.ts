import type { Clock } from '../../base/clock.js';
import { describeError, SluiceError } from '../../base/errors.js';
import type { Logger } from '../../base/log.js';
import type { InputCounters, PlaneApi, StreamHandle, UpstreamHandle } from '../../plane/contract.js';
import { type MediaLocation, urlsOf } from '../media-url.js';
import type { NumberedConfig } from '../repair-settings.js';
import type { RenditionState, RequestCounts, SourceStatus } from '../status.js';
import type { Attempt, Driver, SourceContext } from './attempt.js';
import { DatagramDriver } from './datagram-driver.js';
import { Fetcher } from './fetcher.js';
import type { Guide } from './guide.js';
import { HttpDriver, type HttpFormat } from './http-driver.js';
import { LogLimiter } from './log-limiter.js';
import { isPermanent, RetryPolicy } from './retry-policy.js';
import { UpstreamSlot } from './upstream-slot.js';

/** What all sources of a daemon share. */
export interface SourceTools {
  readonly plane: PlaneApi;
  readonly guide: Guide;
  readonly clock: Clock;
  readonly log: Logger;
  /** As Math.random; what the jitter of retries is made of. */
  readonly random: () => number;
}

export interface RenditionSourceOptions extends SourceTools {
  readonly stream: StreamHandle;
  /** At least one. */
  readonly locations: readonly MediaLocation[];
  readonly format: HttpFormat | 'auto';
  readonly maxBandwidth: number | null;
  /** Of `rtp://` and `udp://` locations. */
  readonly packets: NumberedConfig;
}

/** How the source stands. */
export interface SourceState {
  readonly state: RenditionState;
  readonly error: SluiceError | null;
  /** Wall clock, milliseconds since 1970. */
  readonly since: number;
}

/**
 * Keeps one rendition supplied: plays one location at a time, tries again as {@link RetryPolicy} says, and goes round the
 * configured locations. The stream and all its receivers stay as they are meanwhile.
 */
export class RenditionSource {
  readonly #options: RenditionSourceOptions;
  readonly #slot: UpstreamSlot;
  readonly #counts: RequestCounts = { playlist: 0, segment: 0, key: 0, stream: 0 };
  readonly #drivers: readonly Driver[];
  readonly #policy: RetryPolicy;
  readonly #limiter = new LogLimiter();
  #state: SourceState;
  #attempt: AbortController | null = null;
  #running: Promise<void> | null = null;
  #stopping = new AbortController();

  constructor(options: RenditionSourceOptions) {
    this.#options = options;
    this.#slot = new UpstreamSlot(options.plane, options.stream);
    this.#policy = new RetryPolicy(options.locations.length, options.random);
    this.#state = { state: 'stopped', error: null, since: options.clock.wall() };
    const context = this.#context();
    this.#drivers = options.locations.map((location) => this.#createDriver(context, location));
  }

  get state(): SourceState {
    return this.#state;
  }

  /** Begins to play; idempotent. */
  start(): void {
    if (this.#running !== null) return;
    this.#stopping = new AbortController();
    this.#enter('starting', null);
    this.#running = this.#run();
  }

  /** Ends playing and closes the connection. Idempotent. */
  async stop(): Promise<void> {
    const reason = new SluiceError('UPSTREAM_CLOSED', 'the rendition was stopped');
    this.#stopping.abort(reason);
    this.#attempt?.abort(reason);
    this.#slot.close();
    await this.#running;
    this.#running = null;
    this.#enter('stopped', null);
  }

  /** The plane cannot use what comes: the present attempt ends. */
  fault(error: SluiceError): void {
    this.#attempt?.abort(error);
    this.#slot.close();
  }

  /** The head of an answer that goes into a stream; passed on when it is ours. */
  head(upstream: UpstreamHandle, status: number): void {
    this.#driver().head(upstream, status);
  }

  status(): SourceStatus {
    const { connected, connects } = this.#slot.counters();
    return {
      url: this.#location().display,
      kind: this.#driver().kind,
      connections: connected,
      connects,
      requests: { ...this.#counts },
      retries: this.#policy.failures,
      segmentsSkipped: this.#drivers.reduce((sum, driver) => sum + driver.skipped, 0),
    };
  }

  /** Counters of the input in use where it repairs, else null. */
  get repairs(): InputCounters | null {
    const driver = this.#driver();
    return driver instanceof DatagramDriver ? driver.repairs : null;
  }

  /** Bytes from the upstream as on the wire, heads included. */
  get wireBytes(): number {
    return this.#slot.counters().bytesIn;
  }

  #context(): SourceContext {
    const { plane, clock, stream, locations, packets, log } = this.#options;
    const { range } = packets.repair ?? {};
    const guide = this.#options.guide.for([...urlsOf(locations), ...(range === undefined ? [] : [range])]);
    const fetcher = new Fetcher(plane, this.#slot, guide, this.#counts);
    return {
      plane,
      clock,
      stream,
      slot: this.#slot,
      fetcher,
      guide,
      log,
      counters: () => plane.streamCounters(stream),
    };
  }

  #createDriver(context: SourceContext, location: MediaLocation): Driver {
    if (location.kind !== 'http') return new DatagramDriver(context, location, this.#options.packets);
    const { format, maxBandwidth, locations } = this.#options;
    return new HttpDriver(context, format, { url: location.url, maxBandwidth, failOnStall: locations.length > 1 });
  }

  #driver(): Driver {
    return this.#drivers[this.#policy.index] as Driver;
  }

  #location(): MediaLocation {
    return this.#options.locations[this.#policy.index] as MediaLocation;
  }

  async #run(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      const error = await this.#playOnce();
      if (this.#stopping.signal.aborted) return;
      const delayMs = this.#failed(error);
      await this.#options.clock.delay(delayMs, this.#stopping.signal).catch(() => undefined);
    }
  }

  /** One attempt; resolves with what ended it. */
  async #playOnce(): Promise<SluiceError> {
    const attempt = new AbortController();
    this.#attempt = attempt;
    try {
      return await this.#driver().play(this.#watch(attempt.signal));
    } catch (error) {
      if (attempt.signal.aborted) return attempt.signal.reason as SluiceError;
      if (error instanceof SluiceError) return error;
      this.#options.log.error({ err: error, url: this.#location().display }, 'the source failed in an unforeseen way');
      return new SluiceError('UPSTREAM_CLOSED', describeError(error), {}, { cause: error });
    } finally {
      this.#attempt = null;
    }
  }

  #watch(signal: AbortSignal): Attempt {
    return {
      signal,
      flowing: () => this.#flowing(),
      stalled: (error) => this.#enter('retrying', error),
      lost: (error) => this.#lost(error),
    };
  }

  #lost(error: SluiceError): void {
    const { clock, log } = this.#options;
    const suppressed = this.#limiter.admit(clock.now());
    if (suppressed !== null) log.warn({ url: this.#location().display, err: error, suppressed }, 'a segment is lost');
  }

  #flowing(): void {
    const { clock, log } = this.#options;
    this.#policy.flowing(clock.now());
    if (this.#state.state === 'flowing') return;
    const outageMs = this.#state.state === 'retrying' ? clock.wall() - this.#state.since : undefined;
    this.#enter('flowing', null);
    const suppressed = this.#limiter.admit(clock.now());
    if (suppressed !== null) log.info({ url: this.#location().display, outageMs, suppressed }, 'source flows');
  }

  /** Notes the failure and chooses what is next; returns the time to wait, in milliseconds. */
  #failed(error: SluiceError): number {
    const { clock, log } = this.#options;
    const failing = this.#location().display;
    const driver = this.#driver();
    const decision = this.#policy.failed(error, clock.now());
    if (decision.switched || isPermanent(error)) driver.leave();
    if (decision.switched) this.#slot.close();
    this.#enter(decision.hopeless ? 'failed' : 'retrying', error);
    const suppressed = this.#limiter.admit(clock.now());
    if (suppressed !== null) {
      const next = decision.switched ? { next: this.#location().display } : {};
      log.warn(
        { url: failing, err: error, retryMs: Math.round(decision.delayMs), ...next, suppressed },
        'source failed',
      );
    }
    return decision.delayMs;
  }

  /** Times are of the first moment in a state; a new error of the same state replaces the old one. */
  #enter(state: RenditionState, error: SluiceError | null): void {
    const since = state === this.#state.state ? this.#state.since : this.#options.clock.wall();
    this.#state = { state, error, since };
  }
}
