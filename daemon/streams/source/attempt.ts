import type { Clock } from '../../base/clock.js';
import type { SluiceError } from '../../base/errors.js';
import type { Logger } from '../../base/log.js';
import type { PlaneApi, StreamCounters, StreamHandle, UpstreamHandle } from '../../plane/contract.js';
import type { Fetcher } from './fetcher.js';
import type { Guide } from './guide.js';
import type { UpstreamSlot } from './upstream-slot.js';

/** What every driver of one rendition works with. */
export interface SourceContext {
  readonly plane: PlaneApi;
  readonly clock: Clock;
  readonly stream: StreamHandle;
  readonly slot: UpstreamSlot;
  readonly fetcher: Fetcher;
  readonly guide: Guide;
  readonly log: Logger;
  counters(): StreamCounters;
}

/** One attempt at playing a location: from a start or retry to the next failure. */
export interface Attempt {
  /** Aborted with a SluiceError when the plane cannot use the source, or when the rendition is stopped. */
  readonly signal: AbortSignal;
  /** Media arrives. */
  flowing(): void;
  /** Nothing new has come for long, but the source is kept. */
  stalled(error: SluiceError): void;
  /** A segment could not be taken; the source goes on with the next. */
  lost(error: SluiceError): void;
}

/** Plays one configured location. */
export interface Driver {
  /** What it turned out to be. */
  readonly kind: 'hls' | 'http' | 'rtp' | 'udp';
  /** Segments announced and never taken. */
  readonly skipped: number;
  /** Plays until it fails, always with a rejection; a later call goes on from there. */
  play(attempt: Attempt): Promise<never>;
  /** Other media is put into the stream now, or the plane gave up on this: what comes next is a new timeline. */
  leave(): void;
  /** The head of an answer that goes into the stream has come. */
  head(upstream: UpstreamHandle, status: number): void;
}
