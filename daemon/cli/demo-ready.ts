/** Looks at the demo from outside, as a viewer and a receiver would: only what arrives counts as served. */
import { createSocket } from 'node:dgram';
import { get, type IncomingMessage } from 'node:http';
import { systemClock } from '../base/clock.js';

const POLL_MS = 200;
const ANSWER_WITHIN_MS = 3000;
/** MPEG-TS packets that must arrive of a continuous stream. */
const ENOUGH_TS_BYTES = 188 * 7;
/** RTP version 2 without padding, extension and CSRC; payload type 33, MPEG-TS (RFC 3551 section 6). */
const RTP_VERSION = 2;
const RTP_MP2T = 33;

/** Opens a URL and hands the answer to `judge`, which tells when it has seen enough; closes in any case. */
function judgeAnswer(
  url: string,
  judge: (response: IncomingMessage, enough: (good: boolean) => void) => void,
): Promise<boolean> {
  return new Promise((resolve) => {
    const request = get(url, { agent: false });
    const enough = (good: boolean): void => {
      request.destroy();
      resolve(good);
    };
    request.setTimeout(ANSWER_WITHIN_MS, () => enough(false));
    request.on('error', () => enough(false));
    request.on('response', (response) => {
      response.on('error', () => enough(false));
      response.on('end', () => enough(false));
      judge(response, enough);
    });
  });
}

/** Whether the URL is answered with 200. */
export function answers(url: string): Promise<boolean> {
  return judgeAnswer(url, (response, enough) => enough(response.statusCode === 200));
}

/** Whether the media playlist lists segments, and the newest of them can be fetched. */
export async function givesSegments(playlistUrl: string): Promise<boolean> {
  let text = '';
  const whole = await judgeAnswer(playlistUrl, (response, enough) => {
    response.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    response.prependListener('end', () => enough(response.statusCode === 200));
  });
  const newest = text.split('\n').findLast((line) => line !== '' && !line.startsWith('#'));
  return whole && newest !== undefined && givesTs(new URL(newest, playlistUrl).href);
}

/** Whether the URL gives MPEG-TS. */
export function givesTs(url: string): Promise<boolean> {
  return judgeAnswer(url, (response, enough) => {
    let size = 0;
    response.on('data', (chunk: Buffer) => {
      if (size === 0 && chunk[0] !== 0x47) enough(false);
      size += chunk.length;
      if (size >= ENOUGH_TS_BYTES) enough(response.statusCode === 200);
    });
  });
}

/** Whether RTP with MPEG-TS arrives from an IPv4 group on the loopback interface within `limitMs`. */
export function multicastFlows(group: string, port: number, limitMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createSocket({ type: 'udp4', reuseAddr: true });
    const timer = setTimeout(() => finish(false), limitMs);
    const finish = (flows: boolean): void => {
      clearTimeout(timer);
      socket.removeAllListeners('message');
      socket.close();
      resolve(flows);
    };
    socket.once('error', () => finish(false));
    socket.on('message', (packet) => {
      const rtp = packet.length > 12 && (packet[0] ?? 0) >> 6 === RTP_VERSION && ((packet[1] ?? 0) & 0x7f) === RTP_MP2T;
      if (rtp) finish(true);
    });
    // Bound to the group, so that no other group of that port is heard.
    socket.bind(port, group, () => {
      try {
        socket.addMembership(group, '127.0.0.1');
      } catch {
        finish(false);
      }
    });
  });
}

/** Asks again and again until it is so; false when it was not within the limit, or the signal came. */
export async function until(check: () => Promise<boolean>, limitMs: number, signal: AbortSignal): Promise<boolean> {
  const deadline = systemClock.now() + limitMs;
  while (!signal.aborted && systemClock.now() < deadline) {
    if (await check()) return true;
    await systemClock.delay(POLL_MS, signal).catch(() => undefined);
  }
  return false;
}
