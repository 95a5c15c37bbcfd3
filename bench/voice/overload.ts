import type { Contender, Group, Sample } from '../lib/bench.js';
import { HEARD_EVERY, sampled } from '../lib/flows/topology.js';
import { begins, generate, heardBy, listen, type Phase, sentBy } from '../lib/flows/traffic.js';
import type { Topology } from '../lib/topology.js';
import { KINDS, type Relay, type Relaying } from './programs.js';

/** Phases of the generator. */
const [OVERLOAD, FIRST_SECOND, AFTERWARDS] = [1, 2, 3] as const;

/** Half of what it can, then more than it can, then half again. */
function phases(capacity: number, quick: boolean): Phase[] {
  const half = capacity / 2;
  return [
    { rate: half, seconds: quick ? 0.5 : 2 },
    { rate: capacity * 1.5, seconds: quick ? 1 : 5 },
    { rate: half, seconds: 1 },
    { rate: half, seconds: quick ? 0.5 : 3 },
  ];
}

/** What the receivers hear when more came in than a relay can bear, and when that has ended. */
function contender(
  topology: Topology,
  relay: Relay,
  flows: number,
  kind: Relaying['kind'],
  capacity: () => number,
  quick: boolean,
): Contender {
  const relaying: Relaying = { receivers: sampled(flows), kind };
  const measure = async (): Promise<Sample> => {
    const { child, targets } = await relay.start(topology, relaying);
    try {
      const sink = await listen(topology, flows);
      const generator = await generate(topology, { targets, bytes: 172, burst: 1, phases: phases(capacity(), quick) });
      const sent = await sentBy(generator);
      const over = await begins(generator, FIRST_SECOND, 1_000);
      const heard = await heardBy(sink);
      const after = heard.get(FIRST_SECOND);
      const share = (phase: number): number =>
        ((heard.get(phase)?.packets ?? 0) * HEARD_EVERY) / (sent[phase]?.sent ?? 1);
      const reasons = Object.entries((await relay.losses?.(topology)) ?? {}).filter(([, packets]) => packets > 0);
      const [flowing, all] = [after?.flows ?? 0, flows / HEARD_EVERY];
      const notes = [
        `${Math.round((sent[OVERLOAD]?.sent ?? 0) / (quick ? 1 : 5) / 1000)} thousand packets/s for a while, ` +
          `${(share(OVERLOAD) * 100).toFixed(0)} % of them delivered`,
        ...reasons.map(([reason, packets]) => `${packets} packets: ${reason}`),
        ...(flowing < all ? [`only ${flowing} of ${all} flows delivered within the second`] : []),
      ];
      const recovery = flowing < all ? 1000 : ((after?.allFlows ?? 0) - over) / 1e6;
      return { figures: { recovery, lost: Math.max(0, 1 - share(AFTERWARDS)) * 1e6 }, notes };
    } finally {
      await child.stop();
    }
  };
  return { name: relay.name, measure };
}

/** After more than they can bear for five seconds: when every flow delivers again, and what is lost from the second second on. */
export function overloadGroup(
  topology: Topology,
  [ours, limit, ...peers]: readonly [Relay, Relay, ...Relay[]],
  flows: number,
  kind: Relaying['kind'],
  capacity: () => number,
  quick: boolean,
): Group {
  const of = (relay: Relay): Contender => contender(topology, relay, flows, kind, capacity, quick);
  const name = `${flows} flows, ${KINDS[kind]}, after an overload`;
  return {
    figures: [
      { case: `${name}, until all deliver`, unit: 'ms', better: 'less', key: 'recovery' },
      { case: `${name}, lost from the second second on`, unit: 'ppm', better: 'less', key: 'lost' },
    ],
    ours: of(ours),
    limit: of(limit),
    peers: peers.map(of),
    notes: ['1.5 times what the bare relay can for 5 s, then half of that; a tenth of the flows are heard'],
  };
}
