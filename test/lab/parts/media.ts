import type { Host } from '../lib/host.js';
import { expect } from '../lib/report.js';
import { need } from '../lib/tools.js';
import type { Capture } from './capture.js';

const RTP_HEADER = 12;
const FIRST_RTCP = 192;
const LAST_RTCP = 223;

/** The MPEG-TS of each RTP packet to an address and port, as it was before anything got lost. */
export async function sentMedia(capture: Capture, to: string, port: number): Promise<Buffer[]> {
  const rows = await capture.fields(`ip.dst == ${to} && udp.dstport == ${port}`, ['udp.payload']);
  const datagrams = rows.map(([hex = '']) => Buffer.from(hex, 'hex'));
  // Servers of retransmissions announce themselves there by RTCP (RFC 5760), which is no media (RFC 5761 section 4).
  const media = datagrams.filter((bytes) => bytes.readUInt8(1) < FIRST_RTCP || bytes.readUInt8(1) > LAST_RTCP);
  return media.map((bytes) => bytes.subarray(RTP_HEADER));
}

export interface Comparison {
  /** Place of the first packet that was received. */
  readonly first: number;
  /** Packets from that one to the last that was received. */
  readonly packets: number;
  /** Those of them that were not. */
  readonly missing: number;
}

/**
 * Compares what a receiver wrote with what was sent, byte by byte, from the first packet that it wrote on.
 *
 * @returns undefined when something was written that was not sent, or not in this order
 */
export function compare(sent: readonly Buffer[], received: Buffer): Comparison | undefined {
  let at = 0;
  let first: number | undefined;
  let last = 0;
  let found = 0;
  for (const [i, payload] of sent.entries()) {
    if (at + payload.length > received.length) break;
    if (payload.compare(received, at, at + payload.length) !== 0) continue;
    first ??= i;
    last = i;
    found++;
    at += payload.length;
  }
  // A program that was ended may have been in the middle of a packet.
  const rest = received.length - at;
  const most = Math.max(0, ...sent.map((payload) => payload.length));
  if (first === undefined || rest >= most) return undefined;
  return { first, packets: last - first + 1, missing: last - first + 1 - found };
}

/** As {@link compare}; fails when something else came out than was sent, or too little. */
export function compared(sent: readonly Buffer[], received: Buffer, least: number): Comparison {
  const result = compare(sent, received);
  expect(result !== undefined, `${received.length} bytes came out that are not what was sent (${sent.length} packets)`);
  expect(result.packets >= least, `only ${result.packets} packets came through`);
  return result;
}

/** A hash of each picture that ffmpeg decodes from a file. */
export async function pictures(host: Host, file: string): Promise<string[]> {
  need('ffmpeg');
  const decode = ['-i', file, '-map', '0:v:0', '-fps_mode', 'passthrough', '-f', 'framemd5', '-'];
  const { stdout } = await host.must(['ffmpeg', '-nostdin', '-v', 'error', ...decode], { timeoutMs: 120_000 });
  const rows = stdout.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return rows.map((line) => line.slice(line.lastIndexOf(',') + 1).trim());
}
