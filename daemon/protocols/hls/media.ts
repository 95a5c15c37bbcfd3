import { readAttributes, requireAttribute } from './attributes.js';
import { invalid, type Line, type PlaylistLimits, readInteger, readSeconds, resolveUri } from './lines.js';
import type { ByteRange, MediaPlaylist, MediaSegment } from './playlist.js';

/** What the tags before a URI have said about it, and what goes on from segment to segment. */
interface Reading {
  readonly base: string;
  readonly limits: PlaylistLimits;
  readonly segments: MediaSegment[];
  version: number;
  targetDurationMs: number | null;
  mediaSequence: number;
  discontinuitySequence: number;
  /** EXT-X-DISCONTINUITY tags so far. */
  discontinuities: number;
  type: 'EVENT' | 'VOD' | null;
  ended: boolean;
  // Of the next segment only:
  durationMs: number | null;
  range: { line: Line; length: number; offset: number | null } | null;
  discontinuity: boolean;
  gap: boolean;
  // From here to the next tag of the same name:
  encryption: string | null;
  map: string | null;
}

/** Reads the lines of a media playlist (RFC 8216 sections 4.3.2 and 4.3.3). Tags that are not known are passed over. */
export function readMedia(lines: readonly Line[], base: string, limits: PlaylistLimits): MediaPlaylist {
  const reading: Reading = {
    base,
    limits,
    segments: [],
    version: 1,
    targetDurationMs: null,
    mediaSequence: 0,
    discontinuitySequence: 0,
    discontinuities: 0,
    type: null,
    ended: false,
    durationMs: null,
    range: null,
    discontinuity: false,
    gap: false,
    encryption: null,
    map: null,
  };
  for (const line of lines) {
    if (line.tag === '') readSegment(reading, line);
    else if (!readSegmentTag(reading, line)) readPlaylistTag(reading, line);
  }
  if (reading.targetDurationMs === null)
    throw invalid(0, 'EXT-X-TARGETDURATION (RFC 8216 section 4.3.3.1)', 'a media playlist without it');
  return finish(reading, reading.targetDurationMs);
}

function finish(reading: Reading, targetDurationMs: number): MediaPlaylist {
  const { version, mediaSequence, discontinuitySequence, type, ended } = reading;
  return {
    kind: 'media',
    version,
    targetDurationMs,
    mediaSequence,
    discontinuitySequence,
    type,
    ended,
    segments: reading.segments,
  };
}

function readPlaylistTag(reading: Reading, line: Line): void {
  switch (line.tag) {
    case 'EXT-X-VERSION':
      reading.version = readInteger(line);
      break;
    case 'EXT-X-TARGETDURATION':
      // The section demands an integer; encoders that write 2.002 are common enough to be forgiven.
      reading.targetDurationMs = Math.max(1, Math.ceil(readSeconds(line, line.value) / 1000)) * 1000;
      break;
    case 'EXT-X-MEDIA-SEQUENCE':
      refuseAfterSegments(reading, line);
      reading.mediaSequence = readInteger(line);
      break;
    case 'EXT-X-DISCONTINUITY-SEQUENCE':
      refuseAfterSegments(reading, line);
      reading.discontinuitySequence = readInteger(line);
      break;
    case 'EXT-X-PLAYLIST-TYPE':
      if (line.value !== 'EVENT' && line.value !== 'VOD')
        throw invalid(line.number, 'EVENT or VOD in EXT-X-PLAYLIST-TYPE', line.value);
      reading.type = line.value;
      break;
    case 'EXT-X-ENDLIST':
      reading.ended = true;
      break;
    default:
  }
}

/** Sections 4.3.3.2 and 4.3.3.3: these tags MUST appear before the first segment, since they number it. */
function refuseAfterSegments(reading: Reading, line: Line): void {
  if (reading.segments.length > 0) throw invalid(line.number, `${line.tag} before the first segment`, 'it after one');
}

/** Takes a tag that belongs to segments; false when it is none. */
function readSegmentTag(reading: Reading, line: Line): boolean {
  switch (line.tag) {
    case 'EXTINF':
      reading.durationMs = readSeconds(line, (line.value.split(',', 1)[0] ?? '').trim());
      return true;
    case 'EXT-X-BYTERANGE':
      reading.range = { line, ...readByteRange(line) };
      return true;
    case 'EXT-X-DISCONTINUITY':
      reading.discontinuity = true;
      reading.discontinuities += 1;
      return true;
    case 'EXT-X-GAP':
      reading.gap = true;
      return true;
    case 'EXT-X-KEY': {
      const method = requireAttribute(line, readAttributes(line), 'METHOD');
      reading.encryption = method === 'NONE' ? null : method;
      return true;
    }
    case 'EXT-X-MAP':
      reading.map = resolveUri(line, requireAttribute(line, readAttributes(line), 'URI'), reading.base);
      return true;
    default:
      return false;
  }
}

/** `n[@o]` (section 4.3.2.2). */
function readByteRange(line: Line): { length: number; offset: number | null } {
  const match = /^(\d+)(?:@(\d+))?$/.exec(line.value);
  if (match?.[1] === undefined) throw invalid(line.number, 'LENGTH[@OFFSET] in EXT-X-BYTERANGE', line.value);
  const length = readInteger(line, match[1]);
  if (length === 0) throw invalid(line.number, 'a length above 0 in EXT-X-BYTERANGE', line.value);
  const offset = match[2] === undefined ? null : readInteger(line, match[2]);
  if (!Number.isSafeInteger(length + (offset ?? 0)))
    throw invalid(line.number, 'a range below 2^53 in EXT-X-BYTERANGE', line.value);
  return { length, offset };
}

function readSegment(reading: Reading, line: Line): void {
  if (reading.durationMs === null)
    throw invalid(line.number, 'EXTINF before the URI of a segment (RFC 8216 section 4.3.2.1)', line.value);
  if (reading.segments.length >= reading.limits.maxEntries)
    throw invalid(line.number, `at most ${reading.limits.maxEntries} segments`, 'one more');
  const sequence = reading.mediaSequence + reading.segments.length;
  if (!Number.isSafeInteger(sequence))
    throw invalid(line.number, 'a media sequence number below 2^53', String(sequence));
  const url = resolveUri(line, line.value, reading.base);
  reading.segments.push({
    sequence,
    url,
    durationMs: reading.durationMs,
    byteRange: resolveRange(reading, url),
    discontinuity: reading.discontinuity,
    discontinuitySequence: reading.discontinuitySequence + reading.discontinuities,
    gap: reading.gap,
    encryption: reading.encryption,
    map: reading.map,
  });
  reading.durationMs = null;
  reading.range = null;
  reading.discontinuity = false;
  reading.gap = false;
}

/** Section 4.3.2.2: without an offset the range begins where the previous segment's, of the same resource, ended. */
function resolveRange(reading: Reading, url: string): ByteRange | null {
  const { range } = reading;
  if (range === null) return null;
  if (range.offset !== null) return { length: range.length, offset: range.offset };
  const previous = reading.segments.at(-1);
  if (previous === undefined || previous.byteRange === null || previous.url !== url) {
    throw invalid(range.line.number, 'an offset in the first EXT-X-BYTERANGE of a resource', range.line.value);
  }
  return { length: range.length, offset: previous.byteRange.offset + previous.byteRange.length };
}
