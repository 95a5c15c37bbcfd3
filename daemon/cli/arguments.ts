/** What commands make of the text of options and arguments. */
import { extname } from 'node:path';
import { InvalidArgumentError } from 'commander';
import { z } from 'zod';
import { duration, ipAddress } from '../config/units.js';
import type { AddressPrefix, RecordingOptions } from '../plane/contract.js';
import { VERSION } from './root.js';

const MAX_DURATION_MS = 30 * 86_400_000;

/** A parser for commander from a zod type whose messages begin with "expected". */
export function parsed<T>(type: z.ZodType<T, string>): (text: string) => T {
  return (text) => {
    const result = type.safeParse(text);
    if (result.success) return result.data;
    throw new InvalidArgumentError(`${result.error.issues[0]?.message ?? 'it is invalid'}.`);
  };
}

/** A whole number within bounds. */
export function whole(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= min && value <= max) return value;
    throw new InvalidArgumentError(`expected a whole number of ${min} to ${max}.`);
  };
}

/** For options that may be repeated: every value is kept. */
export function repeated<T>(parse: (text: string) => T): (text: string, before: readonly T[]) => T[] {
  return (text, before) => [...before, parse(text)];
}

/** A duration with a unit, or a bare number of seconds; milliseconds. */
export function seconds(text: string): number {
  const type = duration({ min: 1, max: MAX_DURATION_MS });
  return parsed(type)(/^\d+(\.\d+)?$/.test(text) ? `${text}s` : text);
}

const PREFIX = 'expected a numeric address, with a prefix length or without, such as 239.1.1.1 or 239.1.0.0/16';

/** `ADDRESS` or `ADDRESS/BITS`. */
export const addressPrefix = z.string().transform((text, context): AddressPrefix => {
  const [address = '', bits] = text.split('/');
  const most = address.includes(':') ? 128 : 32;
  const valid = ipAddress.safeParse(address).success && (bits === undefined || /^\d{1,3}$/.test(bits));
  if (valid && Number(bits ?? 0) <= most && text.split('/').length <= 2)
    return { address, bits: bits === undefined ? most : Number(bits) };
  context.issues.push({ code: 'custom', message: PREFIX, input: text });
  return z.NEVER;
});

export type CaptureFormat = RecordingOptions['format'];

/** pcap for files that are called so, pcapng for all others. */
export function formatOf(file: string): CaptureFormat {
  return ['.pcap', '.cap'].includes(extname(file).toLowerCase()) ? 'pcap' : 'pcapng';
}

/** A recording of everything, without limits, into one file. */
export function recordingTo(path: string): RecordingOptions {
  return {
    path,
    format: formatOf(path),
    interfaceName: null,
    comment: '',
    application: `sluice ${VERSION}`,
    snaplen: 262_144,
    maxPackets: 0,
    maxBytes: 0,
    rotate: false,
    keep: 0,
  };
}
