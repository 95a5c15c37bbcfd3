import { invalid, type Line } from './lines.js';

/** An attribute list (RFC 8216 section 4.2): values as written, quotes taken off. The first of two equal names counts. */
export type Attributes = ReadonlyMap<string, string>;

/** One `NAME=value` at the start of the text: a quoted string, or anything up to the next comma. */
const ATTRIBUTE = /^\s*([A-Z0-9-]{1,64})\s*=\s*(?:"([^"]*)"|([^",]*))\s*(?:,|$)/;

/**
 * Reads an attribute list. A comma at the end is forgiven.
 * @throws SluiceError PLAYLIST_INVALID naming the line and the attribute
 */
export function readAttributes(line: Line): Attributes {
  const attributes = new Map<string, string>();
  let rest = line.value;
  while (rest.trim() !== '') {
    const match = ATTRIBUTE.exec(rest);
    const name = match?.[1];
    if (match === null || name === undefined) throw invalid(line.number, `NAME=value in ${line.tag}`, rest);
    if (!attributes.has(name)) attributes.set(name, match[2] ?? (match[3] ?? '').trim());
    rest = rest.slice(match[0].length);
  }
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

/** A decimal-resolution attribute, or null when it is absent or not one (it is only a hint). */
export function resolutionAttribute(attributes: Attributes, name: string): { width: number; height: number } | null {
  const match = /^(\d{1,5})x(\d{1,5})$/.exec(attributes.get(name) ?? '');
  return match === null ? null : { width: Number(match[1]), height: Number(match[2]) };
}
