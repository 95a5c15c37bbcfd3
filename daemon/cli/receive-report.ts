import type { InputCounters } from '../plane/contract.js';

/** What a measuring receiver saw within one interval. */
export interface Interval {
  /** Seconds since the join, at the end of the interval. */
  readonly seconds: number;
  /** Bits a second of UDP payload. */
  readonly bitrate: number;
  readonly packets: number;
  readonly rtpLost: number;
  readonly rtpLate: number;
  readonly rtpReordered: number;
  readonly rtpDuplicates: number;
  /** RFC 3550 6.4.1, at the end of the interval. */
  readonly jitterMs: number;
  /** Largest deviation over the last second. */
  readonly pcrJitterMs: number;
  readonly continuityErrors: number;
  readonly transportErrors: number;
  readonly syncErrors: number;
  readonly pcrDiscontinuities: number;
  readonly malformed: number;
  readonly kernelDrops: number;
  readonly outputErrors: number;
  /** RTP packets that were missing at first. */
  readonly missing: number;
  /** Those of them that came back, by whatever means. */
  readonly repaired: number;
}

/** One look at the counters. */
export interface Sample {
  /** Seconds since the join. */
  readonly seconds: number;
  readonly counters: InputCounters;
}

/** The figures between two looks. */
export function intervalBetween(before: Sample, after: Sample): Interval {
  const grew = (name: keyof InputCounters): number => after.counters[name] - before.counters[name];
  const elapsed = Math.max(after.seconds - before.seconds, 1e-3);
  return {
    seconds: rounded(after.seconds, 1),
    bitrate: Math.round((grew('bytes') * 8) / elapsed),
    packets: grew('packets'),
    rtpLost: grew('rtpLost'),
    rtpLate: grew('rtpLate'),
    rtpReordered: grew('rtpReordered'),
    rtpDuplicates: grew('rtpDuplicates'),
    jitterMs: rounded(after.counters.jitterNs / 1e6, 3),
    pcrJitterMs: rounded(after.counters.pcrJitterNs / 1e6, 3),
    continuityErrors: grew('continuityErrors'),
    transportErrors: grew('transportErrors'),
    syncErrors: grew('syncErrors'),
    pcrDiscontinuities: grew('pcrDiscontinuities'),
    malformed: grew('malformed'),
    kernelDrops: grew('kernelDrops'),
    outputErrors: grew('outputErrors'),
    missing: grew('missing'),
    repaired: grew('byParity') + grew('byBlock') + grew('byRetransmission') + grew('byFetch'),
  };
}

function rounded(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}

const COLUMNS: readonly (readonly [title: string, width: number, cell: (interval: Interval) => string])[] = [
  ['TIME', 7, (i) => `${i.seconds.toFixed(0)}s`],
  ['MBIT/S', 10, (i) => (i.bitrate / 1e6).toFixed(3)],
  ['PACKETS', 9, (i) => String(i.packets)],
  ['LOST', 8, (i) => String(i.rtpLost)],
  ['REPAIRED', 9, (i) => String(i.repaired)],
  ['LATE', 5, (i) => String(i.rtpLate)],
  ['REORD', 6, (i) => String(i.rtpReordered)],
  ['DUP', 5, (i) => String(i.rtpDuplicates)],
  ['JITTER/MS', 10, (i) => i.jitterMs.toFixed(3)],
  ['PCR-JIT/MS', 11, (i) => i.pcrJitterMs.toFixed(3)],
  ['CC-ERR', 7, (i) => String(i.continuityErrors)],
  ['TEI', 5, (i) => String(i.transportErrors)],
  ['SYNC', 5, (i) => String(i.syncErrors)],
  ['PCR-DISC', 9, (i) => String(i.pcrDiscontinuities)],
  ['BAD', 5, (i) => String(i.malformed)],
  ['KDROP', 6, (i) => String(i.kernelDrops)],
];

/** The heading of the table; counts below it are of one interval each. */
export const HEADING = COLUMNS.map(([title, width]) => title.padStart(width)).join('');

/** One line under {@link HEADING}. */
export function tableLine(interval: Interval): string {
  return COLUMNS.map(([, width, cell]) => cell(interval).padStart(width)).join('');
}

/** What a whole measurement came to. */
export interface Summary {
  readonly url: string;
  readonly seconds: number;
  readonly bitrate: number;
  /** Share of the RTP packets that were sent and did not come, or came too late. */
  readonly lossRatio: number;
  readonly jitterMsMax: number;
  readonly pcrJitterMsMax: number;
  readonly counters: InputCounters;
}

/** Sums up from the last look and all intervals. */
export function summarise(
  url: string,
  last: Sample,
  intervals: { readonly jitterMs: number; readonly pcrJitterMs: number },
): Summary {
  const c = last.counters;
  const rtp = c.ssrc !== 0 || c.lastSequence !== 0;
  const sent = rtp ? c.packets - c.rtpDuplicates - c.rtpLate - c.malformed + c.rtpLost : 0;
  return {
    url,
    seconds: rounded(last.seconds, 1),
    bitrate: last.seconds > 0 ? Math.round((c.bytes * 8) / last.seconds) : 0,
    lossRatio: sent > 0 ? c.rtpLost / sent : 0,
    jitterMsMax: Math.max(intervals.jitterMs, rounded(c.jitterNs / 1e6, 3)),
    pcrJitterMsMax: Math.max(intervals.pcrJitterMs, rounded(c.pcrJitterNs / 1e6, 3)),
    counters: c,
  };
}

/** What a summary is told of besides its counters. */
export interface Told {
  readonly output?: string | undefined;
  readonly record?: string | undefined;
  readonly repairs?: boolean;
}

/** The summary for a person, some lines. */
export function summaryText(s: Summary, { output, record, repairs }: Told): string {
  const c = s.counters;
  const rtp = c.ssrc !== 0 || c.lastSequence !== 0;
  const lines = [
    `${s.url}: ${s.seconds} s, ${c.packets} packets, ${c.bytes} bytes, ${(s.bitrate / 1e6).toFixed(3)} Mbit/s` +
      (rtp ? `, RTP from SSRC 0x${c.ssrc.toString(16).padStart(8, '0')}` : ', no RTP'),
  ];
  if (rtp) {
    const share = (s.lossRatio * 100).toPrecision(3);
    lines.push(
      `  RTP:     ${c.rtpLost} lost${c.rtpLost > 0 ? ` (${share} %)` : ''}, ${c.rtpLate} of them came late, ${c.rtpReordered} reordered, ` +
        `${c.rtpDuplicates} duplicates, jitter at most ${s.jitterMsMax} ms`,
    );
  }
  if (repairs === true) {
    lines.push(
      `  repair:  ${c.missing} missing, ${c.byParity} repaired by parity, ${c.byBlock} by blocks, ${c.byRetransmission} by retransmission ` +
        `(${c.nacked} asked for), ${c.byFetch} by HTTP (${c.fetches} requests, ${c.fetchErrors} failed), ${c.rtpLost} lost; playout ${c.playoutUs / 1000} ms, ${c.parityPackets} packets of parity`,
    );
  }
  if (c.acquired > 0) lines.push(`  begun by a burst of ${c.acquired} packets (response ${c.acquisitionResponse})`);
  lines.push(
    `  MPEG-TS: ${c.tsPackets} packets, ${c.continuityErrors} continuity errors, ${c.transportErrors} transport errors, ` +
      `${c.syncErrors} sync losses`,
    `  PCR:     ${c.pcrCount}, jitter at most ${s.pcrJitterMsMax} ms, ${c.pcrDiscontinuities} discontinuities`,
  );
  if (c.malformed > 0) lines.push(`  ${c.malformed} datagrams were neither RTP nor MPEG-TS, or of another sender`);
  if (c.kernelDrops > 0)
    lines.push(`  ${c.kernelDrops} datagrams dropped here for want of receive buffer (net.core.rmem_max)`);
  if (output !== undefined)
    lines.push(`  written: ${c.outputBytes} bytes to ${output === '-' ? 'standard output' : output}`);
  if (record !== undefined) lines.push(`  recorded: ${c.recorded} datagrams to ${record}`);
  if (c.outputErrors > 0)
    lines.push(`  ${c.outputErrors} pieces could not be written: the output was full, failed, or its reader went away`);
  return lines.join('\n');
}
