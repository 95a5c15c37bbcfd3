/** An HLS origin on a fake clock, and a player that runs {@link HlsMachine} against it. For tests. */
import { SluiceError } from '../../daemon/base/errors.js';
import type { SegmentSeal } from '../../daemon/plane/contract.js';
import type { BufferLevel, HlsAction, HlsMessage, HlsOptions } from '../../daemon/streams/source/hls-exchange.js';
import { HlsMachine } from '../../daemon/streams/source/hls-machine.js';

export const URL_OF_MEDIA = 'http://origin.example/live/index.m3u8';

export interface OriginOptions {
  /** Milliseconds; whole seconds. */
  segmentMs: number;
  window: number;
  /** Number of the first segment. */
  first: number;
  /** When the first segment begins. */
  startMs: number;
  name: (sequence: number) => string;
  /** Tags before a segment. */
  tags: (sequence: number) => readonly string[];
  /** After so many segments the playlist is over. */
  endAfter: number;
  type: 'EVENT' | 'VOD' | null;
}

/** What an origin serves at a moment. */
export class Origin {
  options: OriginOptions;
  down = false;

  constructor(options: Partial<OriginOptions> = {}) {
    this.options = {
      segmentMs: 2000,
      window: 6,
      first: 0,
      startMs: -1_000_000,
      name: (sequence) => `seg${sequence}.ts`,
      tags: () => [],
      endAfter: Number.POSITIVE_INFINITY,
      type: null,
      ...options,
    };
  }

  /** Number after the last segment that is complete. */
  edge(now: number): number {
    const { startMs, segmentMs, first, endAfter } = this.options;
    return first + Math.max(0, Math.min(endAfter, Math.floor((now - startMs) / segmentMs)));
  }

  playlist(now: number): string {
    const { segmentMs, window, first, name, tags, type, endAfter } = this.options;
    const edge = this.edge(now);
    const from = type === null ? Math.max(first, edge - window) : first;
    const lines = ['#EXTM3U', `#EXT-X-TARGETDURATION:${segmentMs / 1000}`, `#EXT-X-MEDIA-SEQUENCE:${from}`];
    if (type !== null) lines.push(`#EXT-X-PLAYLIST-TYPE:${type}`);
    for (let n = from; n < edge; n++) lines.push(...tags(n), `#EXTINF:${segmentMs / 1000},`, name(n));
    if (edge - first >= endAfter) lines.push('#EXT-X-ENDLIST');
    return lines.join('\n');
  }
}

export interface Asked {
  readonly at: number;
  readonly url: string;
  readonly sequence: number;
  readonly discontinuity: boolean;
  readonly range: { readonly from: number; readonly to: number | null } | null;
  readonly skipBytes: number;
  readonly seal: SegmentSeal | null;
}

/** Answers a segment otherwise than with 1000 bytes; undefined for the usual answer. */
export type SegmentAnswer = (asked: Asked) => HlsMessage | undefined;

const REACH = new SluiceError('UPSTREAM_CONNECT', 'connection refused');

/** Runs a machine on fake time; fetches take a little, failures are tried again after `retryMs`. */
export class Player {
  readonly machine: HlsMachine;
  readonly segments: Asked[] = [];
  /** Segments taken to the end. */
  readonly taken: Asked[] = [];
  readonly playlistsAt: number[] = [];
  /** URLs of keys, as they were asked for. */
  readonly keys: string[] = [];
  /** Codes of what has cost segments. */
  readonly lost: string[] = [];
  readonly failures: { readonly at: number; readonly code: string }[] = [];
  buffer: BufferLevel = { bufferedMs: 0, full: false };
  answer: SegmentAnswer = () => undefined;
  /** What a key file is. */
  keyAnswer: (url: string) => HlsMessage = () => ({ type: 'key', status: 200, body: new Uint8Array(16).fill(7) });
  /** Replaces the playlist; undefined for the origin's. */
  playlistAnswer: (url: string, now: number) => HlsMessage | undefined = () => undefined;
  retryMs = 300;
  now = 0;

  constructor(
    readonly origin: Origin,
    options: Partial<HlsOptions> = {},
  ) {
    this.machine = new HlsMachine({
      url: URL_OF_MEDIA,
      maxBandwidth: null,
      spliced: false,
      failOnStall: false,
      ...options,
    });
  }

  /** Plays until `end`, or until a failure when `untilFailure`. */
  run(end: number, untilFailure = false): void {
    for (let steps = 0; this.now < end; steps++) {
      if (steps > 100_000) throw new Error('the machine goes round without waiting');
      const action = this.machine.next(this.now, this.buffer);
      if (action.do === 'fail') {
        this.failures.push({ at: this.now, code: action.error.code });
        if (untilFailure) return;
        this.now += this.retryMs;
        this.machine.retry(this.now);
      } else this.#act(action, end);
    }
  }

  #act(action: Exclude<HlsAction, { do: 'fail' }>, end: number): void {
    if (action.do === 'wait') {
      if (!(action.untilMs > this.now)) throw new Error(`a wait until the past: ${action.untilMs} at ${this.now}`);
      this.now = Math.min(action.untilMs, end);
    } else if (action.do === 'playlist') this.#playlist(action.url);
    else if (action.do === 'key') this.#key(action.url);
    else this.#segment(action);
  }

  #key(url: string): void {
    this.keys.push(url);
    this.now += 5;
    this.machine.take(this.keyAnswer(url), this.now);
    if (this.machine.lost !== null) this.lost.push(this.machine.lost.code);
  }

  #playlist(url: string): void {
    this.playlistsAt.push(this.now);
    const askedAt = this.now;
    this.now += 10;
    const message = this.playlistAnswer(url, askedAt) ?? this.#originPlaylist(url, askedAt);
    this.machine.take(message, this.now);
  }

  #originPlaylist(url: string, askedAt: number): HlsMessage {
    if (this.origin.down) return { type: 'playlist-failed', error: REACH };
    return { type: 'playlist', url, body: new TextEncoder().encode(this.origin.playlist(askedAt)) };
  }

  #segment(action: Extract<HlsAction, { do: 'segment' }>): void {
    const { do: _, ...rest } = action;
    const asked: Asked = { at: this.now, ...rest };
    this.segments.push(asked);
    this.now += 50;
    const usual: HlsMessage = this.origin.down
      ? { type: 'segment-failed', error: REACH, taken: 0 }
      : { type: 'segment', status: 200, taken: 1000 };
    const message = this.answer(asked) ?? usual;
    if (message.type === 'segment' && message.status < 300) this.taken.push(asked);
    this.machine.take(message, this.now);
    if (this.machine.lost !== null) this.lost.push(this.machine.lost.code);
  }
}

/** Numbers of what was taken. */
export function sequences(asked: readonly Asked[]): number[] {
  return asked.map(({ sequence }) => sequence);
}
