/**
 * What the admin API says, once: these zod types are the TypeScript types, the JSON Schemas that fastify serialises with,
 * and the OpenAPI document. Counters are totals since the daemon started; gauges say so. `null` means "does not apply".
 */
import { z } from 'zod';
import type { ReloadOutcome } from '../config/reload.js';
import type { ChannelStatus, ViewerStatus, WhyAnswer } from '../streams/status.js';

export * from './model-flows.js';

const text = z.string();
/** A count or a number of bytes: a whole number, 0 or more. */
const count = z.number();

const renditionState = z
  .enum(['stopped', 'starting', 'flowing', 'retrying', 'failed'])
  .describe('flowing: media arrives; retrying: the source is being tried again; failed: cannot be used as configured');

const sourceStatus = z.object({
  url: text.describe('the URL in use now'),
  kind: z.enum(['hls', 'http', 'rtp', 'udp']),
  connections: count.describe('gauge: open upstream connections; never more than one'),
  connects: count,
  requests: z.object({ playlist: count, segment: count, key: count, stream: count }),
  retries: count,
  segmentsSkipped: count.describe('announced and never taken'),
});

const inputStatus = z.object({
  bytes: count,
  packets: count.describe('RTP packets put into the ring'),
  bitsPerSecond: count.describe('gauge: over the last second'),
  syncErrors: count,
  continuityErrors: count,
  transportErrors: count,
  discontinuities: count,
  lastInputAgeMs: count.nullable().describe('gauge: since the last byte; null before the first'),
});

const ringStatus = z.object({
  usedBytes: count,
  sizeBytes: count,
  bufferLevelMs: z.number().describe('gauge: media time between arrival and departure'),
  underruns: count,
  fullDrops: count.describe('MPEG-TS packets that found no room'),
  clockPpm: z.number().describe('gauge, signed: correction of the recovered clock'),
});

const smoothingStatus = z.object({
  thresholdPercent: z.number().nullable().describe('null while smoothing is off'),
  maxDelayMs: z.number().nullable(),
  active: z.boolean().describe('gauge: packets are paced'),
  meanRate: count.describe('gauge: bits a second over the last four seconds'),
  variationPercent: count.describe('gauge: largest deviation of 100 ms from the mean'),
  peakRate: count.describe('gauge: bits a second of the fullest 100 ms as they come'),
  outputPeakRate: count.describe('gauge: and as they depart'),
  delayMs: z.number().describe('gauge: largest added delay over the last second'),
  delayMaxMs: z.number().describe('since the stream began'),
});

const repairStatus = z.object({
  missing: count.describe('RTP packets that were missing at first'),
  byParity: count.describe('of those, repaired by ST 2022-1'),
  byBlock: count.describe('by the block code'),
  byRetransmission: count,
  byFetch: count.describe('by HTTP'),
  lost: count,
  damaged: count.describe('came and were no whole MPEG-TS: taken as missing'),
  asked: count.describe('packets asked for'),
  fetches: count.describe('requests for packets by HTTP'),
  fetchErrors: count.describe('those that had no answer, or one that is none'),
  residualLoss: z.number().describe('lost, of all that were sent, 0 to 1'),
  overhead: z.number().describe('packets of parity, retransmissions and fetches for each packet of media'),
  playoutMs: z.number().describe('gauge: from arrival to delivery'),
  roundTripMs: z.number().nullable().describe('gauge: from asking to the answer'),
  acquired: count.describe('packets that came as a burst before the group was joined'),
});

const sentRepairStatus = z.object({
  parityPackets: count,
  asked: count.describe('packets that receivers asked for'),
  resent: count,
  resentToAll: count.describe('of those, once to the group, because many asked'),
  suppressed: count.describe('asked for while they were on their way to the group'),
  gone: count.describe('asked for, and no longer kept'),
  overBudget: count,
  refused: count.describe('RTCP from where nobody may ask'),
  acquisitions: count.describe('bursts given to those that begin'),
  acquisitionsRefused: count,
  fetched: count.describe('packets given by HTTP'),
  overhead: z.number().describe('bytes of parity, retransmissions and those for each byte of media'),
  chosen: z
    .object({
      means: z.enum(['nothing', 'retransmission', 'columns', 'rows', 'block']),
      says: text.describe('the means with its dimensions'),
      since: z.number().nullable().describe('milliseconds since 1970; null while it is the first'),
      meets: z.boolean().describe('whether it is expected to keep the limits'),
      receivers: count.describe('those that report'),
      loss: z.number().describe('share of packets that receivers missed at first, the worst of late'),
      tailLoss: z.number().describe('what nineteen of twenty receivers stay below'),
      meanRun: z.number().nullable().describe('packets missed in a row'),
      roundTripMs: z.number().nullable(),
      expectedResidual: z.number().describe('share of packets that are expected to stay lost'),
      expectedOverhead: z.number().describe('bytes for each byte of media'),
      delayMs: z.number().describe('what it takes of the playout delay'),
    })
    .nullable()
    .describe('what the repair policy has chosen, and why'),
});

const multicastStatus = z.object({
  url: text.describe('rtp://GROUP:PORT'),
  interface: text.nullable(),
  packets: count,
  bytes: count,
  bitsPerSecond: count.describe('gauge: over the last second'),
  drops: count,
  errors: count,
  segmentation: z.boolean().describe('UDP_SEGMENT in use'),
  repair: sentRepairStatus.nullable().describe('what it adds for receivers that lose packets'),
  fault: text.nullable().describe('why nothing is sent'),
});

const viewersStatus = z.object({
  continuous: count.describe('gauge'),
  hls: count.describe('gauge: distinct clients within three target durations'),
  bytes: count,
  bitsPerSecond: count.describe('gauge: over the last second'),
  drops: count.describe('times a slow viewer jumped'),
  dropBytes: count,
});

const urls = z.object({ hls: text, ts: text, sdp: text.nullable() });

/** One rendition of a channel. */
export const renditionStatus = z
  .object({
    id: text,
    stream: text.describe('CHANNEL/RENDITION'),
    state: renditionState,
    code: text.nullable().describe('stable error code while not flowing'),
    reason: text.nullable().describe('why it is not flowing, one sentence'),
    since: z.number().describe('gauge: in this state since, milliseconds since 1970'),
    ready: z.boolean().describe('viewers can be served'),
    loop: count.nullable().describe('loop of the plane that it is on; null while there is no stream'),
    bitrate: count.describe('gauge: bits a second of the media over the last few seconds'),
    source: sourceStatus,
    input: inputStatus,
    repair: repairStatus.nullable().describe('of an RTP source that is repaired'),
    ring: ringStatus,
    smoothing: smoothingStatus,
    multicast: multicastStatus.nullable(),
    viewers: viewersStatus,
    urls,
  })
  .meta({ id: 'Rendition' });

/** One channel with all its renditions. */
export const channelStatus = z
  .object({
    id: text,
    name: text,
    state: z.enum(['flowing', 'degraded', 'down']).describe('degraded: some renditions flow, some do not'),
    viewers: count.describe('gauge: continuous and HLS viewers of all renditions'),
    connections: count.describe('gauge: open upstream connections of all renditions'),
    hls: text.describe('master playlist'),
    renditions: z.array(renditionStatus),
  })
  .meta({ id: 'Channel' });

/** One loop of the plane. */
export const loopStatus = z
  .object({
    loop: count.describe('counted from 0'),
    thread: text.describe('name of its thread'),
    cpu: count.nullable().describe('the only CPU that it runs on'),
    streams: count.describe('gauge: placed on it'),
    viewers: count.describe('gauge: continuous and HLS viewers of these'),
    wakeupsPerSecond: count.describe('gauge: in the last second'),
    busyRatio: z.number().describe('gauge: share of the last second that it worked, 0 to 1'),
    lateMs: z.number().describe('gauge: worst lateness of a departure since its running second began'),
  })
  .meta({ id: 'Loop' });

const delay = z.object({ mean: z.number(), p99: z.number(), max: z.number() });

/** The daemon as a whole. */
export const daemonStatus = z
  .object({
    version: text,
    pid: count,
    host: text,
    time: text.describe('RFC 3339'),
    uptimeSeconds: z.number(),
    memory: z.object({ residentBytes: count, heapUsedBytes: count, ringBytes: count.describe('size of all rings') }),
    eventLoopDelayMs: delay.describe('gauge: over the last second'),
    planeLoop: z.object({
      lateMs: z.number().describe('gauge: worst lateness of a departure over the last second, of all loops'),
      busyRatio: z.number().describe('gauge: share of the last second that the busiest loop thread worked, 0 to 1'),
    }),
    totals: z.object({
      bytesIn: count,
      bytesOut: count.describe('multicast, viewers and flows'),
      bitsInPerSecond: count.describe('gauge: over the last six seconds, since segments come in bursts'),
      bitsOutPerSecond: count.describe('gauge: over the last six seconds'),
      viewers: count,
      connections: count,
      drops: count.describe('of the ring, of senders, slow viewers and flows'),
    }),
  })
  .meta({ id: 'Status' });

/** What the websocket sends once a second. */
export const liveSnapshot = z
  .object({ status: daemonStatus, channels: z.array(channelStatus) })
  .meta({ id: 'Snapshot' });

/** One second of the past. */
export const historyPoint = z.object({
  time: z.number().describe('seconds since 1970'),
  bitsIn: count,
  bitsOut: count,
  viewers: count,
});

/** One connected viewer. */
export const viewerStatus = z
  .object({
    id: count,
    stream: text,
    remote: text,
    userAgent: text,
    connectedSeconds: z.number(),
    bytes: count,
    drops: count,
    lagBytes: count.describe('gauge: behind the live edge'),
  })
  .meta({ id: 'Viewer' });

/** Why a channel is as it is: each step of the path that its media takes, and whether that works. */
export const channelWhy = z
  .object({
    channel: text,
    state: text,
    renditions: z.array(
      z.object({
        rendition: text,
        state: renditionState,
        steps: z.array(
          z.object({
            step: z.enum(['source', 'input', 'ring', 'smoothing', 'multicast', 'repair', 'viewers']),
            ok: z.boolean(),
            says: text,
          }),
        ),
      }),
    ),
  })
  .meta({ id: 'ChannelWhy' });

/** Why any thing is as it is: sentences from the cause to the effect. */
export const whyAnswer = z.object({ noun: text, id: text, sentences: z.array(text) }).meta({ id: 'Why' });

/** A table as `sluice show` prints it. */
export const tableAnswer = z
  .object({
    noun: text,
    columns: z.array(text),
    rows: z.array(z.record(text, z.unknown())).describe('by column name; further keys are for machines'),
  })
  .meta({ id: 'Table' });

/** What is not flowing, by name. */
export const readiness = z
  .object({
    ready: z.boolean(),
    reasons: z.array(z.object({ stream: text, state: text, reason: text })),
  })
  .meta({ id: 'Readiness' });

/** One difference between two configurations. */
const configChange = z.object({
  key: text.describe('such as http.listen or channels[news].name: entries with an id are named by it'),
  kind: z.enum(['added', 'removed', 'changed']),
  old: z.unknown().describe('null when there was nothing; secrets are ***'),
  new: z.unknown(),
});

/** What a reload has done. */
export const reloadAnswer = z
  .object({
    outcome: z.enum(['applied', 'unchanged', 'planned']).describe('planned: a dry run that would change something'),
    file: text,
    changes: z.array(configChange),
    steps: z.array(text).describe('what was done, or would be, one sentence each'),
  })
  .meta({ id: 'Reload' });

/** What a purge has done. */
export const purgeAnswer = z
  .object({ site: text, path: text, purged: count.describe('objects that were forgotten') })
  .meta({ id: 'Purge' });

/** The running configuration. */
export const configAnswer = z
  .object({
    file: text.nullable().describe('what a reload reads'),
    config: z.record(text, z.unknown()).describe('with defaults; durations in ms, sizes in bytes; secrets are ***'),
    reloadable: z.array(text).describe('keys that a reload can change, those below included; others need a restart'),
  })
  .meta({ id: 'Config' });

/** Every error the API answers with. */
export const errorAnswer = z
  .object({ code: text, message: text, details: z.record(text, z.unknown()) })
  .meta({ id: 'Error' });

export type LoopStatus = z.infer<typeof loopStatus>;
export type DaemonStatus = z.infer<typeof daemonStatus>;
export type HistoryPoint = z.infer<typeof historyPoint>;
export type Readiness = z.infer<typeof readiness>;
/** As the streams tell it, with the daemon around it. */
export interface LiveSnapshot {
  readonly status: DaemonStatus;
  readonly channels: readonly ChannelStatus[];
}

/** Compiles only while what the streams tell fits what the API promises. */
type Fits<Told extends Promised, Promised> = Told;
export type StreamsFit = [
  Fits<ChannelStatus, DeepReadonly<z.infer<typeof channelStatus>>>,
  Fits<ViewerStatus, DeepReadonly<z.infer<typeof viewerStatus>>>,
  Fits<WhyAnswer, DeepReadonly<z.infer<typeof channelWhy>>>,
  Fits<ReloadOutcome, DeepReadonly<z.infer<typeof reloadAnswer>>>,
];
type DeepReadonly<T> = T extends object ? { readonly [K in keyof T]: DeepReadonly<T[K]> } : T;

/** The field behind the body of `/v1/capture` (RFC 9110 section 6.5) that has the summary, as JSON. */
export const CONTROL_CAPTURE_TRAILER = 'sluice-capture';
export const controlCaptureSummary = z.object({
  packets: z.number(),
  bytes: z.number(),
  dropped: z.number(),
  end: z.enum(['duration', 'limit', 'reader', 'daemon']),
});
