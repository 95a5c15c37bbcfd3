import type { Bench, Contender, Group, Sample } from '../lib/bench.js';
import { capacityOf, costOf, GENERATOR_MOST, type Load } from '../lib/flows/measure.js';
import { buildFlowTopology, inputs, targetFile } from '../lib/flows/topology.js';
import { memoryBytes, processTree } from '../lib/processes.js';
import { elapse } from '../lib/sink.js';
import type { Topology } from '../lib/topology.js';
import { type Batching, bare, type Fanout, type Program, sluice } from './programs.js';

/** One case, before it is known who does it. */
interface Case {
  readonly name: string;
  readonly fanout: Fanout;
  readonly bytes: number;
  /** Packets that come in together. */
  readonly burst: number;
  /** Packets out a second at which the cost is measured. */
  readonly rate: number;
}

function load(topology: Topology, { fanout, bytes, burst }: Case): Load {
  const targets = targetFile(topology.lab, 'fanout-input', inputs(1, 'shared'));
  return { targets, bytes, burst, copies: fanout.receivers };
}

/** CPU at a fixed load, then capacity, of one start of a program. */
function contender(topology: Topology, program: Program, one: Case, quick: boolean, name = program.name): Contender {
  const { receivers } = one.fanout;
  const measure = async (): Promise<Sample> => {
    const child = await program.start(topology, one.fanout);
    try {
      const all = load(topology, one);
      const cost = await costOf(topology, child, all, one.rate / receivers, quick ? 0.7 : 2);
      const guess = one.rate / receivers / Math.min(1, Math.max(cost.busy, 0.05));
      const capacity = await capacityOf(topology, all, guess, quick ? 0.2 : 0.5);
      const notes = cost.share < 0.999 ? [`delivered ${(cost.share * 100).toFixed(1)} % of the load in a run`] : [];
      const atMost = capacity === GENERATOR_MOST ? ['capacity: as much as the generator sends'] : [];
      return {
        figures: { cpu: cost.microseconds, capacity: (capacity * receivers) / 1000 },
        notes: [...notes, ...atMost],
      };
    } finally {
      await child.stop();
    }
  };
  return { name, measure };
}

function group(topology: Topology, one: Case, quick: boolean): Group {
  return {
    figures: [
      { case: one.name, unit: 'CPU us/packet', better: 'less', key: 'cpu' },
      { case: `${one.name}, capacity`, unit: 'thousand packets/s', better: 'more', key: 'capacity' },
    ],
    ours: contender(topology, sluice, one, quick),
    limit: contender(topology, bare, one, quick),
    peers: [],
    notes: [`CPU at ${one.rate} packets/s out; counted and dropped where they come in at the receivers`],
  };
}

/** With what came together going out together, one arrival at a time. */
function plainCases(quick: boolean): Case[] {
  const counts = quick ? [1, 100] : [1, 10, 100, 1000];
  return counts.flatMap((receivers) =>
    (quick ? [1316] : [1316, 200]).flatMap((bytes) =>
      [false, true].map((rewrite) => ({
        name: `1 to ${receivers}, ${bytes} bytes, ${rewrite ? 'rewritten' : 'as it came'}`,
        fanout: { receivers, rewrite, batching: 'segment' as const, waitUs: 0 },
        bytes,
        burst: 1,
        rate: receivers === 1 ? 100_000 : 150_000,
      })),
    ),
  );
}

/** Batches of eight packets: ours by segmentation beside all other ways to send them. */
function batchGroup(topology: Topology, receivers: number, quick: boolean): Group {
  const name = `1 to ${receivers}, 1316 bytes, batches of 8`;
  const as = (batching: Batching): Case => ({
    name,
    fanout: { receivers, rewrite: false, batching, waitUs: 2000 },
    bytes: 1316,
    burst: 8,
    rate: 200_000,
  });
  const other = (program: Program, batching: Batching): Contender =>
    contender(topology, program, as(batching), quick, `${program.name} ${batching}`);
  return {
    ...group(topology, as('segment'), quick),
    peers: [other(bare, 'sendmmsg'), ...(quick ? [] : [other(sluice, 'sendmmsg'), other(sluice, 'plain')])],
    notes: ['eight packets come in together; segmentation in software, CPU at 200000 packets/s out'],
  };
}

/** Proportional set size for each receiver, of ten thousand over one. */
function memoryGroup(topology: Topology): Group {
  const many = 10_000;
  const taken = async (program: Program, receivers: number): Promise<number> => {
    const child = await program.start(topology, { receivers, rewrite: true, batching: 'segment', waitUs: 0 });
    try {
      await elapse(2_000);
      return memoryBytes(processTree(child.pid));
    } finally {
      await child.stop();
    }
  };
  const contenderOf = (program: Program): Contender => ({
    name: program.name,
    measure: async () => {
      const [one, all] = [await taken(program, 1), await taken(program, many)];
      return { figures: { memory: (all - one) / (many - 1) / 1024 } };
    },
  });
  return {
    figures: [{ case: 'memory per receiver', unit: 'KiB', better: 'less', key: 'memory' }],
    ours: contenderOf(sluice),
    limit: contenderOf(bare),
    peers: [],
    notes: ['proportional set size of the processes, configuration and JavaScript included'],
  };
}

/** One RTP flow to many receivers. */
export const fanout: Bench = {
  name: 'fanout',
  summary: 'CPU per delivered packet and capacity of one RTP flow to 1, 10, 100 and 1,000 receivers',
  rounds: 3,
  async prepare(lab, { quick }) {
    const topology = await buildFlowTopology(lab);
    return [
      ...plainCases(quick).map((one) => group(topology, one, quick)),
      ...(quick ? [100] : [100, 1000]).map((receivers) => batchGroup(topology, receivers, quick)),
      memoryGroup(topology),
    ];
  },
};
