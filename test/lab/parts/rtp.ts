import type { Capture } from './capture.js';

/** What tshark sees of one RTP stream. */
export interface RtpAnalysis {
  readonly packets: number;
  readonly ssrcs: number;
  /** Places where the sequence number is not the one before plus one. */
  readonly breaks: number;
  /** Seconds since 1970 of each packet. */
  readonly times: readonly number[];
  /** Packets in which tshark misses TS packets by their continuity counters and no discontinuity_indicator says why. */
  readonly continuityErrors: number;
  /** Packets in which the indicator says that the counters begin anew (ISO/IEC 13818-1 2.4.3.5). */
  readonly announced: number;
}

/** Of the flags of all TS packets in one RTP packet. */
function isAnnounced(indicators = ''): boolean {
  return indicators.split(',').includes('1');
}

export async function analyseRtp(capture: Capture, group: string, port: number): Promise<RtpAnalysis> {
  const rows = await capture.fields(
    `ip.dst == ${group} && rtp`,
    ['frame.time_epoch', 'rtp.seq', 'rtp.ssrc', 'mp2t.analysis.drops', 'mp2t.af.di'],
    [`udp.port==${port},rtp`],
  );
  const sequence = rows.map((row) => Number(row[1]));
  return {
    packets: rows.length,
    ssrcs: new Set(rows.map((row) => row[2])).size,
    breaks: sequence.filter((one, i) => i > 0 && one !== (((sequence[i - 1] ?? 0) + 1) & 0xffff)).length,
    times: rows.map((row) => Number(row[0])),
    continuityErrors: rows.filter((row) => (row[3] ?? '') !== '' && !isAnnounced(row[4])).length,
    announced: rows.filter((row) => isAnnounced(row[4])).length,
  };
}

export interface Spacing {
  readonly packets: number;
  readonly meanMs: number;
  readonly p99Ms: number;
  readonly largestMs: number;
}

/** Gaps between packets within an interval (milliseconds since 1970). */
export function spacing(times: readonly number[], fromMs: number, toMs: number): Spacing {
  const inside = times.filter((time) => time * 1_000 >= fromMs && time * 1_000 <= toMs);
  const gaps = inside.slice(1).map((time, i) => (time - (inside[i] ?? time)) * 1_000);
  gaps.sort((a, b) => a - b);
  const meanMs = gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length;
  return {
    packets: inside.length,
    meanMs,
    p99Ms: gaps[Math.ceil(gaps.length * 0.99) - 1] ?? Number.NaN,
    largestMs: gaps.at(-1) ?? Number.NaN,
  };
}
