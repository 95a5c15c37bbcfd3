// Low-latency tags of media playlists (RFC 8216bis).
import { integerAttribute, isYes, requireAttribute, secondsAttribute } from './attributes.js';
import { placeRange, readByteRange } from './byte-range.js';
import { invalid, type Line, readSeconds } from './lines.js';
import type { Part, PreloadHint, RenditionReport, ServerControl, Skip } from './playlist.js';
import type { Scope } from './scope.js';

/** EXT-X-PART-INF (section 4.4.3.7): the part target duration in milliseconds. */
export function readPartTarget(line: Line, scope: Scope): number {
  return readSeconds(line, requireAttribute(line, scope.attributes(line), 'PART-TARGET'));
}

/** EXT-X-SERVER-CONTROL (section 4.4.3.8). */
export function readServerControl(line: Line, scope: Scope): ServerControl {
  const attributes = scope.attributes(line);
  return {
    canBlockReload: isYes(attributes, 'CAN-BLOCK-RELOAD'),
    canSkipUntilMs: secondsAttribute(line, attributes, 'CAN-SKIP-UNTIL'),
    canSkipDateRanges: isYes(attributes, 'CAN-SKIP-DATERANGES'),
    holdBackMs: secondsAttribute(line, attributes, 'HOLD-BACK'),
    partHoldBackMs: secondsAttribute(line, attributes, 'PART-HOLD-BACK'),
  };
}

/** EXT-X-PART (section 4.4.4.9). @param previous the part listed before it */
export function readPart(line: Line, scope: Scope, previous: Part | undefined): Part {
  const attributes = scope.attributes(line);
  const url = scope.requiredUrl(line, attributes);
  const range = attributes.get('BYTERANGE');
  return {
    url,
    durationMs: readSeconds(line, requireAttribute(line, attributes, 'DURATION')),
    byteRange: range === undefined ? null : placeRange(line, readByteRange(line, range), url, previous),
    independent: isYes(attributes, 'INDEPENDENT'),
    gap: isYes(attributes, 'GAP'),
  };
}

/** EXT-X-PRELOAD-HINT (section 4.4.5.3). */
export function readPreloadHint(line: Line, scope: Scope): PreloadHint {
  const attributes = scope.attributes(line);
  return {
    type: requireAttribute(line, attributes, 'TYPE'),
    url: scope.requiredUrl(line, attributes),
    offset: integerAttribute(line, attributes, 'BYTERANGE-START') ?? 0,
    length: integerAttribute(line, attributes, 'BYTERANGE-LENGTH'),
  };
}

/** EXT-X-RENDITION-REPORT (section 4.4.5.4). */
export function readRenditionReport(line: Line, scope: Scope): RenditionReport {
  const attributes = scope.attributes(line);
  return {
    url: scope.requiredUrl(line, attributes),
    lastSequence: integerAttribute(line, attributes, 'LAST-MSN'),
    lastPart: integerAttribute(line, attributes, 'LAST-PART'),
  };
}

/** EXT-X-SKIP (section 4.4.5.2). */
export function readSkip(line: Line, scope: Scope): Skip {
  const attributes = scope.attributes(line);
  const segments = integerAttribute(line, attributes, 'SKIPPED-SEGMENTS');
  if (segments === null) throw invalid(line.number, 'SKIPPED-SEGMENTS in EXT-X-SKIP', line.value);
  const removed = attributes.get('RECENTLY-REMOVED-DATERANGES') ?? '';
  return { segments, removedDateRanges: removed === '' ? [] : removed.split('\t') };
}
