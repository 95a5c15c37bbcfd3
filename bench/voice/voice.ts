import type { Bench, Contender, Group, Sample } from '../lib/bench.js';
import { capacityOf, costOf, type Load } from '../lib/flows/measure.js';
import { buildFlowTopology, COUNTED_PORT } from '../lib/flows/topology.js';
import { memoryBytes, processTree } from '../lib/processes.js';
import { elapse } from '../lib/sink.js';
import type { Topology } from '../lib/topology.js';
import { overloadGroup } from './overload.js';
import { bare, type Relay, type Relaying, rtpengine, sluice } from './programs.js';

/** Of one flow: 20 ms of G.711 each. */
const PACKETS_PER_SECOND = 50;
const BYTES = 172;
/** What the generator sends at most on one core, packets a second. */
const GENERATOR_MOST = 330_000;

type Kind = Relaying['kind'];

const KINDS: Readonly<Record<Kind, string>> = { sockets: 'a port each', shared: 'one port' };

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
    withRelay(topology, relay, { flows, kind, destinationPort: COUNTED_PORT }, async (load, { child }) => {
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
      withRelay(topology, relay, { flows: CAPACITY_FLOWS, kind, destinationPort: COUNTED_PORT }, async (load) => {
        const capacity = await capacityOf(topology, load, 200_000, quick ? 0.3 : 1, GENERATOR_MOST);
        if (relay === bare) found(capacity);
        const atMost = capacity * 1.05 > GENERATOR_MOST ? ['as much as the generator sends'] : [];
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
    withRelay(topology, relay, { flows, kind: 'sockets', destinationPort: COUNTED_PORT }, async (_, { child }) => {
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
    let capacity = 150_000;
    const found = (bareCapacity: number): void => {
      capacity = bareCapacity;
    };
    const kinds: readonly Kind[] = ['sockets', 'shared'];
    return [
      ...(quick ? [1000] : [1000, 2000, 4000]).flatMap((flows) =>
        kinds.map((kind) => costGroup(topology, flows, kind, quick)),
      ),
      ...kinds.map((kind) => capacityGroup(topology, kind, quick, kind === 'sockets' ? found : () => undefined)),
      overloadGroup(topology, [sluice, bare, rtpengine], CAPACITY_FLOWS, () => capacity, quick),
      memoryGroup(topology),
    ];
  },
};
