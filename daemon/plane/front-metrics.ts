import type { Metrics, Sample } from '../base/metrics.js';
import type { ListenerCounters } from './contract.js';

/** A listener's counters with the address by which it is told from others. */
export interface CountedListener {
  readonly listen: string;
  readonly counters: ListenerCounters;
}

type Counter = keyof ListenerCounters;

const STATUSES: readonly [string, Counter][] = [
  ['2xx', 'responses2xx'],
  ['3xx', 'responses3xx'],
  ['4xx', 'responses4xx'],
  ['5xx', 'responses5xx'],
];

const REFUSALS: readonly [string, Counter][] = [
  ['connections', 'refused'],
  ['connections_per_address', 'refusedClient'],
  ['requests_per_address', 'limitedClient'],
  ['requests', 'limitedAll'],
  ['malformed', 'malformed'],
  ['header_timeout', 'headerTimeouts'],
  ['stall_timeout', 'stalled'],
  ['min_rate', 'tooSlow'],
];

/** Offers what the viewers' front counts. */
export function offerFrontMetrics(metrics: Metrics, listeners: () => readonly CountedListener[]): void {
  const one = (counter: Counter) => (): Sample[] =>
    listeners().map(({ listen, counters }) => ({ labels: { listen }, value: counters[counter] }));
  const each = (label: string, rows: readonly [string, Counter][]) => (): Sample[] =>
    listeners().flatMap(({ listen, counters }) =>
      rows.map(([name, counter]) => ({ labels: { listen, [label]: name }, value: counters[counter] })),
    );
  metrics.gauge({
    name: 'sluice_http_connections',
    help: "Open connections of the viewers' front.",
    labels: ['listen'],
    read: one('connections'),
  });
  metrics.counter({
    name: 'sluice_http_sent_bytes_total',
    help: "Bytes sent by the viewers' front, heads included.",
    labels: ['listen'],
    read: one('bytesOut'),
  });
  metrics.counter({
    name: 'sluice_http_responses_total',
    help: "Answers of the viewers' front by class of status.",
    labels: ['listen', 'status'],
    read: each('status', STATUSES),
  });
  metrics.counter({
    name: 'sluice_http_refused_total',
    help: "Connections and requests that the viewers' front refused or ended, by the limit that they met.",
    labels: ['listen', 'reason'],
    read: each('reason', REFUSALS),
  });
}
