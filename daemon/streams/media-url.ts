import { isIP } from 'node:net';
import { isMulticast } from '../config/units.js';

/** A source fetched by HTTP, with TLS or without: an HLS playlist or a continuous MPEG-TS. */
export interface HttpLocation {
  readonly kind: 'http';
  /** As given, user information included: never shown. */
  readonly url: string;
  /** For people and logs. */
  readonly display: string;
}

/** MPEG-TS in UDP datagrams, with RTP headers (`rtp`) or without (`udp`). */
export interface DatagramLocation {
  readonly kind: 'rtp' | 'udp';
  /** Group or own unicast address, numeric. */
  readonly address: string;
  readonly port: number;
  /** Source of a source-specific join (RFC 4607), or null. */
  readonly source: string | null;
  readonly interfaceName: string | null;
  readonly display: string;
}

export type MediaLocation = HttpLocation | DatagramLocation;

/** A checked location, or the sentence that says what was expected. */
export type ParsedLocation = { readonly location: MediaLocation } | { readonly expected: string };

const FORMS =
  'expected http://…, https://…, rtp://[SOURCE@]ADDRESS:PORT[?iface=…] or udp://[SOURCE@]ADDRESS:PORT[?iface=…]';
const DATAGRAM =
  /^(rtp|udp):\/\/(?:(?:\[([^\]]*)\]|([^@/?#[\]]*))@)?(?:\[([^\]]+)\]|([^:/?#[\]@]+)):(\d{1,5})\/?(?:\?(.*))?$/i;

/** Reads the URL of a source as an operator writes it. Never throws. */
export function parseMediaUrl(text: string): ParsedLocation {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text)?.[1]?.toLowerCase();
  if (scheme === 'http' || scheme === 'https') return parseHttp(text);
  if (scheme === 'rtp' || scheme === 'udp') return parseDatagram(text, scheme);
  return { expected: FORMS };
}

function parseHttp(text: string): ParsedLocation {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || url.hostname === '')
    return { expected: 'expected a URL with a host, such as http://origin.example/live.m3u8' };
  if (url.port === '0') return { expected: 'expected a port of 1 to 65535' };
  return { location: { kind: 'http', url: text, display: displayUrl(text) } };
}

function parseDatagram(text: string, kind: 'rtp' | 'udp'): ParsedLocation {
  const match = DATAGRAM.exec(text);
  if (match === null) return { expected: FORMS };
  const address = match[4] ?? match[5] ?? '';
  const source = match[2] ?? match[3] ?? '';
  const port = Number(match[6]);
  if (isIP(address) === 0 || address.includes('%'))
    return { expected: 'expected a numeric IPv4 address, or an IPv6 address in brackets' };
  if (port < 1 || port > 65_535) return { expected: 'expected a port of 1 to 65535' };
  if (kind === 'rtp' && port % 2 !== 0)
    return {
      expected: 'expected an even port: RTP media ports are even, RTCP is the odd one above (RFC 3550 section 11)',
    };
  const fault = sourceFault(source, address);
  if (fault !== undefined) return { expected: fault };
  const query = readQuery(match[7] ?? '');
  if (typeof query === 'string') return { expected: query };
  return {
    location: { kind, address, port, source: source === '' ? null : source, interfaceName: query.iface, display: text },
  };
}

function sourceFault(source: string, address: string): string | undefined {
  if (source === '') return undefined;
  if (isIP(source) === 0 || isIP(source) !== isIP(address))
    return 'expected a numeric source of the same family as the group before "@"';
  if (!isMulticast(address))
    return 'expected a multicast group after "@": a source can be chosen only for a group (RFC 4607)';
  return undefined;
}

function readQuery(text: string): { iface: string | null } | string {
  const query = new URLSearchParams(text);
  for (const key of query.keys()) if (key !== 'iface') return `expected no parameter but iface, got ${key}`;
  const iface = query.get('iface');
  if (iface !== null && !/^(?!\.{1,2}$)[!-.0-~]{1,15}$/.test(iface))
    return 'expected the name of a network interface after iface=';
  return { iface };
}

/** An HTTP URL without user information; what is not a URL is given back as it is. */
export function displayUrl(text: string): string {
  if (!URL.canParse(text)) return text;
  const url = new URL(text);
  url.username = '';
  url.password = '';
  return url.href;
}

/** `rtp://[SOURCE@]ADDRESS:PORT` as players and operators write it. */
export function rtpUrl(address: string, port: number, source: string | null = null): string {
  const host = (text: string): string => (isIP(text) === 6 ? `[${text}]` : text);
  return `rtp://${source === null ? '' : `${host(source)}@`}${host(address)}:${port}`;
}

/** Those of the locations that are fetched by HTTP, as given. */
export function urlsOf(locations: readonly MediaLocation[]): readonly string[] {
  return locations.flatMap((location) => (location.kind === 'http' ? [location.url] : []));
}
