/** Makes the tokens that native/http/token.h takes: the format is described there, and for others in docs/front.md. */
import { createHmac } from 'node:crypto';
import { isIP } from 'node:net';
import type { TokenKey } from '../plane/contract.js';

export interface TokenTerms {
  /** The site's id. */
  readonly site: string;
  readonly key: TokenKey;
  /** Milliseconds since 1970, rounded down to seconds. */
  readonly expires: number;
  /** Numeric; null for any. An IPv6 address stands for its /64. */
  readonly address: string | null;
  /** Behind the site's prefix, with a slash before it: `/live/` and all below, `/film.mp4` alone, `/` everything. */
  readonly scope: string;
}

export function makeToken({ site, key, expires, address, scope }: TokenTerms): string {
  const bound = address === null ? 'any' : addressDigits(address);
  const text = [key.id, Math.floor(expires / 1000), bound, Buffer.from(scope).toString('base64url')].join('.');
  return `${text}.${createHmac('sha256', key.secret).update(`${site}\n${text}`).digest('base64url')}`;
}

/** The two ways in which a token stands in a path of the viewers' front. */
export function signedPaths(path: string, prefix: string, token: string): { path: string; query: string } {
  return {
    path: `${prefix}~${token}/${path.slice(prefix.length)}`,
    query: `${path}${path.includes('?') ? '&' : '?'}token=${token}`,
  };
}

/** An IPv4 address, or the first 64 bits of an IPv6 one, in hexadecimal digits. */
function addressDigits(address: string): string {
  if (isIP(address) === 4) return hex(address.split('.').map(Number), 2);
  // The URL class writes every IPv6 address as groups of hexadecimal digits, with at most one "::" for those that are 0.
  const [before = '', after] = new URL(`http://[${address}]/`).hostname.slice(1, -1).split('::');
  const head = groups(before);
  const tail = groups(after ?? '');
  const all = after === undefined ? head : [...head, ...Array<number>(8 - head.length - tail.length).fill(0), ...tail];
  const mapped = all.slice(0, 5).every((group) => group === 0) && all[5] === 0xffff;
  return mapped ? hex(all.slice(6), 4) : hex(all.slice(0, 4), 4);
}

function groups(text: string): number[] {
  return text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16));
}

function hex(numbers: readonly number[], digits: number): string {
  return numbers.map((number) => number.toString(16).padStart(digits, '0')).join('');
}
