/**
 * The zod types that configuration is made of. Every one takes what an operator writes and gives the number that code
 * uses. Messages start with "expected": {@link file://./problems.ts} adds the place, the key and the value that came.
 */
import { isIP } from 'node:net';
import { z } from 'zod';

/** Bounds of a quantity, in the unit of the result, both included. */
export interface Bounds {
  readonly min: number;
  readonly max: number;
}

const DURATION_UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const BYTE_UNITS: Readonly<Record<string, number>> = {
  B: 1,
  kB: 1e3,
  MB: 1e6,
  GB: 1e9,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
};

/** A number with a unit, or undefined when it is not written as one. */
function quantity(text: string, units: Readonly<Record<string, number>>): number | undefined {
  const match = /^(\d{1,15}(?:\.\d{1,6})?)\s?([A-Za-z]{1,3})$/.exec(text);
  const factor = match?.[2] === undefined ? undefined : Object.hasOwn(units, match[2]) ? units[match[2]] : undefined;
  return match === null || factor === undefined ? undefined : Math.round(Number(match[1]) * factor);
}

function quantityType(
  units: Readonly<Record<string, number>>,
  expected: string,
  bounds: Bounds,
): z.ZodPipe<z.ZodString, z.ZodTransform<number, string>> {
  const names = Object.keys(units).join('|');
  return z
    .string({ error: expected })
    .meta({ pattern: `^\\d+(\\.\\d+)?\\s?(${names})$` })
    .transform((text, context) => {
      const value = quantity(text.trim(), units);
      if (value !== undefined && value >= bounds.min && value <= bounds.max) return value;
      context.issues.push({ code: 'custom', message: expected, input: text });
      return z.NEVER;
    });
}

/** `300ms`, `2s`, `1m`, `1h`, `1d` -> milliseconds, within the bounds (milliseconds). */
export function duration(
  bounds: Bounds = { min: 0, max: 86_400_000 },
): z.ZodPipe<z.ZodString, z.ZodTransform<number, string>> {
  const range = `${formatDuration(bounds.min)} to ${formatDuration(bounds.max)}`;
  return quantityType(DURATION_UNITS, `expected a duration of ${range}, such as 300ms, 2s or 1m`, bounds);
}

/** `500us`, `2ms` -> microseconds, within the bounds (microseconds). */
export function microseconds(bounds: Bounds): z.ZodPipe<z.ZodString, z.ZodTransform<number, string>> {
  const expected = `expected a duration of ${bounds.min}us to ${bounds.max}us, such as 500us or 1.5ms`;
  return quantityType({ us: 1, ms: 1000 }, expected, bounds);
}

/** `512KiB`, `32MiB`, `1GiB`, `64kB` -> bytes, within the bounds (bytes). */
export function bytes(
  bounds: Bounds = { min: 0, max: 2 ** 50 },
): z.ZodPipe<z.ZodString, z.ZodTransform<number, string>> {
  const range = `${formatBytes(bounds.min)} to ${formatBytes(bounds.max)}`;
  return quantityType(BYTE_UNITS, `expected a size of ${range}, such as 512KiB, 32MiB or 1GiB`, bounds);
}

/** `20%` -> 20, within the bounds (percent). */
export function percent(bounds: Bounds): z.ZodPipe<z.ZodString, z.ZodTransform<number, string>> {
  const expected = `expected a percentage of ${bounds.min}% to ${bounds.max}%, such as 20%`;
  return z
    .string({ error: expected })
    .meta({ pattern: '^\\d+\\s?%$' })
    .transform((text, context) => {
      const value = Number(/^(\d{1,6})\s?%$/.exec(text.trim())?.[1] ?? Number.NaN);
      if (value >= bounds.min && value <= bounds.max) return value;
      context.issues.push({ code: 'custom', message: expected, input: text });
      return z.NEVER;
    });
}

/** An integer within the bounds. */
export function integer(bounds: Bounds): z.ZodNumber {
  const expected = `expected a whole number of ${bounds.min} to ${bounds.max}`;
  return z
    .number({ error: expected })
    .int({ error: expected })
    .min(bounds.min, { error: expected })
    .max(bounds.max, { error: expected });
}

/** Milliseconds as an operator writes them. */
export function formatDuration(ms: number): string {
  for (const [unit, factor] of [
    ['d', 86_400_000],
    ['h', 3_600_000],
    ['m', 60_000],
    ['s', 1000],
  ] as const) {
    if (ms >= factor && ms % factor === 0) return `${ms / factor}${unit}`;
  }
  return `${ms}ms`;
}

/** Bytes as an operator writes them. */
export function formatBytes(value: number): string {
  for (const unit of ['GiB', 'MiB', 'KiB'] as const) {
    const factor = BYTE_UNITS[unit] ?? 1;
    if (value >= factor && value % factor === 0) return `${value / factor}${unit}`;
  }
  return `${value}B`;
}

/** A string that matches a pattern; the sentence starts with "expected". */
function pattern(regex: RegExp, expected: string): z.ZodString {
  return z.string({ error: expected }).regex(regex, { error: expected });
}

/** Id of a channel, a rendition …: `[a-z0-9][a-z0-9-]{0,62}`. */
export const id = pattern(
  /^[a-z0-9][a-z0-9-]{0,62}$/,
  'expected an id: 1 to 63 lower-case letters, digits and hyphens, a letter or digit first',
);

/** Name of a network interface (Linux: 1 to 15 bytes, neither "/" nor space). */
export const interfaceName = pattern(
  /^(?!\.{1,2}$)[!-.0-~]{1,15}$/,
  'expected the name of a network interface, such as eth0',
);

/** A line of text for people, 1 to 200 characters, no control characters. */
export const label = pattern(/^[^\p{Cc}]{1,200}$/u, 'expected a name of 1 to 200 characters in one line');

/** A numeric IPv4 or IPv6 address without zone. */
export const ipAddress = checked(
  'expected a numeric IPv4 or IPv6 address, such as 192.0.2.1 or 2001:db8::1',
  (text) => isIP(text) !== 0 && !text.includes('%'),
);

/** A prefix of addresses, or a single one: `192.0.2.0/24`, `2001:db8::/32`, `192.0.2.1`. */
export const addressPrefix = checked(
  'expected an address or a prefix of addresses, such as 192.0.2.0/24 or 2001:db8::/32',
  (text) => {
    const [, address = '', length] = /^([0-9A-Fa-f:.]+)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
    const family = isIP(address);
    return family !== 0 && Number(length ?? 0) <= (family === 4 ? 32 : 128);
  },
);

/** A multicast group: 224.0.0.0/4 (RFC 5771) or ff00::/8 (RFC 4291 section 2.7). */
export const multicastAddress = checked('expected a multicast address, such as 239.1.1.1 or ff35::8000:1', isMulticast);

function checked(expected: string, valid: (text: string) => boolean): z.ZodString {
  return z.string({ error: expected }).refine(valid, { error: expected });
}

/** Whether a numeric address is a multicast group. */
export function isMulticast(text: string): boolean {
  if (isIP(text) === 4) {
    const first = Number(text.split('.', 1)[0]);
    return first >= 224 && first <= 239;
  }
  return isIP(text) === 6 && !text.includes('%') && /^ff/i.test(text);
}

/** A UDP or TCP port that is really one, 1 to 65535. */
export const port = integer({ min: 1, max: 65_535 });

/** A port of RTP media: even, RTCP is the odd one above (RFC 3550 section 11). */
export const mediaPort = z
  .number({ error: 'expected an even port of 2 to 65534 (RFC 3550 section 11)' })
  .refine((value) => Number.isInteger(value) && value >= 2 && value <= 65_534 && value % 2 === 0, {
    error: 'expected an even port of 2 to 65534 (RFC 3550 section 11)',
  })
  .meta({ minimum: 2, maximum: 65_534, multipleOf: 2 });

/** A numeric address with a port. */
export interface Endpoint {
  /** IPv4 or IPv6, without brackets. */
  readonly address: string;
  /** 0 picks a free one. */
  readonly port: number;
}

const LISTEN = 'expected ADDRESS:PORT with a numeric address, such as 0.0.0.0:8080 or [::]:8080';

/** `127.0.0.1:9480` or `[::1]:9480`, or undefined when it is neither. */
export function parseEndpoint(text: string): Endpoint | undefined {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+)):(\d{1,5})$/.exec(text);
  if (match === null) return undefined;
  const address = match[1] ?? match[2] ?? '';
  const family = match[1] === undefined ? 4 : 6;
  const number = Number(match[3]);
  return isIP(address) === family && number <= 65_535 ? { address, port: number } : undefined;
}

/** An endpoint as an operator (or a URL) writes it. */
export function formatEndpoint({ address, port: number }: Endpoint): string {
  return isIP(address) === 6 ? `[${address}]:${number}` : `${address}:${number}`;
}

/** Whether an address stands for all addresses of the machine. */
export function isWildcard(address: string): boolean {
  return address === '0.0.0.0' || (isIP(address) === 6 && /^[0:]+$/.test(address));
}

/** Whether two listeners would take each other's port. A wildcard takes it on every address of its family; port 0 is never the same twice. */
export function sharePort(a: Endpoint, b: Endpoint): boolean {
  if (a.port !== b.port || a.port === 0 || isIP(a.address) !== isIP(b.address)) return false;
  return a.address === b.address || isWildcard(a.address) || isWildcard(b.address);
}

/** `ADDRESS:PORT` to listen on -> {@link Endpoint}. */
export const listenAddress = z.string({ error: LISTEN }).transform((text, context): Endpoint => {
  const endpoint = parseEndpoint(text);
  if (endpoint !== undefined) return endpoint;
  context.issues.push({ code: 'custom', message: LISTEN, input: text });
  return z.NEVER;
});

/** An absolute path of the file system; at most 107 bytes when it is for a Unix socket (sun_path). */
export const socketPath = pattern(/^\/[!-~]{1,106}$/, 'expected an absolute path of at most 107 characters');

export const folderPath = pattern(/^\/[^\0]{0,200}$/, 'expected the absolute path of a folder');

/** An absolute `http://` URL without user information. */
export const httpUrl = checked('expected an http:// URL, such as http://origin.example/live.m3u8', (text) => {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  return url !== undefined && url.protocol === 'http:' && url.hostname !== '' && url.username === '';
});
