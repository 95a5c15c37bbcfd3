import type { Bench, Contender, Group, Sample } from '../lib/bench.js';
import { capacityOf, costOf, GENERATOR_MOST, LEAST_CAPACITY, type Load } from '../lib/flows/measure.js';
import { buildFlowTopology, COUNTED_PORT, receivers } from '../lib/flows/topology.js';
import { memoryBytes, processTree } from '../lib/processes.js';
import { elapse } from '../lib/sink.js';
import type { Topology } from '../lib/topology.js';
import { overloadGroup } from './overload.js';
import { bare, KINDS, type Relay, type Relaying, rtpengine, sluice } from './programs.js';

/** Of one flow: 20 ms of G.711 each. */
const PACKETS_PER_SECOND = 50;
const BYTES = 172;

type Kind = Relaying['kind'];

async function withRelay<T>(
  topology: Topology,
  relay: Relay,
  relaying: Relaying,
  use: (load: Load, started: Awaited<ReturnType<Relay['start']>>) => Promise<T>,
): Promise<T> {
  const started = await relay.start(topology, relaying);
  try {
    return await use({ targets: started.targets, bytes: BYTES, burst: 1, copies: 1 }, started);
  } finally {
    await started.child.stop();
  }
}

function cost(topology: Topology, relay: Relay, flows: number, kind: Kind, quick: boolean): Contender {
  const measure = (): Promise<Sample> =>
    withRelay(topology, relay, { receivers: receivers(flows, COUNTED_PORT), kind }, async (load, { child }) => {
      const found = await costOf(topology, child, load, flows * PACKETS_PER_SECOND, quick ? 1 : 4);
      const share = (found.share * 100).toFixed(1);
      const notes = found.share < 0.999 ? [`delivered ${share} % of the load in a run`] : [];
      return { figures: { cpu: found.microseconds }, notes };
    });
  return { name: relay.name, measure };
}

function costGroup(topology: Topology, flows: number, kind: Kind, quick: boolean): Group {
  const of = (relay: Relay): Contender => cost(topology, relay, flows, kind, quick);
  return {
    figures: [{ case: `${flows} flows, ${KINDS[kind]}`, unit: 'CPU us/packet', better: 'less', key: 'cpu' }],
    ours: of(sluice),
    limit: of(bare),
    peers: kind === 'sockets' ? [of(rtpengine)] : [],
    notes: [`${BYTES} bytes, ${PACKETS_PER_SECOND} packets/s each`],
  };
}

const CAPACITY_FLOWS = 1000;

/** More packets of as many flows, until they are lost. */
function capacityGroup(topology: Topology, kind: Kind, quick: boolean, found: (bare: number) => void): Group {
  const of = (relay: Relay): Contender => ({
    name: relay.name,
    measure: () =>
      withRelay(topology, relay, { receivers: receivers(CAPACITY_FLOWS, COUNTED_PORT), kind }, async (load) => {
        const capacity = await capacityOf(topology, load, 200_000, quick ? 0.3 : 1);
        if (relay === bare) found(capacity);
        const atMost = capacity === GENERATOR_MOST ? ['as much as the generator sends'] : [];
        return { figures: { capacity: capacity / 1000 }, notes: atMost };
      }),
  });
  const name = `${CAPACITY_FLOWS} flows, ${KINDS[kind]}, capacity`;
  return {
    figures: [{ case: name, unit: 'thousand packets/s', better: 'more', key: 'capacity' }],
    ours: of(sluice),
    limit: of(bare),
    peers: kind === 'sockets' ? [of(rtpengine)] : [],
    notes: [`${BYTES} bytes`],
  };
}

function memoryGroup(topology: Topology): Group {
  const taken = (relay: Relay, flows: number): Promise<number> =>
    withRelay(topology, relay, { receivers: receivers(flows, COUNTED_PORT), kind: 'sockets' }, async (_, { child }) => {
      await elapse(2_000);
      return memoryBytes(processTree(child.pid));
    });
  const of = (relay: Relay): Contender => ({
    name: relay.name,
    measure: async () => {
      const [one, all] = [await taken(relay, 1), await taken(relay, CAPACITY_FLOWS)];
      return { figures: { memory: (all - one) / (CAPACITY_FLOWS - 1) / 1024 } };
    },
  });
  return {
    figures: [{ case: 'memory per flow', unit: 'KiB', better: 'less', key: 'memory' }],
    ours: of(sluice),
    limit: of(bare),
    peers: [of(rtpengine)],
    notes: ['a port each; proportional set size of the processes, configuration and JavaScript included'],
  };
}

/** Thousands of small flows, one receiver each. */
export const voice: Bench = {
  name: 'voice',
  summary: 'CPU per packet and capacity of thousands of voice flows, what an overload leaves behind, memory per flow',
  rounds: 3,
  async prepare(lab, { quick }) {
    const topology = await buildFlowTopology(lab);
    // Until the bare relay has been measured: what it does on the slowest machine seen.
    const capacity: Record<Kind, number> = { sockets: 150_000, shared: 200_000 };
    const kinds: readonly Kind[] = ['sockets', 'shared'];
    return [
      ...(quick ? [1000] : [1000, 2000, 4000]).flatMap((flows) =>
        kinds.map((kind) => costGroup(topology, flows, kind, quick)),
      ),
      ...kinds.map((kind) =>
        capacityGroup(topology, kind, quick, (found) => (capacity[kind] = Math.max(found, LEAST_CAPACITY))),
      ),
      overloadGroup(topology, [sluice, bare, rtpengine], CAPACITY_FLOWS, 'sockets', () => capacity.sockets, quick),
      overloadGroup(topology, [sluice, bare], CAPACITY_FLOWS, 'shared', () => capacity.shared, quick),
      memoryGroup(topology),
    ];
  },
};
