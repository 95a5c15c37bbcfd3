import { SluiceError } from '../../base/errors.js';
import { parsePlaylist } from '../../protocols/hls/parse.js';
import type { MediaPlaylist, MediaSegment } from '../../protocols/hls/playlist.js';
import { displayUrl } from '../media-url.js';
import type { BufferLevel, HlsAction, HlsMessage, HlsOptions } from './hls-exchange.js';
import { refusalOf } from './refusal.js';
import { SegmentKeys, wrongKey } from './segment-keys.js';
import { chooseVariant } from './variant.js';
import { edgeOf, liveStart, relate } from './window.js';

/** Attempts at one segment before it is skipped. */
const SEGMENT_TRIES = 4;
/** Segments skipped one after the other before the source counts as failed. */
const SKIPS_TO_FAIL = 3;
/** A live source is never played further behind its edge than this, or five target durations. */
const MAX_LAG_MS = 30_000;
/** Finished playlists are fetched ahead by so much, or five target durations. */
const HOLD_MS = 20_000;
const HOLD_STEP_MS = 200;
const STALL_MS = 5_000;

interface Head {
  readonly segment: MediaSegment;
  /** Bytes of it in the ring. */
  taken: number;
  tries: number;
  retryAt: number;
}

/**
 * The client side of an HLS source as a pure machine: it decides what to fetch and when, somebody else fetches. Every segment
 * is taken exactly once and in order; what is left out is announced as a discontinuity on the next.
 * All times are milliseconds of one monotonic clock.
 */
export class HlsMachine {
  readonly #options: HlsOptions;
  #playlistUrl: string;
  /** The playlist URL came out of a master playlist. */
  #variant = false;
  #last: MediaPlaylist | null = null;
  /** When the last fetch of a playlist began. */
  #loadAt = 0;
  #refreshAt = 0;
  #changedAt: number | null = null;
  #nextSequence: number | null = null;
  #queue: MediaSegment[] = [];
  #head: Head | null = null;
  #discontinuity: boolean;
  /** Ended when it was first seen: played from its start. */
  #finite = false;
  /** A fetch has failed since the last playlist. */
  #disturbed = false;
  #skipsInRow = 0;
  #failure: SluiceError | null = null;
  #stalled: SluiceError | null = null;
  #skipped = 0;
  readonly #keys = new SegmentKeys();
  #lost: SluiceError | null = null;

  constructor(options: HlsOptions) {
    this.#options = options;
    this.#playlistUrl = options.url;
    this.#discontinuity = options.spliced;
  }

  /** Segments announced and never taken. */
  get skipped(): number {
    return this.#skipped;
  }

  /** Why the last message has cost a segment; null when it has not. */
  get lost(): SluiceError | null {
    return this.#lost;
  }

  /** SOURCE_STALLED while the live playlist no longer changes, else null. */
  get stalled(): SluiceError | null {
    return this.#stalled;
  }

  /** What to do now. `fail` repeats until {@link retry}. */
  next(now: number, buffer: BufferLevel): HlsAction {
    if (this.#failure !== null) return { do: 'fail', error: this.#failure };
    const refreshing = this.#last?.ended !== true || this.#disturbed;
    if (refreshing && now >= this.#refreshAt) {
      this.#loadAt = now;
      return { do: 'playlist', url: this.#playlistUrl };
    }
    const head = this.#takeHead();
    if (head === null && !refreshing) return this.#end();
    const hold = head !== null && this.#holds(buffer);
    if (head !== null && !hold && now >= head.retryAt) return this.#ask(head);
    const due = head === null ? Number.POSITIVE_INFINITY : hold ? now + HOLD_STEP_MS : head.retryAt;
    return { do: 'wait', untilMs: Math.min(due, refreshing ? this.#refreshAt : due) };
  }

  take(message: HlsMessage, now: number): void {
    this.#lost = null;
    switch (message.type) {
      case 'playlist':
        this.#takePlaylist(message.url, message.body, now);
        break;
      case 'playlist-failed':
        this.#fail(message.error);
        break;
      case 'key':
        this.#takeKey(message.status, message.body, now);
        break;
      case 'key-failed':
        this.#failKey(message.error);
        break;
      case 'segment':
        this.#takeSegment(message.status, message.taken, now);
        break;
      case 'segment-failed':
        this.#cutSegment(message.error, message.taken);
        break;
    }
  }

  /** Goes on after a failure, from where it stood; the playlist is asked for first, from the configured URL. */
  retry(now: number): void {
    if (this.#failure?.code === 'SOURCE_ENDED' && this.#finite) this.#rewind();
    this.#failure = null;
    this.#playlistUrl = this.#options.url;
    this.#variant = false;
    this.#disturbed = true;
    this.#skipsInRow = 0;
    this.#refreshAt = now;
  }

  /**
   * The stream is given other media now (another URL is played): on return, take up at the live edge. A live playlist that
   * has ended is remembered, so that its last segments are not played again.
   */
  leave(): void {
    const over = this.#last?.ended === true && !this.#finite;
    if (!over) this.#rewind();
    this.#discontinuity = true;
  }

  #rewind(): void {
    this.#last = null;
    this.#nextSequence = null;
    this.#queue = [];
    this.#head = null;
    this.#discontinuity = true;
    this.#changedAt = null;
    this.#stalled = null;
  }

  #fail(error: SluiceError): void {
    this.#failure = error;
  }

  #end(): HlsAction {
    this.#fail(
      new SluiceError('SOURCE_ENDED', 'the playlist has ended (EXT-X-ENDLIST)', { url: displayUrl(this.#playlistUrl) }),
    );
    return { do: 'fail', error: this.#failure as SluiceError };
  }

  #holds(buffer: BufferLevel): boolean {
    const limit = Math.max(HOLD_MS, 5 * (this.#last?.targetDurationMs ?? 0));
    return buffer.full || (this.#finite && buffer.bufferedMs > limit);
  }

  #takeHead(): Head | null {
    if (this.#head !== null) return this.#head;
    let segment = this.#queue.shift();
    for (; segment?.gap === true; segment = this.#queue.shift()) this.#skip(1);
    if (segment !== undefined) this.#head = { segment, taken: 0, tries: 0, retryAt: 0 };
    return this.#head;
  }

  #ask({ segment, taken: clear }: Head): HlsAction {
    const key = this.#keys.missing(segment);
    if (key !== null) return { do: 'key', url: key };
    const seal = this.#keys.seal(segment, clear);
    // What is encrypted can be taken up again only from its start.
    const taken = seal === null ? clear : 0;
    const offset = segment.byteRange?.offset ?? 0;
    const to = segment.byteRange === null ? null : offset + segment.byteRange.length - 1;
    return {
      do: 'segment',
      url: segment.url,
      sequence: segment.sequence,
      range: segment.byteRange === null && taken === 0 ? null : { from: offset + taken, to },
      skipBytes: offset + taken,
      discontinuity: clear === 0 && (this.#discontinuity || segment.discontinuity),
      seal,
    };
  }

  #skip(count: number): void {
    this.#skipped += count;
    this.#discontinuity = true;
  }

  #dropHead(): void {
    if (this.#head === null) return;
    this.#head = null;
    this.#skip(1);
  }

  #takeSegment(status: number, taken: number, now: number): void {
    const head = this.#head;
    if (head === null) return;
    const rest = status === 416 && head.taken > 0 && head.segment.keys.length === 0;
    if (rest || (status >= 200 && status < 300 && head.taken + taken > 0)) {
      this.#head = null;
      this.#discontinuity = false;
      this.#skipsInRow = 0;
      return;
    }
    const said = status >= 200 && status < 300 ? 'an empty body' : `status ${status}`;
    this.#retryHead(head, now, status, `segment ${head.segment.sequence}, got ${said}`);
  }

  #retryHead(head: Head, now: number, status: number, expected: string): void {
    head.tries += 1;
    head.retryAt = now + Math.min(1000, (this.#last?.targetDurationMs ?? 2000) / 4);
    const details = { status, url: displayUrl(head.segment.url) };
    this.#giveUpHead(head, new SluiceError('UPSTREAM_STATUS', `expected ${expected}`, details));
  }

  #takeKey(status: number, body: Uint8Array, now: number): void {
    const head = this.#head;
    const url = head === null ? null : this.#keys.missing(head.segment);
    if (head === null || url === null) return;
    if (status < 200 || status > 299) {
      this.#retryHead(head, now, status, `the key of segment ${head.segment.sequence}, got status ${status}`);
      return;
    }
    const error = this.#keys.add(url, body);
    if (error !== null) this.#loseHead(error);
  }

  #failKey(error: SluiceError): void {
    const head = this.#head;
    const url = head === null ? null : this.#keys.missing(head.segment);
    if (url !== null && error.code === 'UPSTREAM_TOO_LARGE') this.#loseHead(wrongKey(url, 'more'));
    else this.#cutSegment(error, 0);
  }

  /** Skips a segment after its last attempt. */
  #giveUpHead(head: Head, error: SluiceError): void {
    if (head.tries >= SEGMENT_TRIES) this.#loseHead(error);
  }

  /** Goes on without the segment; several in a row are a failure of the source. */
  #loseHead(error: SluiceError): void {
    this.#dropHead();
    this.#lost = error;
    this.#skipsInRow += 1;
    if (this.#skipsInRow >= SKIPS_TO_FAIL) this.#fail(error);
  }

  #cutSegment(error: SluiceError, taken: number): void {
    const head = this.#head;
    if (head !== null && error.code === 'UPSTREAM_DECRYPT') {
      this.#keys.forget(head.segment);
      this.#loseHead(error);
      return;
    }
    if (head !== null) {
      head.taken += taken;
      // A server that cannot be reached says nothing about the segment.
      if (error.code !== 'UPSTREAM_CONNECT') head.tries += taken > 0 ? 0.5 : 1;
      this.#giveUpHead(head, error);
    }
    this.#fail(error);
  }

  #takePlaylist(url: string, body: Uint8Array, now: number): void {
    try {
      const playlist = parsePlaylist(body, url);
      if (playlist.kind === 'media') {
        if (playlist.skip !== null)
          throw new SluiceError('PLAYLIST_INVALID', 'expected a whole playlist, got a delta update (EXT-X-SKIP)', {
            url: displayUrl(url),
          });
        this.#playlistUrl = url;
        this.#takeMedia(playlist, now);
        return;
      }
      if (this.#variant)
        throw new SluiceError('PLAYLIST_INVALID', 'expected a media playlist from the variant, got a master playlist', {
          url: displayUrl(url),
        });
      this.#playlistUrl = chooseVariant(playlist, this.#options.maxBandwidth).url;
      this.#variant = true;
      this.#refreshAt = now;
    } catch (error) {
      if (!(error instanceof SluiceError)) throw error;
      this.#fail(error);
    }
  }

  #takeMedia(playlist: MediaPlaylist, now: number): void {
    const last = this.#last;
    let relation = last === null ? 'onward' : relate(last, playlist, this.#disturbed);
    if (relation === 'stale' && now - (this.#changedAt ?? now) > 3 * playlist.targetDurationMs) relation = 'restarted';
    const changed = relation === 'onward' || relation === 'restarted';
    // RFC 8216 section 6.3.4: a whole target duration after a change, half of one otherwise, from the start of the load.
    this.#refreshAt = this.#loadAt + playlist.targetDurationMs / (changed ? 1 : 2);
    this.#disturbed = false;
    if (changed || this.#changedAt === null) this.#changedAt = now;
    if (changed && playlist.segments.length > 0) this.#stalled = null;
    if (relation !== 'stale') this.#select(playlist, relation === 'restarted');
    this.#checkStall(now);
  }

  #select(playlist: MediaPlaylist, restarted: boolean): void {
    this.#last = playlist;
    if (this.#nextSequence === null) this.#begin(playlist);
    else if (restarted) this.#takeUp(playlist);
    else this.#follow(playlist, this.#nextSequence);
    this.#refuse();
  }

  /** First sight: a finished playlist from its start, a live one from its edge. */
  #begin(playlist: MediaPlaylist): void {
    this.#finite = playlist.ended;
    this.#queue = playlist.segments.slice(playlist.ended ? 0 : liveStart(playlist));
    if (playlist.segments.length > 0) this.#nextSequence = edgeOf(playlist);
  }

  /** Leaves what was outstanding and goes on at the live edge. */
  #takeUp(playlist: MediaPlaylist): void {
    this.#dropHead();
    if (this.#queue.length > 0) this.#skip(this.#queue.length);
    this.#discontinuity = true;
    this.#finite = false;
    this.#queue = playlist.segments.slice(liveStart(playlist));
    this.#nextSequence = edgeOf(playlist);
  }

  #follow(playlist: MediaPlaylist, nextSequence: number): void {
    const first = playlist.mediaSequence;
    if (first > nextSequence) {
      // All that was outstanding, and more, fell out of the window: the oldest one left would be gone next.
      this.#skip(first - nextSequence + liveStart(playlist));
      this.#takeUp(playlist);
      return;
    }
    const queued = this.#queue.length;
    this.#queue = this.#queue.filter((segment) => segment.sequence >= first);
    if (this.#queue.length < queued) this.#skip(queued - this.#queue.length);
    if (this.#head !== null && this.#head.segment.sequence < first) this.#dropHead();
    this.#queue.push(...playlist.segments.slice(nextSequence - first));
    this.#nextSequence = edgeOf(playlist);
    this.#catchUp(playlist);
  }

  /** After an outage with a long window, what is outstanding is cut back to where a player would begin. */
  #catchUp(playlist: MediaPlaylist): void {
    if (this.#finite) return;
    const lag = this.#queue.reduce((sum, segment) => sum + segment.durationMs, 0);
    if (lag <= Math.max(MAX_LAG_MS, 5 * playlist.targetDurationMs)) return;
    const start = playlist.mediaSequence + liveStart(playlist);
    const kept = this.#queue.filter((segment) => segment.sequence >= start);
    this.#dropHead();
    this.#skip(this.#queue.length - kept.length);
    this.#queue = kept;
  }

  /** What the native path cannot take is refused before any of it is fetched. */
  #refuse(): void {
    const outstanding = this.#head === null ? this.#queue : [this.#head.segment, ...this.#queue];
    const refusal = refusalOf(outstanding, displayUrl(this.#playlistUrl));
    if (refusal !== null) this.#fail(refusal);
  }

  #checkStall(now: number): void {
    const last = this.#last;
    if (last === null || last.ended || this.#changedAt === null || this.#queue.length > 0 || this.#head !== null)
      return;
    if (now - this.#changedAt <= Math.max(STALL_MS, 3 * last.targetDurationMs)) return;
    this.#stalled = new SluiceError(
      'SOURCE_STALLED',
      `the live playlist has not changed for ${Math.round((now - this.#changedAt) / 1000)} s`,
      {
        url: displayUrl(this.#playlistUrl),
      },
    );
    if (this.#options.failOnStall && this.#failure === null) this.#fail(this.#stalled);
  }
}
