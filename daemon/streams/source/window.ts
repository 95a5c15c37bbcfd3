import type { MediaPlaylist, MediaSegment } from '../../protocols/hls/playlist.js';

/**
 * Index of the segment to begin a live playlist with: the last one that starts at least three target durations before the
 * end (RFC 8216 section 6.3.3), or the first where the playlist is shorter.
 */
export function liveStart(playlist: MediaPlaylist): number {
  let fromEnd = 0;
  for (let index = playlist.segments.length - 1; index > 0; index--) {
    fromEnd += playlist.segments[index]?.durationMs ?? 0;
    if (fromEnd >= 3 * playlist.targetDurationMs) return index;
  }
  return 0;
}

/** Media sequence number of the segment that will come after the last one. */
export function edgeOf(playlist: MediaPlaylist): number {
  return playlist.mediaSequence + playlist.segments.length;
}

/** How a playlist relates to the one before it, of the same URL. */
export type Relation =
  /** Nothing new. */
  | 'same'
  /** The window has moved on, or segments were added. */
  | 'onward'
  /** An older copy of the same playlist (another server of the origin that lags): nothing to take from it. */
  | 'stale'
  /** Not a continuation: the origin was restarted, or numbers its segments anew. */
  | 'restarted';

/**
 * Tells how `next` relates to `last`. Segments of equal number are compared by the last component of their path: queries and
 * directories may carry tokens that change with every fetch.
 * @param disturbed whether a fetch failed between the two: then a window that went back is taken for a restart at once
 */
export function relate(last: MediaPlaylist, next: MediaPlaylist, disturbed: boolean): Relation {
  const common = commonSegments(last, next);
  if (common.length > 0 && common.every(([a, b]) => nameOf(a) !== nameOf(b))) return 'restarted';
  const back = edgeOf(next) < edgeOf(last);
  if (back && (disturbed || common.length === 0)) return 'restarted';
  if (back) return 'stale';
  return edgeOf(next) === edgeOf(last) && next.ended === last.ended ? 'same' : 'onward';
}

function commonSegments(last: MediaPlaylist, next: MediaPlaylist): [MediaSegment, MediaSegment][] {
  const pairs: [MediaSegment, MediaSegment][] = [];
  for (const segment of next.segments) {
    const other = last.segments[segment.sequence - last.mediaSequence];
    if (other !== undefined) pairs.push([other, segment]);
  }
  return pairs;
}

function nameOf(segment: MediaSegment): string {
  const path = new URL(segment.url).pathname;
  const range = segment.byteRange === null ? '' : `#${segment.byteRange.offset}`;
  return path.slice(path.lastIndexOf('/') + 1) + range;
}
