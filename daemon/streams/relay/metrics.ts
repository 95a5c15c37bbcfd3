import type { Metrics } from '../../base/metrics.js';
import type { PlaneApi, RelayCounters } from '../../plane/contract.js';

/** Label `reason` of what viewers did not get. */
const REFUSED: readonly [string, keyof RelayCounters][] = [
  ['malformed', 'malformed'],
  ['forbidden', 'forbidden'],
  ['full', 'full'],
  ['no-picture', 'noPicture'],
];

/** Label `reason` of groups that came to nothing. */
const FAILED: readonly [string, keyof RelayCounters][] = [
  ['silent', 'silent'],
  ['failed', 'failed'],
];

/** Offers the metrics of groups that are asked for by their addresses; returns the function that takes them away. */
export function offerRelayMetrics(metrics: Metrics, plane: PlaneApi): () => void {
  const by = (list: typeof REFUSED) => () => {
    const counters = plane.relayCounters();
    return list.map(([reason, counter]) => ({ labels: { reason }, value: counters[counter] }));
  };
  const one = (counter: keyof RelayCounters) => () => [{ labels: {}, value: plane.relayCounters()[counter] }];
  metrics.gauge({ name: 'sluice_relay_groups', help: 'Groups that viewers have asked for.', read: one('groups') });
  metrics.counter({
    name: 'sluice_relay_begun_total',
    help: 'Groups that began: nobody else was there.',
    read: one('begun'),
  });
  metrics.counter({ name: 'sluice_relay_requests_total', help: 'Requests for groups.', read: one('joined') });
  metrics.counter({
    name: 'sluice_relay_refused_total',
    help: 'Requests for groups that were not served, by reason.',
    labels: ['reason'],
    read: by(REFUSED),
  });
  metrics.counter({
    name: 'sluice_relay_failed_total',
    help: 'Groups that gave nothing for too long, or could not be had.',
    labels: ['reason'],
    read: by(FAILED),
  });
  const names = ['groups', 'begun_total', 'requests_total', 'refused_total', 'failed_total'];
  return () => {
    for (const name of names) metrics.remove(`sluice_relay_${name}`);
  };
}
