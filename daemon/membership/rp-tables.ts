/** What PIM knows of rendezvous points: who serves which groups, and who has told. */
import type { Registry } from '../base/registry.js';
import type { RouterApi, RpSetInfo } from '../plane/contract-router.js';

const STATES: Readonly<Record<RpSetInfo['state'], string>> = {
  none: 'nobody is heard',
  accepted: 'elected by others',
  candidate: 'another is elected; this one would be',
  pending: 'being elected',
  elected: 'this router is elected',
};

/** Offers `show rps|bsr`; returns the function that withdraws them. */
export function offerRpTables(registry: Registry, router: RouterApi): () => void {
  const sets = (): RpSetInfo[] => router.families.flatMap((family) => router.rps(family) ?? []);
  const withdraw = [
    registry.offer('rps', {
      columns: ['groups', 'rp', 'priority', 'origin', 'bsr', 'this'],
      rows: () =>
        sets().flatMap(({ rps, router: bsr }) =>
          rps.map(({ groups, rp, priority, fixed, own }) => ({
            groups,
            rp,
            priority: fixed ? null : priority,
            origin: fixed ? 'static' : 'bootstrap',
            bsr: fixed ? null : (bsr?.address ?? null),
            this: own,
          })),
        ),
    }),
    registry.offer('bsr', {
      columns: ['family', 'bsr', 'priority', 'state', 'accepted', 'originated', 'dropped', 'offers'],
      rows: () =>
        router.families.flatMap((family) => {
          const set = router.rps(family);
          if (set === null) return [];
          return [
            {
              family: family === 4 ? 'ipv4' : 'ipv6',
              bsr: set.router?.address ?? null,
              priority: set.router?.priority ?? null,
              state: STATES[set.state],
              accepted: set.accepted,
              originated: set.originated,
              dropped: set.dropped + set.refused,
              offers: set.advertisements,
            },
          ];
        }),
    }),
  ];
  return () => {
    for (const one of withdraw) one();
  };
}
