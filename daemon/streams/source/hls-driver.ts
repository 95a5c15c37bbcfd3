import { SluiceError } from '../../base/errors.js';
import type { UpstreamHandle } from '../../plane/contract.js';
import type { Attempt, Driver, SourceContext } from './attempt.js';
import type { BufferLevel, HlsAction, HlsMessage } from './hls-exchange.js';
import { HlsMachine } from './hls-machine.js';

/** Bytes of a playlist after decompression. */
const MAX_PLAYLIST_BYTES = 4 * 2 ** 20;
/** A key file has 16; what comes instead of one may be told, if it is short. */
const MAX_KEY_BYTES = 1024;
/** Share of the ring that may wait for departure; the rest holds what HTTP viewers still read. */
const FULL = 0.5;

type SegmentAction = Extract<HlsAction, { do: 'segment' }>;

export interface HlsDriverOptions {
  readonly url: string;
  readonly maxBandwidth: number | null;
  readonly failOnStall: boolean;
}

/** Does what {@link HlsMachine} decides, over the rendition's one connection. */
export class HlsDriver implements Driver {
  readonly kind = 'hls';
  readonly #context: SourceContext;
  readonly #options: HlsDriverOptions;
  #machine: HlsMachine | null = null;
  /** A range of a larger resource was asked for, and more must not get in. */
  #exact = false;
  #ignoredRange = false;

  constructor(context: SourceContext, options: HlsDriverOptions) {
    this.#context = context;
    this.#options = options;
  }

  get skipped(): number {
    return this.#machine?.skipped ?? 0;
  }

  leave(): void {
    this.#machine?.leave();
  }

  head(upstream: UpstreamHandle, status: number): void {
    if (!this.#context.slot.owns(upstream)) return;
    if (status !== 200 || !this.#exact) return;
    this.#ignoredRange = true;
    this.#context.slot.close();
  }

  async play(attempt: Attempt): Promise<never> {
    const { clock } = this.#context;
    const machine = this.#take();
    for (;;) {
      attempt.signal.throwIfAborted();
      const action = machine.next(clock.now(), this.#buffer());
      if (action.do === 'fail') throw action.error;
      if (action.do === 'wait') await clock.delay(Math.max(1, action.untilMs - clock.now()), attempt.signal);
      else await this.#fetch(machine, action, attempt);
    }
  }

  /** The machine of the last attempt goes on where it failed. */
  #take(): HlsMachine {
    if (this.#machine !== null) {
      this.#machine.retry(this.#context.clock.now());
      return this.#machine;
    }
    this.#machine = new HlsMachine({ ...this.#options, spliced: this.#context.counters().bytesIn > 0 });
    return this.#machine;
  }

  #buffer(): BufferLevel {
    const { bufferLevelUs, bitrate, ringSizeBytes } = this.#context.counters();
    const waiting = (bufferLevelUs / 1e6) * (bitrate / 8);
    return { bufferedMs: bufferLevelUs / 1000, full: waiting > FULL * ringSizeBytes };
  }

  async #fetch(
    machine: HlsMachine,
    action: Exclude<HlsAction, { do: 'wait' | 'fail' }>,
    attempt: Attempt,
  ): Promise<void> {
    const message = await this.#do(action, attempt.signal);
    machine.take(message, this.#context.clock.now());
    if (machine.lost !== null) attempt.lost(machine.lost);
    attempt.signal.throwIfAborted();
    if (machine.stalled !== null) attempt.stalled(machine.stalled);
    else if (message.type === 'segment' && message.taken > 0) attempt.flowing();
  }

  #do(action: Exclude<HlsAction, { do: 'wait' | 'fail' }>, signal: AbortSignal): Promise<HlsMessage> {
    if (action.do === 'playlist') return this.#playlist(action.url, signal);
    return action.do === 'key' ? this.#key(action.url, signal) : this.#segment(action, signal);
  }

  async #key(url: string, signal: AbortSignal): Promise<HlsMessage> {
    try {
      const fetched = await this.#context.fetcher.fetch({
        url,
        kind: 'key',
        sink: 'memory',
        maxBytes: MAX_KEY_BYTES,
        headers: {},
        skipBytes: 0,
        discontinuity: false,
        signal,
      });
      return { type: 'key', status: fetched.response.status, body: fetched.response.body };
    } catch (error) {
      if (!(error instanceof SluiceError)) throw error;
      return { type: 'key-failed', error };
    }
  }

  async #playlist(url: string, signal: AbortSignal): Promise<HlsMessage> {
    try {
      const fetched = await this.#context.fetcher.fetch({
        url,
        kind: 'playlist',
        sink: 'memory',
        maxBytes: MAX_PLAYLIST_BYTES,
        headers: {},
        skipBytes: 0,
        discontinuity: false,
        signal,
      });
      const { status, body } = fetched.response;
      if (status >= 200 && status < 300) return { type: 'playlist', url: fetched.url, body };
      return {
        type: 'playlist-failed',
        error: new SluiceError('UPSTREAM_STATUS', `expected a playlist, got status ${status}`, { status }),
      };
    } catch (error) {
      if (!(error instanceof SluiceError)) throw error;
      return { type: 'playlist-failed', error };
    }
  }

  async #segment(action: SegmentAction, signal: AbortSignal): Promise<HlsMessage> {
    const { range, skipBytes, seal } = action;
    const before = seal?.skipBytes ?? skipBytes;
    this.#ignoredRange = false;
    this.#exact = range !== null && range.to !== null;
    try {
      const fetched = await this.#context.fetcher.fetch({
        url: action.url,
        kind: 'segment',
        sink: 'stream',
        maxBytes: 0,
        headers: range === null ? {} : { range: `bytes=${range.from}-${range.to ?? ''}` },
        skipBytes,
        discontinuity: action.discontinuity,
        seal,
        signal,
      });
      const { status, bytes } = fetched.response;
      return { type: 'segment', status, taken: status >= 200 && status < 300 ? newBytes(bytes, before) : 0 };
    } catch (error) {
      if (!(error instanceof SluiceError)) throw error;
      const bytes = typeof error.details['bytes'] === 'number' ? error.details['bytes'] : 0;
      const told = this.#ignoredRange ? rangeIgnored(action) : error;
      return { type: 'segment-failed', error: told, taken: newBytes(bytes, before) };
    } finally {
      this.#exact = false;
    }
  }
}

/** Bytes of an answer that are new to the ring. The plane counts from the beginning of the resource, ranges too; clear bytes from that of the segment. */
function newBytes(position: number, skipBytes: number): number {
  return Math.max(0, position - skipBytes);
}

function rangeIgnored(action: SegmentAction): SluiceError {
  return new SluiceError(
    'SOURCE_UNSUPPORTED',
    'the server ignores Range (expected 206 for a segment with EXT-X-BYTERANGE, got 200)',
    {
      sequence: action.sequence,
    },
  );
}
