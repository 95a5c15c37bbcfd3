import type { Child } from '../../test/lab/lib/process.js';
import type { Contender, Group, Sample } from '../lib/bench.js';
import { elapse, flowing, watch } from '../lib/sink.js';
import { EDGE_ADDRESS, EDGE_SOURCE_ADDRESS, TOWARDS_VIEWERS, type Topology, VIEWERS_ADDRESS } from '../lib/topology.js';
import { startDaemon } from './daemon.js';
import { INPUT_PORT, inputGroup, tool } from './source.js';

const OUTPUT = { address: '239.20.2.1', port: 5000 };
const DELAY_MS = 300;
const RING_BYTES = 16 * 2 ** 20;

type Batching = 'segment' | 'plain';
type Start = (topology: Topology) => Promise<Child>;

function startOurs(megabits: number, batching: Batching): Start {
  const multicast = { ...OUTPUT, interface: TOWARDS_VIEWERS, ttl: 8, batching, loop: false };
  return (topology) => startDaemon(topology, { megabits, ringBytes: RING_BYTES, delayMs: DELAY_MS, multicast });
}

function startBare(megabits: number, batching: Batching): Start {
  const input = [inputGroup(megabits), String(INPUT_PORT), EDGE_SOURCE_ADDRESS];
  const output = [OUTPUT.address, String(OUTPUT.port), EDGE_ADDRESS];
  return async ({ edge }) =>
    edge.spawn('bare-sender', [await tool('bare-sender'), ...input, ...output, batching, String(DELAY_MS)]);
}

function contender(topology: Topology, name: string, start: Start, megabits: number, windowMs: number): Contender {
  const measure = async (): Promise<Sample> => {
    const program = await start(topology);
    const sinkArguments = [OUTPUT.address, String(OUTPUT.port), VIEWERS_ADDRESS];
    const sink = await topology.viewers.spawn('mcsink', [await tool('mcsink'), ...sinkArguments]);
    try {
      await flowing(sink, 1, 20_000);
      await elapse(1_500);
      const delivery = await watch(program, sink, windowMs);
      const share = delivery.bits / (delivery.seconds * megabits * 1e6);
      const notes = [
        ...(share < 0.99 ? [`delivered only ${(share * 100).toFixed(1)} % of the load in a run`] : []),
        ...(delivery.errors > 0 ? [`${delivery.errors} gaps in the sequence`] : []),
      ];
      return { figures: { cpu: delivery.cpu / (delivery.bits / 1e9) }, notes };
    } finally {
      await sink.stop();
      await program.stop();
    }
  };
  return { name, measure };
}

/** Rates of the multicast cases: one usual channel, and one at which batches of 2 ms hold several packets. */
export const MULTICAST_MEGABITS = [8, 50] as const;

/** CPU of the RTP multicast sender, with and without segmentation. */
export function multicastGroups(topology: Topology, quick: boolean): Group[] {
  const windowMs = quick ? 3_000 : 6_000;
  const cases = MULTICAST_MEGABITS.flatMap((megabits) =>
    (['segment', 'plain'] as const).map((batching) => ({ megabits, batching })),
  );
  return cases.map(({ megabits, batching }) => ({
    figures: [{ case: `multicast ${megabits} Mbit/s ${batching}`, unit: 'CPU s/Gbit', better: 'less', key: 'cpu' }],
    ours: contender(topology, 'sluice', startOurs(megabits, batching), megabits, windowMs),
    limit: contender(topology, 'bare-sender', startBare(megabits, batching), megabits, windowMs),
    peers: [],
    notes: [
      `RTP/MP2T in and out, ${DELAY_MS} ms later, UDP segmentation in software`,
      'bare-sender keeps the spacing of the arrivals and parses nothing',
    ],
  }));
}
