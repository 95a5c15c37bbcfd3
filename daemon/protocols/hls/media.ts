import { requireAttribute } from './attributes.js';
import { placeRange, readByteRange, type WrittenRange } from './byte-range.js';
import { readDate, readDateRange } from './dates.js';
import { KeyRing } from './keys.js';
import { invalid, type Line, readInteger, readSeconds } from './lines.js';
import {
  readPart,
  readPartTarget,
  readPreloadHint,
  readRenditionReport,
  readServerControl,
  readSkip,
} from './low-latency.js';
import type {
  DateRange,
  MediaMap,
  MediaPlaylist,
  MediaSegment,
  Part,
  PreloadHint,
  RenditionReport,
  ServerControl,
  Skip,
} from './playlist.js';
import type { Scope } from './scope.js';

/** What the tags before a URI say of the next segment only. */
interface Pending {
  durationMs: number | null;
  range: { readonly line: Line; readonly range: WrittenRange } | null;
  discontinuity: boolean;
  gap: boolean;
  programDateTimeMs: number | null;
}

const NOTHING: Pending = {
  durationMs: null,
  range: null,
  discontinuity: false,
  gap: false,
  programDateTimeMs: null,
};

/** Reads a media playlist line by line (RFC 8216bis sections 4.4.3 to 4.4.5). Tags that are not known are passed over. */
export class MediaReader {
  readonly #scope: Scope;
  readonly #segments: MediaSegment[] = [];
  readonly #preloadHints: PreloadHint[] = [];
  readonly #renditionReports: RenditionReport[] = [];
  readonly #dateRanges: DateRange[] = [];
  readonly #keys = new KeyRing();
  #targetDurationMs: number | null = null;
  #partTargetMs: number | null = null;
  #serverControl: ServerControl | null = null;
  #mediaSequence = 0;
  #discontinuitySequence = 0;
  /** EXT-X-DISCONTINUITY tags so far. */
  #discontinuities = 0;
  #type: 'EVENT' | 'VOD' | null = null;
  #ended = false;
  #iFramesOnly = false;
  #skip: Skip | null = null;
  #map: MediaMap | null = null;
  #pending: Pending = { ...NOTHING };
  /** Of the segment whose URI has not come yet. */
  #parts: Part[] = [];
  #lastPart: Part | undefined;
  #partCount = 0;

  constructor(scope: Scope) {
    this.#scope = scope;
  }

  read(lines: readonly Line[]): MediaPlaylist {
    for (const line of lines) {
      if (line.tag === '') this.#readSegment(line);
      else if (!this.#scope.readCommonTag(line) && !this.#readSegmentTag(line) && !this.#readListTag(line))
        this.#readPlaylistTag(line);
    }
    return this.#finish();
  }

  #finish(): MediaPlaylist {
    if (this.#targetDurationMs === null)
      throw invalid(0, 'EXT-X-TARGETDURATION (RFC 8216 section 4.3.3.1)', 'a media playlist without it');
    const { version, independentSegments, start, variables } = this.#scope;
    return {
      kind: 'media',
      version,
      independentSegments,
      start,
      variables: variables.values,
      targetDurationMs: this.#targetDurationMs,
      mediaSequence: this.#mediaSequence,
      discontinuitySequence: this.#discontinuitySequence,
      type: this.#type,
      ended: this.#ended,
      iFramesOnly: this.#iFramesOnly,
      segments: this.#segments,
      parts: this.#parts,
      partTargetMs: this.#partTargetMs,
      serverControl: this.#serverControl,
      preloadHints: this.#preloadHints,
      renditionReports: this.#renditionReports,
      dateRanges: this.#dateRanges,
      skip: this.#skip,
    };
  }

  #readPlaylistTag(line: Line): void {
    switch (line.tag) {
      case 'EXT-X-TARGETDURATION':
        // The section demands an integer; encoders that write 2.002 are common enough to be forgiven.
        this.#targetDurationMs = Math.max(1, Math.ceil(readSeconds(line, line.value) / 1000)) * 1000;
        break;
      case 'EXT-X-MEDIA-SEQUENCE':
        this.#refuseAfterSegments(line);
        this.#mediaSequence = readInteger(line);
        break;
      case 'EXT-X-DISCONTINUITY-SEQUENCE':
        this.#refuseAfterSegments(line);
        this.#discontinuitySequence = readInteger(line);
        break;
      case 'EXT-X-PLAYLIST-TYPE':
        if (line.value !== 'EVENT' && line.value !== 'VOD')
          throw invalid(line.number, 'EVENT or VOD in EXT-X-PLAYLIST-TYPE', line.value);
        this.#type = line.value;
        break;
      case 'EXT-X-ENDLIST':
        this.#ended = true;
        break;
      case 'EXT-X-I-FRAMES-ONLY':
        this.#iFramesOnly = true;
        break;
      case 'EXT-X-PART-INF':
        this.#partTargetMs = readPartTarget(line, this.#scope);
        break;
      case 'EXT-X-SERVER-CONTROL':
        this.#serverControl = readServerControl(line, this.#scope);
        break;
      case 'EXT-X-SKIP':
        this.#refuseAfterSegments(line);
        this.#skip = readSkip(line, this.#scope);
        break;
      default:
    }
  }

  /** These tags number the segments that follow: sections 4.4.3.2 and 4.4.3.3 want them before the first. */
  #refuseAfterSegments(line: Line): void {
    if (this.#segments.length > 0) throw invalid(line.number, `${line.tag} before the first segment`, 'it after one');
  }

  /** Takes a tag of which the playlist may have many; false when it is none. */
  #readListTag(line: Line): boolean {
    const scope = this.#scope;
    switch (line.tag) {
      case 'EXT-X-PRELOAD-HINT':
        scope.add(this.#preloadHints, readPreloadHint(line, scope), line, 'preload hints');
        return true;
      case 'EXT-X-RENDITION-REPORT':
        scope.add(this.#renditionReports, readRenditionReport(line, scope), line, 'rendition reports');
        return true;
      case 'EXT-X-DATERANGE':
        scope.add(this.#dateRanges, readDateRange(line, scope.attributes(line)), line, 'date ranges');
        return true;
      default:
        return false;
    }
  }

  /** Takes a tag that belongs to segments; false when it is none. */
  #readSegmentTag(line: Line): boolean {
    const pending = this.#pending;
    switch (line.tag) {
      case 'EXTINF':
        pending.durationMs = readSeconds(line, (line.value.split(',', 1)[0] ?? '').trim());
        return true;
      case 'EXT-X-BYTERANGE':
        pending.range = { line, range: readByteRange(line, line.value) };
        return true;
      case 'EXT-X-DISCONTINUITY':
        pending.discontinuity = true;
        this.#discontinuities += 1;
        return true;
      case 'EXT-X-GAP':
        pending.gap = true;
        return true;
      case 'EXT-X-PROGRAM-DATE-TIME':
        pending.programDateTimeMs = readDate(line, line.value);
        return true;
      case 'EXT-X-KEY':
        this.#keys.take(line, this.#scope);
        return true;
      case 'EXT-X-MAP':
        this.#map = readMap(line, this.#scope);
        return true;
      case 'EXT-X-PART':
        this.#readPart(line);
        return true;
      default:
        return false;
    }
  }

  #readPart(line: Line): void {
    const { maxEntries } = this.#scope.limits;
    this.#partCount += 1;
    if (this.#partCount > maxEntries) throw invalid(line.number, `at most ${maxEntries} parts`, 'one more');
    this.#lastPart = readPart(line, this.#scope, this.#lastPart);
    this.#parts.push(this.#lastPart);
  }

  #readSegment(line: Line): void {
    const { durationMs, range, discontinuity, gap, programDateTimeMs } = this.#pending;
    if (durationMs === null)
      throw invalid(line.number, 'EXTINF before the URI of a segment (RFC 8216 section 4.3.2.1)', line.value);
    const sequence = this.#mediaSequence + (this.#skip?.segments ?? 0) + this.#segments.length;
    if (!Number.isSafeInteger(sequence))
      throw invalid(line.number, 'a media sequence number below 2^53', String(sequence));
    const url = this.#scope.lineUrl(line);
    const segment: MediaSegment = {
      sequence,
      url,
      durationMs,
      byteRange: range === null ? null : placeRange(range.line, range.range, url, this.#segments.at(-1)),
      discontinuity,
      discontinuitySequence: this.#discontinuitySequence + this.#discontinuities,
      gap,
      keys: this.#keys.keys,
      map: this.#map,
      programDateTimeMs,
      parts: this.#parts,
    };
    this.#scope.add(this.#segments, segment, line, 'segments');
    this.#pending = { ...NOTHING };
    this.#parts = [];
  }
}

/** EXT-X-MAP (section 4.4.4.5). */
function readMap(line: Line, scope: Scope): MediaMap {
  const attributes = scope.attributes(line);
  const text = attributes.get('BYTERANGE');
  const range = text === undefined ? null : readByteRange(line, text);
  return {
    url: scope.url(line, requireAttribute(line, attributes, 'URI')),
    byteRange: range === null ? null : { length: range.length, offset: range.offset ?? 0 },
  };
}
