import type { Bench } from '../lib/bench.js';
import { buildFlowTopology } from '../lib/flows/topology.js';
import { bare, rtpengine, sluice } from '../voice/programs.js';
import { delayGroup, Reference } from './delay.js';
import { DISTURBANCES, disturbanceGroup } from './disturbance.js';

/** How long packets stay in a relay. */
export const relayLatency: Bench = {
  name: 'relay-latency',
  summary: 'delay that a relay adds at 10, 50 and 90 % of capacity, and while JavaScript stands still or reloads',
  rounds: 3,
  async prepare(lab, { quick }) {
    const topology = await buildFlowTopology(lab);
    const reference = new Reference(topology, quick);
    return [
      ...[0.1, 0.5, 0.9].map((part) =>
        delayGroup(topology, reference, [sluice, bare, rtpengine], 'sockets', part, quick),
      ),
      ...[0.1, 0.5].map((part) => delayGroup(topology, reference, [sluice, bare], 'shared', part, quick)),
      ...DISTURBANCES.map((one) => disturbanceGroup(topology, reference, one, quick)),
    ];
  },
};
