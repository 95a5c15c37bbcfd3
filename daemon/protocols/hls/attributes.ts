import { invalid, type Line, readSeconds } from './lines.js';

/** An attribute list (RFC 8216 section 4.2): values as written, quotes taken off. The first of two equal names counts. */
export type Attributes = ReadonlyMap<string, string>;

/** One `NAME=value` where it stands. */
export interface Attribute {
  readonly name: string;
  /** As written, quotes taken off. */
  readonly value: string;
  readonly quoted: boolean;
  /** Where the value begins (behind its quote), in characters from the beginning of the text. */
  readonly at: number;
}

/** Puts in what references to variables stand for. */
export interface Substitution {
  apply(line: Line, text: string): string;
}

const NAME = /([A-Za-z0-9_.-]{1,64})\s*=\s*/y;
const NOT_SPACE = /\S/g;

/**
 * The attributes of a tag in their order. A comma at the end is forgiven.
 * @throws SluiceError PLAYLIST_INVALID naming the line and the attribute
 */
export function* scanAttributes(line: Line): Generator<Attribute> {
  const text = line.value;
  for (let at = skipSpace(text, 0); at < text.length; at = skipSpace(text, at)) {
    NAME.lastIndex = at;
    const match = NAME.exec(text);
    const start = at + (match?.[0].length ?? 0);
    const quoted = text[start] === '"';
    const end = quoted ? text.indexOf('"', start + 1) : endOf(text, start);
    const comma = quoted ? skipSpace(text, end + 1) : end;
    const value = text.slice(quoted ? start + 1 : start, end);
    const closed = end >= 0 && (comma === text.length || text[comma] === ',');
    if (match?.[1] === undefined || !closed || (!quoted && value.includes('"')))
      throw invalid(line.number, `NAME=value in ${line.tag}`, text.slice(at));
    yield { name: match[1], value: quoted ? value : value.trimEnd(), quoted, at: line.at + start + (quoted ? 1 : 0) };
    at = comma + 1;
  }
}

function endOf(text: string, start: number): number {
  const comma = text.indexOf(',', start);
  return comma < 0 ? text.length : comma;
}

function skipSpace(text: string, at: number): number {
  NOT_SPACE.lastIndex = at;
  return NOT_SPACE.exec(text)?.index ?? text.length;
}

/**
 * Reads an attribute list, references to variables replaced.
 * @throws SluiceError PLAYLIST_INVALID naming the line and the attribute
 */
export function readAttributes(line: Line, variables: Substitution): Attributes {
  const attributes = new Map<string, string>();
  for (const { name, value } of scanAttributes(line))
    if (!attributes.has(name)) attributes.set(name, variables.apply(line, value));
  return attributes;
}

/** The value of an attribute that must be there. */
export function requireAttribute(line: Line, attributes: Attributes, name: string): string {
  const value = attributes.get(name);
  if (value === undefined || value === '') throw invalid(line.number, `${name} in ${line.tag}`, line.value);
  return value;
}

/** A decimal-integer attribute, or null when it is absent. */
export function integerAttribute(line: Line, attributes: Attributes, name: string): number | null {
  const text = attributes.get(name);
  if (text === undefined) return null;
  const value = /^\d{1,20}$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(value)) throw invalid(line.number, `a decimal integer for ${name} in ${line.tag}`, text);
  return value;
}

/** A decimal-floating-point attribute of seconds as milliseconds, 0 to a day; null when it is absent. */
export function secondsAttribute(line: Line, attributes: Attributes, name: string): number | null {
  const text = attributes.get(name);
  return text === undefined ? null : readSeconds(line, text);
}

/** Whether an enumerated-string attribute of YES or NO says YES. */
export function isYes(attributes: Attributes, name: string): boolean {
  return attributes.get(name) === 'YES';
}

/** A decimal-resolution attribute, or null when it is absent or not one (it is only a hint). */
export function resolutionAttribute(attributes: Attributes, name: string): { width: number; height: number } | null {
  const match = /^(\d{1,5})x(\d{1,5})$/.exec(attributes.get(name) ?? '');
  return match === null ? null : { width: Number(match[1]), height: Number(match[2]) };
}
