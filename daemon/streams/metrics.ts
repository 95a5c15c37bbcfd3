import type { Family, Metrics, Sample } from '../base/metrics.js';
import type { StreamCounters } from '../plane/contract.js';
import type { Rendition } from './rendition.js';
import type { RepairChoiceStatus, RequestCounts } from './status.js';

type ReadRendition = (rendition: Rendition) => Iterable<Sample>;

/** A family over all renditions, labelled by stream. */
function streamLabels(rendition: Rendition, more: Readonly<Record<string, string>> = {}): Sample['labels'] {
  return { stream: rendition.name, ...more };
}

function renditionLabels(rendition: Rendition, more: Readonly<Record<string, string>> = {}): Sample['labels'] {
  return { channel: rendition.channel.id, rendition: rendition.config.id, ...more };
}

/** Stream counters that are offered one to one: counter or gauge, name, factor, help. */
const PLAIN: readonly [
  kind: 'counter' | 'gauge',
  name: string,
  counter: keyof StreamCounters,
  factor: number,
  help: string,
][] = [
  ['counter', 'sluice_stream_sync_errors_total', 'syncErrors', 1, 'Times the MPEG-TS sync byte was lost.'],
  [
    'counter',
    'sluice_stream_continuity_errors_total',
    'continuityErrors',
    1,
    'Continuity counter errors of the source.',
  ],
  ['counter', 'sluice_stream_transport_errors_total', 'transportErrors', 1, 'Packets with transport_error_indicator.'],
  ['counter', 'sluice_stream_discontinuities_total', 'discontinuities', 1, 'Splices: announced, or a PCR that jumped.'],
  ['counter', 'sluice_stream_underruns_total', 'underruns', 1, 'Times the recovered clock ran out of packets.'],
  [
    'counter',
    'sluice_stream_ring_full_drops_total',
    'ringFullDrops',
    1,
    'MPEG-TS packets that found no room in the ring.',
  ],
  ['counter', 'sluice_stream_segments_total', 'segments', 1, 'HLS segments cut.'],
  ['counter', 'sluice_stream_access_points_total', 'accessPoints', 1, 'Random access points seen.'],
  ['gauge', 'sluice_stream_ring_used_bytes', 'ringUsedBytes', 1, 'Payload bytes in the ring.'],
  ['gauge', 'sluice_stream_ring_size_bytes', 'ringSizeBytes', 1, 'Size of the ring.'],
  ['gauge', 'sluice_stream_buffer_seconds', 'bufferLevelUs', 1e-6, 'Media time between arrival and departure.'],
  ['gauge', 'sluice_stream_clock_ppm', 'clockPpb', 1e-3, 'Correction of the recovered clock, parts per million.'],
  ['gauge', 'sluice_stream_rate_mean', 'meanRate', 1, 'Bits a second over four seconds, as the media comes.'],
  ['gauge', 'sluice_stream_rate_peak', 'peakRate', 1, 'Bits a second of the fullest 100 ms of those.'],
  ['gauge', 'sluice_stream_output_rate_peak', 'outputPeakRate', 1, 'The same as it departs.'],
  ['gauge', 'sluice_stream_rate_variation', 'rateVariation', 1e-2, 'Largest deviation of 100 ms, of the mean.'],
  ['gauge', 'sluice_stream_smoothing_active', 'smoothing', 1, '1 while packets are paced.'],
  [
    'gauge',
    'sluice_stream_smoothing_delay_seconds',
    'smoothingDelayUs',
    1e-6,
    'Largest delay that pacing added over the last second.',
  ],
  ['gauge', 'sluice_stream_bitrate', 'bitrate', 1, 'Bits a second over the last few seconds.'],
];

const MEANS: readonly RepairChoiceStatus['means'][] = ['nothing', 'retransmission', 'columns', 'rows', 'block'];
/** What a repair policy goes by, and what it expects. */
const CHOSEN = [
  ['sluice_repair_receivers', 'Receivers that report to the retransmission server.', 'receivers'],
  ['sluice_repair_reported_loss', 'Share of packets that receivers missed at first, the worst of late.', 'loss'],
  ['sluice_repair_expected_residual', 'Share of packets that are expected to stay lost.', 'expectedResidual'],
  ['sluice_repair_expected_overhead', 'Bytes of repair that are expected for each byte of media.', 'expectedOverhead'],
] as const;

const STATES = ['stopped', 'starting', 'flowing', 'retrying', 'failed'] as const;
const REQUEST_KINDS: readonly (keyof RequestCounts)[] = ['playlist', 'segment', 'key', 'stream'];

/** Viewers of a stream that is of no channel. */
export interface OtherViewers {
  readonly name: string;
  readonly continuous: number;
}

/** Offers the streams' metrics, read from the counters at each scrape; returns the function that takes them away. */
export function offerStreamMetrics(
  metrics: Metrics,
  renditions: () => readonly Rendition[],
  others: () => readonly OtherViewers[] = () => [],
): () => void {
  const names: string[] = [];
  const offer = (
    kind: 'counter' | 'gauge',
    name: string,
    help: string,
    labels: readonly string[],
    read: ReadRendition,
  ): void => {
    const family: Family = {
      name,
      help,
      labels,
      read: () => renditions().flatMap((rendition) => [...read(rendition)]),
    };
    metrics[kind](family);
    names.push(name);
  };
  offerSources(offer);
  offerTraffic(offer);
  for (const [kind, name, counter, factor, help] of PLAIN) {
    offer(kind, name, help, ['stream'], (r) => [{ labels: streamLabels(r), value: r.counters()[counter] * factor }]);
  }
  offerViewers(metrics, renditions, others);
  names.push('sluice_viewers');
  return () => {
    for (const name of names) metrics.remove(name);
  };
}

type Offer = (
  kind: 'counter' | 'gauge',
  name: string,
  help: string,
  labels: readonly string[],
  read: ReadRendition,
) => void;

function offerSources(offer: Offer): void {
  const where = ['channel', 'rendition'];
  offer(
    'counter',
    'sluice_upstream_requests_total',
    'Requests to the upstream, redirects included.',
    [...where, 'kind'],
    (r) => {
      const { requests } = r.source();
      return REQUEST_KINDS.map((kind) => ({ labels: renditionLabels(r, { kind }), value: requests[kind] }));
    },
  );
  offer(
    'gauge',
    'sluice_upstream_connections',
    'Open upstream connections; never more than one a rendition.',
    where,
    (r) => [{ labels: renditionLabels(r), value: r.source().connections }],
  );
  offer('counter', 'sluice_upstream_connects_total', 'Upstream connections opened.', where, (r) => [
    { labels: renditionLabels(r), value: r.source().connects },
  ]);
  offer(
    'counter',
    'sluice_upstream_bytes_total',
    'Bytes from the upstream as on the wire, heads included.',
    where,
    (r) => [{ labels: renditionLabels(r), value: r.source().wireBytes }],
  );
  offer('counter', 'sluice_upstream_retries_total', 'Times the source was given up and tried again.', where, (r) => [
    { labels: renditionLabels(r), value: r.source().retries },
  ]);
  offer('counter', 'sluice_upstream_segments_skipped_total', 'Segments announced and never taken.', where, (r) => [
    { labels: renditionLabels(r), value: r.source().segmentsSkipped },
  ]);
  offer('gauge', 'sluice_source_state', '1 for the state that the source is in.', [...where, 'state'], (r) => {
    const { state: present } = r.state;
    return STATES.map((state) => ({ labels: renditionLabels(r, { state }), value: state === present ? 1 : 0 }));
  });
}

function offerTraffic(offer: Offer): void {
  const direction = (r: Rendition, taken: number, sent: number): Sample[] => [
    { labels: streamLabels(r, { direction: 'in' }), value: taken },
    { labels: streamLabels(r, { direction: 'out' }), value: sent },
  ];
  offer(
    'counter',
    'sluice_stream_packets_total',
    'RTP packets: in, put into the ring; out, sent by multicast.',
    ['stream', 'direction'],
    (r) => direction(r, r.counters().packetsIn, r.sender?.counters().packets ?? 0),
  );
  offer(
    'counter',
    'sluice_stream_bytes_total',
    'Bytes: in, MPEG-TS taken from the source; out, sent by multicast and to HTTP viewers.',
    ['stream', 'direction'],
    (r) => {
      const { bytesIn, viewerBytes } = r.counters();
      return direction(r, bytesIn, viewerBytes + (r.sender?.counters().bytes ?? 0));
    },
  );
  offer(
    'counter',
    'sluice_receiver_drops_total',
    'What receivers lost: slow viewers that jumped, segments overrun, packets not sent.',
    ['stream', 'reason'],
    (r) => {
      const { viewerDrops, segmentOverruns } = r.counters();
      return [
        { labels: streamLabels(r, { reason: 'slow-viewer' }), value: viewerDrops },
        { labels: streamLabels(r, { reason: 'segment-overrun' }), value: segmentOverruns },
        { labels: streamLabels(r, { reason: 'multicast' }), value: r.sender?.counters().drops ?? 0 },
      ];
    },
  );
  offer('counter', 'sluice_receiver_drop_bytes_total', 'Bytes that slow viewers lost.', ['stream'], (r) => [
    { labels: streamLabels(r), value: r.counters().viewerDropBytes },
  ]);
  offer('counter', 'sluice_sender_errors_total', 'Errors of the multicast sender.', ['stream'], (r) => [
    { labels: streamLabels(r), value: r.sender?.counters().errors ?? 0 },
  ]);
  offer(
    'counter',
    'sluice_repair_packets_total',
    'Repair packets sent: parity of ST 2022-1 by columns and rows, of the block code, and retransmissions.',
    ['stream', 'kind'],
    (r) => {
      const sender = r.sender?.counters();
      return [
        { labels: streamLabels(r, { kind: 'column' }), value: sender?.parityColumns ?? 0 },
        { labels: streamLabels(r, { kind: 'row' }), value: sender?.parityRows ?? 0 },
        { labels: streamLabels(r, { kind: 'block' }), value: sender?.parityBlocks ?? 0 },
        { labels: streamLabels(r, { kind: 'retransmission' }), value: sender?.resent ?? 0 },
      ];
    },
  );
  offer(
    'counter',
    'sluice_retransmission_requests_total',
    'Packets that receivers asked for, by what became of it.',
    ['stream', 'result'],
    (r) => {
      const sender = r.sender?.counters();
      return [
        { labels: streamLabels(r, { result: 'resent' }), value: (sender?.resent ?? 0) - (sender?.resentToAll ?? 0) },
        { labels: streamLabels(r, { result: 'resent-to-all' }), value: sender?.resentToAll ?? 0 },
        { labels: streamLabels(r, { result: 'suppressed' }), value: sender?.suppressed ?? 0 },
        { labels: streamLabels(r, { result: 'gone' }), value: sender?.resendGone ?? 0 },
        { labels: streamLabels(r, { result: 'over-budget' }), value: sender?.resendShed ?? 0 },
        { labels: streamLabels(r, { result: 'error' }), value: sender?.resendErrors ?? 0 },
      ];
    },
  );
  offer(
    'counter',
    'sluice_retransmission_refused_total',
    'RTCP that came to the retransmission server from where nobody may ask.',
    ['stream'],
    (r) => [{ labels: streamLabels(r), value: r.sender?.counters().feedbackRefused ?? 0 }],
  );
  offer(
    'counter',
    'sluice_retransmission_tokens_total',
    'Tokens with which receivers prove their addresses: given, and shown but no good.',
    ['stream', 'result'],
    (r) => {
      const sender = r.sender?.counters();
      return [
        { labels: streamLabels(r, { result: 'granted' }), value: sender?.tokensGranted ?? 0 },
        { labels: streamLabels(r, { result: 'refused' }), value: sender?.tokensRefused ?? 0 },
      ];
    },
  );
  offer(
    'gauge',
    'sluice_repair_chosen',
    '1 for the means that the repair policy has chosen; retransmission is there beside each.',
    ['stream', 'means'],
    (r) => {
      const chosen = r.sender?.chosen ?? null;
      return chosen === null
        ? []
        : MEANS.map((means) => ({ labels: streamLabels(r, { means }), value: chosen.means === means ? 1 : 0 }));
    },
  );
  for (const [name, help, figure] of CHOSEN) {
    offer('gauge', name, help, ['stream'], (r) => {
      const chosen = r.sender?.chosen ?? null;
      return chosen === null ? [] : [{ labels: streamLabels(r), value: chosen[figure] }];
    });
  }
  offer(
    'counter',
    'sluice_acquisitions_total',
    'Receivers that asked to begin with a burst (RFC 6285), by the answer.',
    ['stream', 'result'],
    (r) => {
      const sender = r.sender?.counters();
      return [
        { labels: streamLabels(r, { result: 'accepted' }), value: sender?.acquisitions ?? 0 },
        { labels: streamLabels(r, { result: 'refused' }), value: sender?.acquisitionsRefused ?? 0 },
      ];
    },
  );
  offer('counter', 'sluice_acquisition_packets_total', 'RTP packets of those bursts.', ['stream'], (r) => [
    { labels: streamLabels(r), value: r.sender?.counters().burstPackets ?? 0 },
  ]);
  offer(
    'counter',
    'sluice_range_repair_requests_total',
    'Requests for ranges of packets by HTTP, by what became of them.',
    ['stream', 'result'],
    (r) => {
      const { rangeServed, rangeGone, rangeMalformed, rangeShed } = r.counters();
      return [
        { labels: streamLabels(r, { result: 'served' }), value: rangeServed },
        { labels: streamLabels(r, { result: 'gone' }), value: rangeGone },
        { labels: streamLabels(r, { result: 'malformed' }), value: rangeMalformed },
        { labels: streamLabels(r, { result: 'over-budget' }), value: rangeShed },
      ];
    },
  );
  offer('counter', 'sluice_range_repair_packets_total', 'Packets given by HTTP.', ['stream'], (r) => [
    { labels: streamLabels(r), value: r.counters().rangePackets },
  ]);
  offer(
    'counter',
    'sluice_source_repaired_packets_total',
    'RTP packets of the source that were missing, by what brought them back; lost: nothing did.',
    ['stream', 'means'],
    (r) => {
      const repair = r.repair;
      if (repair === null) return [];
      return [
        { labels: streamLabels(r, { means: 'parity' }), value: repair.byParity },
        { labels: streamLabels(r, { means: 'block' }), value: repair.byBlock },
        { labels: streamLabels(r, { means: 'retransmission' }), value: repair.byRetransmission },
        { labels: streamLabels(r, { means: 'fetch' }), value: repair.byFetch },
        { labels: streamLabels(r, { means: 'lost' }), value: repair.lost },
      ];
    },
  );
  offer(
    'counter',
    'sluice_source_fetches_total',
    'Requests by HTTP for packets of the source that nothing else brought back.',
    ['stream', 'result'],
    (r) => {
      const repair = r.repair;
      if (repair === null) return [];
      const { fetches, fetchErrors } = repair;
      return [
        { labels: streamLabels(r, { result: 'answered' }), value: Math.max(0, fetches - fetchErrors) },
        { labels: streamLabels(r, { result: 'failed' }), value: fetchErrors },
      ];
    },
  );
  offer(
    'gauge',
    'sluice_source_playout_seconds',
    'From the arrival of a packet of a repaired source to its delivery.',
    ['stream'],
    (r) => {
      const repair = r.repair;
      return repair === null ? [] : [{ labels: streamLabels(r), value: repair.playoutMs / 1000 }];
    },
  );
  offer(
    'counter',
    'sluice_sender_rtcp_total',
    'RTCP of the multicast sender: out, its reports; in, what receivers answered.',
    ['stream', 'direction'],
    (r) => {
      const sender = r.sender?.counters();
      return direction(r, sender?.rtcpIn ?? 0, sender?.rtcpOut ?? 0);
    },
  );
}

/** Viewers are counted by channel: sums over its renditions. Those of other streams stand by their names. */
function offerViewers(
  metrics: Metrics,
  renditions: () => readonly Rendition[],
  others: () => readonly OtherViewers[],
): void {
  metrics.gauge({
    name: 'sluice_viewers',
    help: 'Connected viewers: continuous, and HLS clients seen within three target durations.',
    labels: ['channel', 'mode'],
    read: () => {
      const sums = new Map<string, { continuous: number; hls: number }>();
      for (const rendition of renditions()) {
        const sum = sums.get(rendition.channel.id) ?? { continuous: 0, hls: 0 };
        const { viewersContinuous, viewersSegmented } = rendition.counters();
        sums.set(rendition.channel.id, {
          continuous: sum.continuous + viewersContinuous,
          hls: sum.hls + viewersSegmented,
        });
      }
      return [
        ...[...sums].flatMap(([channel, { continuous, hls }]) => [
          { labels: { channel, mode: 'continuous' }, value: continuous },
          { labels: { channel, mode: 'hls' }, value: hls },
        ]),
        ...others().map(({ name, continuous }) => ({
          labels: { channel: name, mode: 'continuous' },
          value: continuous,
        })),
      ];
    },
  });
}
