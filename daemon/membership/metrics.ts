import type { Metrics, Sample } from '../base/metrics.js';
import { DENIALS, type Family, type RouterApi, type RouterInterfaceInfo } from '../plane/contract-router.js';
import { ASK_RESULTS, type AskTotals } from './ask.js';

const nameOf = (family: Family): string => (family === 4 ? 'ipv4' : 'ipv6');

/** Offers the metrics of membership and routing, read at each scrape; returns the function that takes them away. */
export function offerMembershipMetrics(metrics: Metrics, router: RouterApi, asked: () => AskTotals | null): () => void {
  const withdraw: (() => void)[] = [];
  const perInterface = (
    kind: 'counter' | 'gauge',
    name: string,
    help: string,
    label: string | null,
    read: (one: RouterInterfaceInfo) => Readonly<Record<string, number>>,
  ): void => {
    const samples = (family: Family): Sample[] =>
      router.interfaces(family).flatMap((one) =>
        Object.entries(read(one)).map(([key, value]) => ({
          labels: { interface: one.name, family: nameOf(family), ...(label === null ? {} : { [label]: key }) },
          value,
        })),
      );
    const labels = ['interface', 'family', ...(label === null ? [] : [label])];
    withdraw.push(metrics[kind]({ name, help, labels, read: () => router.families.flatMap(samples) }));
  };
  perInterface('counter', 'sluice_membership_joins_total', 'New channels that hosts asked for.', 'result', (one) => ({
    admitted: one.admission.admitted,
    held: one.admission.held,
    ...Object.fromEntries(DENIALS.map((why) => [why, one.admission.denied[why]])),
  }));
  perInterface('gauge', 'sluice_membership_groups', 'Groups that hosts want.', null, (one) => ({
    value: one.hosts?.groups ?? 0,
  }));
  perInterface('counter', 'sluice_membership_messages_total', 'Reports and queries.', 'kind', (one) => ({
    report: one.reports,
    malformed: one.malformed + one.badChecksum,
    'wrong-header': one.wrongHeader,
    'too-many': one.tooMany,
    'query-in': one.hosts?.queriesIn ?? 0,
    'query-out': (one.hosts?.generalQueries ?? 0) + (one.hosts?.groupQueries ?? 0) + (one.hosts?.sourceQueries ?? 0),
  }));
  perInterface('gauge', 'sluice_pim_neighbors', 'PIM neighbours.', null, (one) => ({
    value: one.pim?.neighbours ?? 0,
  }));
  perInterface('counter', 'sluice_multicast_packets_total', 'Packets routed.', 'direction', (one) => ({
    in: one.packetsIn,
    out: one.packetsOut,
  }));
  const perFamily = (kind: 'counter' | 'gauge', name: string, help: string, read: (family: Family) => number): void => {
    withdraw.push(
      metrics[kind]({
        name,
        help,
        labels: ['family'],
        read: () => router.families.map((family) => ({ labels: { family: nameOf(family) }, value: read(family) })),
      }),
    );
  };
  perFamily('gauge', 'sluice_route_entries', 'Multicast routes in the kernel.', (f) => router.status(f)?.routes ?? 0);
  perFamily('counter', 'sluice_route_changes_total', 'Multicast routes made, changed or removed.', (f) => {
    const status = router.status(f);
    return (status?.routesSet ?? 0) + (status?.routesRemoved ?? 0);
  });
  perFamily('counter', 'sluice_route_failures_total', 'Routes beyond the limit, or not taken by the kernel.', (f) => {
    const status = router.status(f);
    return (status?.routesRefused ?? 0) + (status?.routesFailed ?? 0);
  });
  perFamily(
    'counter',
    'sluice_membership_interface_refusals_total',
    'Times that an interface began not to be routed, as one too many or for another limit of the kernel.',
    (f) => router.status(f)?.interfacesRefused ?? 0,
  );
  perFamily(
    'gauge',
    'sluice_membership_not_joined',
    'Groups that a proxy wants, and that the kernel refuses to join above.',
    (f) => router.status(f)?.notJoinedAbove ?? 0,
  );
  perFamily(
    'counter',
    'sluice_membership_drops_total',
    'Messages that the socket had no room for.',
    (f) => router.status(f)?.controlDrops ?? 0,
  );
  perFamily(
    'gauge',
    'sluice_membership_not_kept',
    'Routing sockets and sockets of joins that a restart would close, though they are to be kept.',
    (f) => router.status(f)?.notKept ?? 0,
  );
  withdraw.push(
    metrics.counter({
      name: 'sluice_membership_events_lost_total',
      help: 'News of joins that policy has missed, as too many waited.',
      read: () => [{ labels: {}, value: router.lostEvents() }],
    }),
    metrics.counter({
      name: 'sluice_membership_asks_total',
      help: "Joins that the operator's system was asked about, or would have been.",
      labels: ['result'],
      read: () => {
        const totals = asked();
        return totals === null ? [] : ASK_RESULTS.map((result) => ({ labels: { result }, value: totals[result] }));
      },
    }),
  );
  return () => {
    for (const one of withdraw) one();
  };
}
