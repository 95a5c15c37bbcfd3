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
  /** What follows the colon of a tag, or the URI; without white space around it. */
  readonly value: string;
  /** Where the value begins, in characters from the beginning of the text. */
  readonly at: number;
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
 * Cuts a playlist into its lines (RFC 8216 section 4.1): LF or CRLF, blank lines and comments left out. A byte order mark is
 * forgiven, and so is white space around a line.
 * @throws SluiceError PLAYLIST_INVALID over a limit, or without `#EXTM3U` in the first line
 */
export function readLines(text: string, limits: PlaylistLimits): Line[] {
  if (text.length > limits.maxBytes) throw invalid(0, `at most ${limits.maxBytes} bytes`, `${text.length} characters`);
  const lines: Line[] = [];
  let start = text.startsWith('\ufeff') ? 1 : 0;
  for (let number = 1; start <= text.length; number++) {
    const newline = text.indexOf('\n', start);
    const end = newline < 0 ? text.length : newline;
    if (number > limits.maxLines) throw invalid(number, `at most ${limits.maxLines} lines`, 'one more');
    if (end - start > limits.maxLineLength)
      throw invalid(number, `at most ${limits.maxLineLength} characters`, `${end - start} characters`);
    const line = readLine(text.slice(start, end), number, start);
    if (line !== null) lines.push(line);
    start = end + 1;
  }
  return lines;
}

/** The text of a playlist as fetched. @throws SluiceError PLAYLIST_INVALID over the limit of bytes */
export function decodePlaylist(bytes: Uint8Array, limits: PlaylistLimits): string {
  if (bytes.byteLength > limits.maxBytes)
    throw invalid(0, `at most ${limits.maxBytes} bytes`, `${bytes.byteLength} bytes`);
  // U+FFFD stands for what is not UTF-8.
  return new TextDecoder('utf-8').decode(bytes);
}

/** One line; null where it carries nothing. */
function readLine(raw: string, number: number, start: number): Line | null {
  if (number === 1) {
    const first = raw.trimEnd();
    if (first !== '#EXTM3U') throw invalid(1, '#EXTM3U', first);
    return null;
  }
  const text = raw.trim();
  const at = start + raw.length - raw.trimStart().length;
  if (text === '') return null;
  if (!text.startsWith('#')) return { number, tag: '', value: text, at };
  return text.startsWith('#EXT') ? readTag(text, number, at) : null;
}

function readTag(text: string, number: number, at: number): Line {
  const colon = text.indexOf(':');
  if (colon < 0) return { number, tag: text.slice(1), value: '', at: at + text.length };
  const value = text.slice(colon + 1).trimStart();
  return { number, tag: text.slice(1, colon), value, at: at + text.length - value.length };
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
