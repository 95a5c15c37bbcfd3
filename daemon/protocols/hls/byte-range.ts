import { invalid, type Line, readInteger } from './lines.js';
import type { ByteRange } from './playlist.js';

/** A range as written: without an offset it begins where the one before it, of the same resource, ended. */
export interface WrittenRange {
  readonly length: number;
  readonly offset: number | null;
}

/** `n[@o]` (RFC 8216bis section 4.4.4.2). */
export function readByteRange(line: Line, text: string): WrittenRange {
  const match = /^(\d+)(?:@(\d+))?$/.exec(text);
  if (match?.[1] === undefined) throw invalid(line.number, `LENGTH[@OFFSET] in ${line.tag}`, text);
  const length = readInteger(line, match[1]);
  if (length === 0) throw invalid(line.number, `a length above 0 in ${line.tag}`, text);
  const offset = match[2] === undefined ? null : readInteger(line, match[2]);
  if (!Number.isSafeInteger(length + (offset ?? 0)))
    throw invalid(line.number, `a range below 2^53 in ${line.tag}`, text);
  return { length, offset };
}

/**
 * Places a range within its resource.
 * @param line where the range stands
 * @param previous what was listed before, whose end is the offset that was left out
 */
export function placeRange(
  line: Line,
  range: WrittenRange,
  url: string,
  previous: { readonly url: string; readonly byteRange: ByteRange | null } | undefined,
): ByteRange {
  if (range.offset !== null) return { length: range.length, offset: range.offset };
  if (previous === undefined || previous.byteRange === null || previous.url !== url)
    throw invalid(line.number, `an offset in the first ${line.tag} of a resource`, line.value);
  const offset = previous.byteRange.offset + previous.byteRange.length;
  if (!Number.isSafeInteger(offset + range.length))
    throw invalid(line.number, `a range below 2^53 in ${line.tag}`, line.value);
  return { length: range.length, offset };
}
