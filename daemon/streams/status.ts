/**
 * What the streams tell about themselves: plain data, as the status page, `show channels` and the admin API give it out.
 * Counters are totals since the daemon started unless said to be gauges; null means "does not apply".
 */
import type { Cell } from '../base/registry.js';

/**
 * `stopped`: not started, or stopped. `starting`: asked, and no media yet. `flowing`: media arrives; the only good one.
 * `retrying`: given up for now and tried again by itself. `failed`: cannot be used as configured; looked at again slowly.
 */
export type RenditionState = 'stopped' | 'starting' | 'flowing' | 'retrying' | 'failed';

/** Requests made to the upstream, redirects included. */
export interface RequestCounts {
  playlist: number;
  segment: number;
  /** Keys of encrypted segments. */
  key: number;
  stream: number;
}

/** Where a rendition's media comes from. */
export interface SourceStatus {
  /** The URL in use now, without user information. */
  readonly url: string;
  readonly kind: 'hls' | 'http' | 'rtp' | 'udp';
  /** Gauge: open upstream connections, 0 or 1. */
  readonly connections: number;
  readonly connects: number;
  readonly requests: Readonly<RequestCounts>;
  /** Times the source was given up and tried again. */
  readonly retries: number;
  /** Segments that were announced and never taken (GAP, 404, out of the window). */
  readonly segmentsSkipped: number;
}

export interface InputStatus {
  readonly bytes: number;
  readonly packets: number;
  /** Gauge: over the last second. */
  readonly bitsPerSecond: number;
  readonly syncErrors: number;
  readonly continuityErrors: number;
  readonly transportErrors: number;
  readonly discontinuities: number;
  /** Gauge: since the last byte; null before the first. */
  readonly lastInputAgeMs: number | null;
}

export interface RingStatus {
  readonly usedBytes: number;
  readonly sizeBytes: number;
  /** Gauge: media time between arrival and departure. */
  readonly bufferLevelMs: number;
  readonly underruns: number;
  readonly fullDrops: number;
  readonly clockPpm: number;
}

/** How even the media is, and what is done about it; rates are bits a second. */
export interface SmoothingStatus {
  /** Null while it is off. */
  readonly thresholdPercent: number | null;
  readonly maxDelayMs: number | null;
  /** Gauge: packets are paced. */
  readonly active: boolean;
  /** Gauge: over the last four seconds, as are the next three. */
  readonly meanRate: number;
  /** Gauge: largest deviation of 100 ms from the mean. */
  readonly variationPercent: number;
  /** Gauge: the fullest 100 ms as they come. */
  readonly peakRate: number;
  /** Gauge: and as they depart. */
  readonly outputPeakRate: number;
  /** Gauge: largest added delay over the last second. */
  readonly delayMs: number;
  /** Since the stream began. */
  readonly delayMaxMs: number;
}

/** What is repaired of an RTP source; packets since the source was taken up. */
export interface RepairStatus {
  /** Missing at first. */
  readonly missing: number;
  readonly byParity: number;
  readonly byBlock: number;
  readonly byRetransmission: number;
  /** By HTTP. */
  readonly byFetch: number;
  /** Those that did not come back. */
  readonly lost: number;
  /** Those that came and were no whole MPEG-TS; taken as missing. */
  readonly damaged: number;
  /** Packets asked for. */
  readonly asked: number;
  /** Requests for packets by HTTP, and those of them that had no answer, or one that is none. */
  readonly fetches: number;
  readonly fetchErrors: number;
  /** Lost, of all that were sent, 0 to 1. */
  readonly residualLoss: number;
  /** Packets of parity, retransmissions and fetches for each packet of media. */
  readonly overhead: number;
  /** Gauge: from arrival to delivery. */
  readonly playoutMs: number;
  /** Gauge: from asking to the answer; null before anything was asked for. */
  readonly roundTripMs: number | null;
  /** Packets that came as a burst before the group was joined (RFC 6285). */
  readonly acquired: number;
}

/** What a policy has chosen for a sender, and why; figures are the worst of late. */
export interface RepairChoiceStatus {
  /** Of ST 2022-1 columns, or columns and rows; a block code. Retransmission is there beside every one. */
  readonly means: 'nothing' | 'retransmission' | 'columns' | 'rows' | 'block';
  /** With its dimensions. */
  readonly says: string;
  /** Milliseconds since 1970; null while it is the first. */
  readonly since: number | null;
  /** Whether it is expected to keep the limits. */
  readonly meets: boolean;
  /** Those that report. */
  readonly receivers: number;
  /** Share of packets that receivers missed at first: of all, and what nineteen of twenty stay below. */
  readonly loss: number;
  readonly tailLoss: number;
  /** Packets missed in a row, rounded up by classes; null while none are known. */
  readonly meanRun: number | null;
  /** Null where none was measured. */
  readonly roundTripMs: number | null;
  /** Share of packets that are expected to stay lost. */
  readonly expectedResidual: number;
  /** Bytes for each byte of media. */
  readonly expectedOverhead: number;
  /** What it takes of the playout delay. */
  readonly delayMs: number;
}

/** What a sender adds for repair. */
export interface SentRepairStatus {
  readonly parityPackets: number;
  /** Packets asked for by those who may. */
  readonly asked: number;
  readonly resent: number;
  /** Of those, once to the group, because many asked. */
  readonly resentToAll: number;
  /** Asked for while they were on their way to the group. */
  readonly suppressed: number;
  /** Asked for, and no longer kept. */
  readonly gone: number;
  readonly overBudget: number;
  /** RTCP from where nobody may ask. */
  readonly refused: number;
  /** Bursts given to those that begin (RFC 6285), and refused. */
  readonly acquisitions: number;
  readonly acquisitionsRefused: number;
  /** Packets given by HTTP. */
  readonly fetched: number;
  /** Bytes of parity, retransmissions, bursts and those for each byte of media. */
  readonly overhead: number;
  /** Null where there is no policy, or it has nothing to go by yet. */
  readonly chosen: RepairChoiceStatus | null;
}

export interface MulticastStatus {
  /** `rtp://[SOURCE@]GROUP:PORT` */
  readonly url: string;
  readonly interface: string | null;
  readonly packets: number;
  readonly bytes: number;
  /** Gauge: over the last second. */
  readonly bitsPerSecond: number;
  readonly drops: number;
  readonly errors: number;
  readonly segmentation: boolean;
  /** Null where it adds nothing. */
  readonly repair: SentRepairStatus | null;
  /** Why nothing is sent, or null. */
  readonly fault: string | null;
}

export interface ViewersStatus {
  /** Gauge. */
  readonly continuous: number;
  /** Gauge: distinct clients within three target durations. */
  readonly hls: number;
  readonly bytes: number;
  /** Gauge: over the last second. */
  readonly bitsPerSecond: number;
  /** Times a slow viewer jumped. */
  readonly drops: number;
  readonly dropBytes: number;
}

/** One rendition of a channel. */
export interface RenditionStatus {
  readonly id: string;
  /** `CHANNEL/RENDITION` */
  readonly stream: string;
  readonly state: RenditionState;
  /** Stable error code while not flowing, else null. */
  readonly code: string | null;
  /** Why it is not flowing, one sentence, else null. */
  readonly reason: string | null;
  /** Since when it is in this state: milliseconds since 1970. */
  readonly since: number;
  /** Whether viewers can be served: a random access point is in the ring. */
  readonly ready: boolean;
  /** The loop of the plane that it is on; null while there is no stream. */
  readonly loop: number | null;
  /** Gauge: bits a second of the media over the last few seconds. */
  readonly bitrate: number;
  readonly source: SourceStatus;
  readonly input: InputStatus;
  /** Null where nothing is repaired. */
  readonly repair: RepairStatus | null;
  readonly ring: RingStatus;
  readonly smoothing: SmoothingStatus;
  readonly multicast: MulticastStatus | null;
  readonly viewers: ViewersStatus;
  readonly urls: { readonly hls: string; readonly ts: string; readonly sdp: string | null };
}

/** One channel with all its renditions. */
export interface ChannelStatus {
  readonly id: string;
  readonly name: string;
  /** `degraded`: some renditions flow, some do not. */
  readonly state: 'flowing' | 'degraded' | 'down';
  /** Gauge: continuous and HLS viewers of all renditions. */
  readonly viewers: number;
  /** Gauge: open upstream connections of all renditions. */
  readonly connections: number;
  /** The master playlist, absolute. */
  readonly hls: string;
  readonly renditions: readonly RenditionStatus[];
}

/** One connected continuous viewer. */
export interface ViewerStatus extends Readonly<Record<string, Cell>> {
  readonly id: number;
  readonly stream: string;
  readonly remote: string;
  readonly userAgent: string;
  readonly connectedSeconds: number;
  readonly bytes: number;
  readonly drops: number;
  readonly lagBytes: number;
}

/** One step of the path that a channel's media takes, and whether it works. */
export interface WhyStep {
  readonly step: 'source' | 'input' | 'ring' | 'smoothing' | 'multicast' | 'repair' | 'viewers';
  readonly ok: boolean;
  readonly says: string;
}

/** The answer to "why is there no picture": per rendition, in the order in which the media travels. */
export interface WhyAnswer {
  readonly channel: string;
  readonly state: string;
  readonly renditions: readonly {
    readonly rendition: string;
    readonly state: RenditionState;
    readonly steps: readonly WhyStep[];
  }[];
}
