import type { Child } from '../../test/lab/lib/process.js';
import type { Contender, Group, Sample } from '../lib/bench.js';
import { listening, withServer } from '../lib/listen.js';
import { memoryBytes, processTree } from '../lib/processes.js';
import { elapse, flowing, served, watch } from '../lib/sink.js';
import { EDGE_ADDRESS, type Topology } from '../lib/topology.js';
import { HTTP_PORT, startDaemon } from '../main-job/daemon.js';
import { inputGroup } from '../main-job/source.js';
import { bare, DELAY_MS, ours, PEER_NOTES, peers, RING_BYTES, type Server, startBare, tool } from './servers.js';

/** A channel of a rate and those who watch it. */
export interface Load {
  readonly megabits: number;
  readonly viewers: number;
}

/** Least time that the viewers of a load take to come, unless it is a burst: one a millisecond. */
const staggerMs = (viewers: number): number => viewers;

async function startSink(
  { viewers }: Topology,
  server: Server,
  load: Load,
  withinMs = staggerMs(load.viewers),
): Promise<Child> {
  const to = [EDGE_ADDRESS, String(HTTP_PORT), server.path(load.megabits)];
  return viewers.spawn('httpsink', [await tool('httpsink'), ...to, String(load.viewers), String(withinMs)]);
}

/** CPU per delivered gigabit to so many viewers. */
function cpuContender(topology: Topology, server: Server, load: Load, windowMs: number): Contender {
  const measure = (): Promise<Sample> =>
    withServer(
      topology.edge,
      () => server.start(topology, load.megabits),
      HTTP_PORT,
      async (program) => {
        const sink = await startSink(topology, server, load);
        try {
          await flowing(sink, load.viewers, 30_000);
          await elapse(3_000);
          const delivery = await watch(program, sink, windowMs);
          const share = delivery.bits / (delivery.seconds * load.megabits * 1e6 * load.viewers);
          const notes = [
            ...(share < 0.99 ? [`delivered only ${(share * 100).toFixed(1)} % of the load in a run`] : []),
            ...(delivery.errors > 0 ? [`${delivery.errors} continuity errors at the first viewer in a run`] : []),
          ];
          return { figures: { cpu: delivery.cpu / (delivery.bits / 1e9) }, notes };
        } finally {
          await sink.stop();
        }
      },
    );
  return { name: server.name, measure };
}

/** All contenders at one load. */
export function cpuGroup(topology: Topology, load: Load, name: string, windowMs: number): Group {
  const contender = (server: Server): Contender => cpuContender(topology, server, load, windowMs);
  return {
    figures: [{ case: name, unit: 'CPU s/Gbit', better: 'less', key: 'cpu' }],
    ours: contender(ours),
    limit: contender(bare),
    peers: peers.map(contender),
    notes: [
      `RTP/MP2T in, ring of ${RING_BYTES / 2 ** 20} MiB, one sink, veth of 1500 bytes with TSO`,
      'bare-http does no parsing, pacing or access points',
      ...PEER_NOTES,
    ],
  };
}

/** From the first connection of a burst until everybody has had the begin of the stream. */
function burstContender(topology: Topology, server: Server, load: Load, withinMs: number): Contender {
  const measure = (): Promise<Sample> =>
    withServer(
      topology.edge,
      () => server.start(topology, load.megabits),
      HTTP_PORT,
      async (program) => {
        const first = await startSink(topology, server, { ...load, viewers: 1 });
        await flowing(first, 1, 30_000);
        await elapse(1_500);
        const sink = await startSink(topology, server, load, withinMs);
        try {
          const burst = await served(sink, load.viewers, 10_000);
          const notes = [
            ...(burst.ended > 0 ? [`${burst.ended} of ${load.viewers} were refused or reset in a run`] : []),
            ...(burst.entered < load.viewers
              ? [`${load.viewers - burst.entered} of ${load.viewers} did not begin with a PAT in a run`]
              : []),
          ];
          if (!program.running) throw new Error(`${program.name} ended`);
          return { figures: { served: burst.served, ms: burst.ms }, notes };
        } finally {
          await Promise.all([sink.stop(), first.stop()]);
        }
      },
    );
  return { name: server.name, measure };
}

/** All contenders when everybody comes at once. */
export function burstGroup(topology: Topology, load: Load, withinMs: number): Group {
  const contender = (server: Server): Contender => burstContender(topology, server, load, withinMs);
  const name = `${load.viewers} viewers arriving within ${withinMs} ms`;
  return {
    figures: [
      { case: `${name}, served`, unit: 'viewers', better: 'more', key: 'served' },
      { case: `${name}, last first byte`, unit: 'ms', better: 'less', key: 'ms' },
    ],
    ours: contender(ours),
    limit: contender(bare),
    peers: peers.map(contender),
    notes: ['counted from the first connection, after ten seconds at the latest', ...PEER_NOTES],
  };
}

/** Bytes of the process per further viewer: with many less with one, in the same process, its ring full before. */
function viewerMemoryContender(topology: Topology, server: Server, load: Load, fillMs: number): Contender {
  const measure = (): Promise<Sample> =>
    withServer(
      topology.edge,
      () => server.start(topology, load.megabits),
      HTTP_PORT,
      async (program) => {
        const first = await startSink(topology, server, { ...load, viewers: 1 });
        await flowing(first, 1, 30_000);
        await elapse(fillMs);
        const before = memoryBytes(processTree(program.pid));
        const many = await startSink(topology, server, load);
        await flowing(many, load.viewers, 30_000);
        await elapse(1_500);
        const after = memoryBytes(processTree(program.pid));
        await Promise.all([first.stop(), many.stop()]);
        return { figures: { memory: (after - before) / load.viewers / 1024 } };
      },
    );
  return { name: server.name, measure };
}

/** Bytes of the process per further stream: two daemons, their rings full. */
function streamMemoryContender(topology: Topology, megabits: number, streams: number, fillMs: number): Contender {
  const memoryWith = async (channels: number): Promise<number> => {
    const daemon = await startDaemon(topology, { megabits, channels, ringBytes: RING_BYTES, delayMs: DELAY_MS });
    try {
      await elapse(fillMs);
      return memoryBytes(processTree(daemon.pid));
    } finally {
      await daemon.stop();
    }
  };
  const measure = async (): Promise<Sample> => {
    const one = await memoryWith(1);
    return { figures: { memory: ((await memoryWith(1 + streams)) - one) / streams / 2 ** 20 } };
  };
  return { name: 'sluice', measure };
}

/** The bare program with its ring full less the same with nothing coming in. */
function bareStreamMemory(topology: Topology, megabits: number, fillMs: number): Contender {
  const memoryOf = async (group: string): Promise<number> => {
    const program = await startBare(topology, group);
    try {
      await listening(topology.edge, program, HTTP_PORT);
      await elapse(fillMs);
      return memoryBytes([program.pid]);
    } finally {
      await program.stop();
    }
  };
  const measure = async (): Promise<Sample> => {
    const empty = await memoryOf('239.20.1.255');
    return { figures: { memory: ((await memoryOf(inputGroup(megabits))) - empty) / 2 ** 20 } };
  };
  return { name: 'bare-http', measure };
}

/** Memory of a viewer and of a stream. */
export function memoryGroups(topology: Topology, load: Load, streams: number): Group[] {
  const fillMs = 1_500 + (RING_BYTES * 8) / (load.megabits * 1_000);
  const memory = (server: Server): Contender => viewerMemoryContender(topology, server, load, fillMs);
  const process = 'proportional set size of the processes, without the kernel’s socket buffers';
  return [
    {
      figures: [{ case: 'memory per viewer', unit: 'KiB', better: 'less', key: 'memory' }],
      ours: memory(ours),
      limit: memory(bare),
      peers: peers.map(memory),
      notes: [process],
    },
    {
      figures: [{ case: 'memory per stream', unit: 'MiB', better: 'less', key: 'memory' }],
      ours: streamMemoryContender(topology, load.megabits, streams, fillMs),
      limit: bareStreamMemory(topology, load.megabits, fillMs),
      peers: [],
      notes: [process, `the ring (${RING_BYTES / 2 ** 20} MiB) included`],
    },
  ];
}
