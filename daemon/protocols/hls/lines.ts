import { SluiceError } from '../../base/errors.js';

/** Bounds on what is read from an upstream. */
export interface PlaylistLimits {
  /** Bytes of the whole playlist. */
  readonly maxBytes: number;
  readonly maxLines: number;
  /** Characters of one line. */
  readonly maxLineLength: number;
  /** Media segments or variants. */
  readonly maxEntries: number;
}

export const DEFAULT_LIMITS: PlaylistLimits = {
  maxBytes: 4 * 2 ** 20,
  maxLines: 200_000,
  maxLineLength: 16_384,
  maxEntries: 50_000,
};

/** One line that carries something: a tag with its value, or a URI. Comments and blank lines are gone. */
export interface Line {
  /** From 1. */
  readonly number: number;
  /** `EXTINF` and the like, without `#`; empty for a URI. */
  readonly tag: string;
  /** What follows the colon of a tag, or the URI. */
  readonly value: string;
}

/** PLAYLIST_INVALID that names the line, what was expected there and what came. `line` 0 stands for the whole playlist. */
export function invalid(line: number, expected: string, got: string): SluiceError {
  const shown = excerpt(got);
  const place = line === 0 ? 'playlist' : `playlist line ${line}`;
  return new SluiceError('PLAYLIST_INVALID', `${place}: expected ${expected}, got ${shown}`, {
    line,
    expected,
    got: shown,
  });
}

/** At most 60 characters, control characters made visible. */
function excerpt(text: string): string {
  if (text === '') return 'nothing';
  const printable = text.slice(0, 60).replace(/[\p{Cc}\p{Cs}\u2028\u2029]/gu, '\ufffd');
  return JSON.stringify(text.length > 60 ? `${printable}…` : printable);
}

/**
 * Cuts a playlist into its lines (RFC 8216 section 4.1): LF or CRLF, blank lines and comments ignored. A byte order mark is
 * forgiven, and so is white space around a line.
 * @throws SluiceError PLAYLIST_INVALID over a limit, or without `#EXTM3U` in the first line
 */
export function readLines(bytes: Uint8Array, limits: PlaylistLimits): Line[] {
  if (bytes.byteLength > limits.maxBytes)
    throw invalid(0, `at most ${limits.maxBytes} bytes`, `${bytes.byteLength} bytes`);
  // The decoder drops a byte order mark and puts U+FFFD for what is not UTF-8.
  const texts = new TextDecoder('utf-8').decode(bytes).split('\n');
  if (texts.length > limits.maxLines) throw invalid(0, `at most ${limits.maxLines} lines`, `${texts.length} lines`);
  const first = texts[0]?.trimEnd() ?? '';
  if (first !== '#EXTM3U') throw invalid(1, '#EXTM3U', first);
  const lines: Line[] = [];
  texts.forEach((raw, index) => {
    if (raw.length > limits.maxLineLength)
      throw invalid(index + 1, `at most ${limits.maxLineLength} characters`, `${raw.length} characters`);
    const text = raw.trim();
    if (text === '' || index === 0) return;
    if (!text.startsWith('#')) lines.push({ number: index + 1, tag: '', value: text });
    else if (text.startsWith('#EXT')) lines.push(readTag(text, index + 1));
  });
  return lines;
}

function readTag(text: string, number: number): Line {
  const colon = text.indexOf(':');
  return colon < 0
    ? { number, tag: text.slice(1), value: '' }
    : { number, tag: text.slice(1, colon), value: text.slice(colon + 1).trim() };
}

/** A decimal-integer (RFC 8216 section 4.2), 0 to 2^53-1. */
export function readInteger(line: Line, text = line.value): number {
  const value = /^\d{1,20}$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(value)) throw invalid(line.number, `a decimal integer in ${line.tag}`, text);
  return value;
}

/** A decimal-floating-point of seconds, as milliseconds; 0 to a day. */
export function readSeconds(line: Line, text: string): number {
  const value = /^\d{1,20}(\.\d*)?$|^\.\d+$/.test(text) ? Number(text) * 1000 : Number.NaN;
  if (!(value <= 86_400_000)) throw invalid(line.number, `a duration of 0 to 86400 seconds in ${line.tag}`, text);
  return value;
}

/** An absolute URL of a URI in the playlist, relative to the playlist's own (RFC 8216 section 4.1), without fragment. */
export function resolveUri(line: Line, uri: string, base: string): string {
  if (uri === '') throw invalid(line.number, 'a URI', uri);
  if (!URL.canParse(uri, base)) throw invalid(line.number, 'a URI', uri);
  const url = new URL(uri, base);
  url.hash = '';
  return url.href;
}
