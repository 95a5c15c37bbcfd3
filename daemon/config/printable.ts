import { isIP } from 'node:net';
import { type Endpoint, formatEndpoint } from './units.js';

/** A value that may be shown: plain JSON without secrets. */
export type Printable = string | number | boolean | null | readonly Printable[] | { readonly [key: string]: Printable };

const REDACTED = '***';
const SECRET = /(^|[_-])(token|secret|password|passphrase|key|credential|authorization|cookie)s?$/i;

/** Whether what stands under this key is not to be shown. */
function isSecretKey(key: string): boolean {
  return SECRET.test(key);
}

/**
 * A checked value as it may be shown: secrets by the name of their key and in URLs become `***`, locations and end points
 * are written as in the file, what is not set is left out. What is printable already stays as it is.
 */
export function printable(value: unknown, key = ''): Printable {
  if (value === null || value === undefined) return null;
  if (isSecretKey(key)) return REDACTED;
  if (typeof value === 'string') return printableText(value);
  if (typeof value === 'number' || typeof value === 'boolean') return value;
  if (value instanceof URL) return printableText(value.href);
  if (Array.isArray(value)) return value.map((item) => printable(item, key));
  // What is neither does not come out of a configuration file.
  return typeof value === 'object' ? printableObject(value as Readonly<Record<string, unknown>>) : typeof value;
}

function printableObject(value: Readonly<Record<string, unknown>>): Printable {
  if (isEndpoint(value)) return formatEndpoint(value);
  // The location of a source: `url` has what was written, and only where that is shown otherwise.
  if (typeof value['display'] === 'string') return printable(value['url'] ?? value['display']);
  const set = Object.entries(value).filter(([, inner]) => inner !== undefined);
  return Object.fromEntries(set.map(([key, inner]) => [key, printable(inner, key)]));
}

function isEndpoint(value: object): value is Endpoint {
  return Object.keys(value).toSorted().join() === 'address,port';
}

/** URLs without user information and without the values of parameters that are secrets by their names. */
function printableText(text: string): string {
  if (!/^[a-z][a-z0-9+.-]*:\/\//i.test(text) || !URL.canParse(text)) return text;
  const url = new URL(text);
  const secret = [...url.searchParams.keys()].filter(isSecretKey);
  // The source of a group stands there, too (rtp://192.0.2.1@232.1.1.1:5000), and is no secret.
  const isUser = (url.username !== '' && isIP(url.username) === 0) || url.password !== '';
  if (!isUser && secret.length === 0) return text;
  if (isUser) url.username = REDACTED;
  url.password = '';
  for (const name of secret) url.searchParams.set(name, REDACTED);
  return url.href;
}
