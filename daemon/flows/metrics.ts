import type { Metrics, Sample } from '../base/metrics.js';
import type { FlowCounters } from '../plane/contract.js';
import type { Flow } from './flow.js';

/** Flow counters that are offered one to one: counter or gauge, name, factor, help. */
const PLAIN: readonly [
  kind: 'counter' | 'gauge',
  name: string,
  counter: keyof FlowCounters,
  factor: number,
  help: string,
][] = [
  ['counter', 'sluice_flow_lost_packets_total', 'rtpLost', 1, 'RTP packets that did not come in (RFC 3550 A.3).'],
  ['counter', 'sluice_flow_reordered_packets_total', 'rtpReordered', 1, 'RTP packets that came out of order.'],
  ['counter', 'sluice_flow_malformed_packets_total', 'malformed', 1, 'Packets that are neither RTP nor RTCP.'],
  ['counter', 'sluice_flow_switches_total', 'switches', 1, 'Gates that opened, or changed to the flow.'],
  ['gauge', 'sluice_flow_jitter_seconds', 'jitterUs', 1e-6, 'Interarrival jitter at the input (RFC 3550 6.4.1).'],
  ['gauge', 'sluice_flow_bitrate', 'bitrate', 1, 'Bits a second at the input over the last second.'],
  ['gauge', 'sluice_flow_peak_bitrate', 'peakRate', 1, 'Largest bits a second of 100 ms in the last seconds, input.'],
  ['gauge', 'sluice_flow_output_peak_bitrate', 'outputPeakRate', 1, 'The same after smoothing.'],
  ['gauge', 'sluice_flow_smoothing_delay_seconds', 'smoothingDelayUs', 1e-6, 'Largest delay that smoothing added.'],
  ['gauge', 'sluice_flow_history_seconds', 'historyMs', 1e-3, 'How far back the store for pre-buffers reaches.'],
];

/** Offers the flows' metrics, read from the counters at each scrape; returns the function that takes them away. */
export function offerFlowMetrics(metrics: Metrics, flows: () => readonly Flow[]): () => void {
  const withdraw: (() => void)[] = [];
  const offer = (
    kind: 'counter' | 'gauge',
    name: string,
    help: string,
    labels: readonly string[],
    read: (counters: FlowCounters, flow: Flow) => Readonly<Record<string, number>>,
  ): void => {
    const [label = 'flow', more] = labels;
    const samples = (flow: Flow): Sample[] =>
      Object.entries(read(flow.counters(), flow)).map(([key, value]) => ({
        labels: { [label]: flow.id, ...(more === undefined ? {} : { [more]: key }) },
        value,
      }));
    withdraw.push(metrics[kind]({ name, help, labels, read: () => flows().flatMap(samples) }));
  };
  offerTraffic(offer);
  for (const [kind, name, counter, factor, help] of PLAIN)
    offer(kind, name, help, ['flow'], (counters) => ({ value: counters[counter] * factor }));
  return () => {
    for (const one of withdraw) one();
  };
}

type Offer = (
  kind: 'counter' | 'gauge',
  name: string,
  help: string,
  labels: readonly string[],
  read: (counters: FlowCounters, flow: Flow) => Readonly<Record<string, number>>,
) => void;

function offerTraffic(offer: Offer): void {
  offer('counter', 'sluice_flow_packets_total', 'Packets of flows.', ['flow', 'direction'], (c) => ({
    in: c.packetsIn,
    out: c.packetsOut,
  }));
  offer('counter', 'sluice_flow_bytes_total', 'UDP payload of flows.', ['flow', 'direction'], (c) => ({
    in: c.bytesIn,
    out: c.bytesOut,
  }));
  offer('counter', 'sluice_flow_rtcp_packets_total', 'RTCP compound packets of flows.', ['flow', 'direction'], (c) => ({
    in: c.rtcpIn,
    out: c.rtcpOut,
  }));
  offer('counter', 'sluice_receiver_drops_total', DROPS, ['stream', 'reason'], (c) => ({
    'send-error': c.sendErrors,
    'shed-late': c.shedLate,
    'shed-priority': c.shedPriority,
  }));
  offer('gauge', 'sluice_flow_receivers', 'Receivers that listen to a flow.', ['flow', 'gate'], (c) => ({
    open: c.receiversOpen,
    closed: c.receivers - c.receiversOpen,
  }));
  offer('gauge', 'sluice_flow_up', '1 where the flow is set up.', ['flow'], (_, flow) => ({
    value: flow.handle === null ? 0 : 1,
  }));
}

const DROPS =
  'What receivers lost: slow viewers that jumped, segments overrun, packets not sent, packets shed at overload.';
