import { isIP } from 'node:net';
import { parse } from 'sdp-transform';
import { z } from 'zod';
import {
  BLOCK_CODEC,
  NUMBER_URN,
  PARITY_CODEC,
  RANGE_ATTRIBUTE,
  RAPID_ACQUISITION,
  TOKEN_ATTRIBUTE,
} from './describe.js';

/** What a receiver needs of a session that somebody describes. */
export interface ReadSession {
  readonly address: string;
  readonly port: number;
  /** Of a source-specific session (RFC 4570), or null. */
  readonly source: string | null;
  readonly numbering: 'rtp' | 'rtp-extension';
  /** Whether parity is announced on the ports above. */
  readonly fec: boolean;
  /** Where NACKs go (RFC 4585), or null. */
  readonly feedback: { readonly address: string; readonly port: number } | null;
  /** Whether a token is to be got there first (RFC 6284). */
  readonly tokens: boolean;
  /** Whether it gives bursts to those that begin (RFC 6285). */
  readonly acquisition: boolean;
  /** Where packets are had by ranges of sequence numbers, as it is written there: absolute, or relative to the description. */
  readonly range: string | null;
}

const MP2T = 33;
/** Longest description that is read, bytes. */
export const LONGEST_DESCRIPTION = 65_536;
const PARITY_STEPS = [2, 4, 6];

const port = z.number().int().min(1).max(65_535);
const numeric = z.string().refine((text) => isIP(text) !== 0, { error: 'expected a numeric address' });
const connection = z.object({ ip: z.string() });
const media = z.object({
  port: z.number(),
  payloads: z.union([z.string(), z.number()]).optional(),
  rtp: z.array(z.object({ payload: z.number(), codec: z.string() })).default([]),
  connection: connection.optional(),
  ext: z.array(z.object({ value: z.number(), uri: z.string() })).default([]),
  rtcp: z.object({ port, address: numeric }).partial().optional(),
  rtcpFb: z.array(z.object({ type: z.string(), subtype: z.string().optional() })).default([]),
  invalid: z.array(z.object({ value: z.string() })).default([]),
});
const session = z.object({
  connection: connection.optional(),
  sourceFilter: z.object({ filterMode: z.string(), srcList: z.string() }).optional(),
  media: z.array(media).max(64),
});
type Media = z.output<typeof media>;

/** Reads the description of a multicast or unicast MPEG-TS session (RFC 8866); a text says what was expected. Never throws. */
export function readMulticast(text: string): ReadSession | string {
  if (text.length > LONGEST_DESCRIPTION) return `expected a description of at most ${LONGEST_DESCRIPTION} characters`;
  const parsed = session.safeParse(parsedOrNull(text));
  if (!parsed.success) return `expected a session description (RFC 8866): ${z.prettifyError(parsed.error)}`;
  const { connection: common, sourceFilter, media: all } = parsed.data;
  const transport = all.find(isTransport);
  if (transport === undefined) return 'expected a media description of MP2T (RFC 2250)';
  const address = (transport.connection ?? common)?.ip.split('/', 1)[0] ?? '';
  if (isIP(address) === 0) return `expected c= with a numeric address, got "${address}"`;
  if (!port.safeParse(transport.port).success || transport.port % 2 !== 0)
    return `expected an even port of MP2T, got ${transport.port}`;
  const parity = all.filter(isParity);
  const elsewhere = parity.find((one) => !PARITY_STEPS.includes(one.port - transport.port));
  if (elsewhere !== undefined)
    return `expected parity on the ports + 2, + 4 or + 6 of the media, got ${elsewhere.port} for ${transport.port}`;
  const feedback = feedbackOf(transport);
  const mapping = attributeOf(transport, TOKEN_ATTRIBUTE);
  if (feedback !== null && mapping !== null && !isAt(mapping, feedback))
    return `expected ${TOKEN_ATTRIBUTE} of the feedback target ${feedback.address} ${feedback.port}, got "${mapping}"`;
  const source = sourceFilter?.filterMode === 'incl' ? (sourceFilter.srcList.split(' ', 1)[0] ?? '') : '';
  return {
    address,
    port: transport.port,
    source: isIP(source) === isIP(address) ? source : null,
    numbering: transport.ext.some(({ uri }) => uri === NUMBER_URN) ? 'rtp-extension' : 'rtp',
    fec: parity.length > 0,
    feedback,
    tokens: feedback !== null && mapping !== null,
    acquisition: feedback !== null && transport.rtcpFb.some(isRapidAcquisition),
    range: attributeOf(transport, RANGE_ATTRIBUTE)?.trim() ?? null,
  };
}

function parsedOrNull(text: string): unknown {
  try {
    return parse(text);
  } catch {
    return null;
  }
}

function isTransport({ payloads, rtp }: Media): boolean {
  return String(payloads) === String(MP2T) || rtp.some(({ codec }) => codec.toUpperCase() === 'MP2T');
}

function isParity({ rtp }: Media): boolean {
  return rtp.some(({ codec }) => [PARITY_CODEC, BLOCK_CODEC].includes(codec.toLowerCase()));
}

function isRapidAcquisition({
  type,
  subtype,
}: {
  readonly type: string;
  readonly subtype?: string | undefined;
}): boolean {
  return type === 'nack' && subtype === RAPID_ACQUISITION;
}

function feedbackOf({ rtcp, rtcpFb }: Media): ReadSession['feedback'] {
  const asks = rtcpFb.some(({ type }) => type === 'nack');
  if (!asks || rtcp?.address === undefined || rtcp.port === undefined) return null;
  return { address: rtcp.address, port: rtcp.port };
}

/** What stands behind the attribute, or null where it is not there. */
function attributeOf({ invalid }: Media, name: string): string | null {
  const prefix = `${name}:`;
  return invalid.find(({ value }) => value.startsWith(prefix))?.value.slice(prefix.length) ?? null;
}

/** `PORT`, or `PORT IN IP4 ADDRESS`; tokens hold for the one who gave them, and are shown where packets are asked for. */
function isAt(mapping: string, { address, port: to }: { readonly address: string; readonly port: number }): boolean {
  const [at, , , host = address] = mapping.trim().split(' ');
  return at === String(to) && host === address;
}
