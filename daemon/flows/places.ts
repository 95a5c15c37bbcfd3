/** Where flows come from and go to, as an operator writes it. */
import { isIP } from 'node:net';
import { z } from 'zod';
import { type Endpoint, formatEndpoint, ipAddress, isMulticast, parseEndpoint } from '../config/units.js';

/** Where a flow comes in. */
export interface InputPlace extends Endpoint {
  /** `rtp`: headers are read; `udp`: bytes are handed on as they are. */
  readonly media: 'rtp' | 'udp';
  /** As written. */
  readonly display: string;
}

/** An address with a port, or with 0 for any. */
export type OpenEndpoint = Endpoint;

const INPUT = 'expected rtp://ADDRESS:PORT or udp://ADDRESS:PORT with a numeric address, IPv6 in brackets';
const DESTINATION = 'expected ADDRESS:PORT with a numeric address, such as 192.0.2.7:6000 or [2001:db8::7]:6000';
const OPEN = 'expected a numeric ADDRESS or ADDRESS:PORT, such as 192.0.2.1, 192.0.2.1:6000 or [2001:db8::1]:6000';

/** `rtp://239.1.1.1:5004`, `udp://[::]:1234`. */
export const inputPlace = z.string({ error: INPUT }).transform((text, context): InputPlace => {
  const [, scheme = '', rest = ''] = /^(rtp|udp):\/\/([^/]+)\/?$/i.exec(text) ?? [];
  const endpoint = parseEndpoint(rest);
  if (endpoint !== undefined && endpoint.port > 0)
    return { media: scheme.toLowerCase() === 'rtp' ? 'rtp' : 'udp', ...endpoint, display: text };
  context.issues.push({ code: 'custom', message: INPUT, input: text });
  return z.NEVER;
});

/** Where a receiver is: never a wildcard, never without a port. */
export const destination = z.string({ error: DESTINATION }).transform((text, context): Endpoint => {
  const endpoint = parseEndpoint(text);
  if (endpoint !== undefined && endpoint.port > 0 && !/^[0:.]+$/.test(endpoint.address)) return endpoint;
  context.issues.push({ code: 'custom', message: DESTINATION, input: text });
  return z.NEVER;
});

/** `192.0.2.1` or `192.0.2.1:6000`; IPv6 in brackets where a port follows. */
export const openEndpoint = z.string({ error: OPEN }).transform((text, context): OpenEndpoint => {
  if (ipAddress.safeParse(text).success) return { address: text, port: 0 };
  const endpoint = parseEndpoint(text);
  if (endpoint !== undefined && endpoint.port > 0) return endpoint;
  context.issues.push({ code: 'custom', message: OPEN, input: text });
  return z.NEVER;
});

/** Whether both are of one address family. */
export function sameFamily(one: Endpoint, other: Endpoint): boolean {
  return isIP(one.address) === isIP(other.address);
}

/** `any port of ADDRESS` is written without a port. */
export function formatOpen(endpoint: OpenEndpoint): string {
  return endpoint.port === 0 ? endpoint.address : formatEndpoint(endpoint);
}

/** All addresses of a family. */
export function wildcardOf({ address }: Endpoint): string {
  return isIP(address) === 6 ? '::' : '0.0.0.0';
}

/** Whether an end point is a group. */
export function isGroup({ address }: Endpoint): boolean {
  return isMulticast(address);
}
