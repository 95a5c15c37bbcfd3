import { writeFileSync } from 'node:fs';
import type { Child } from '../../test/lab/lib/process.js';
import type { Contender, Group, Sample } from '../lib/bench.js';
import { listening, withServer } from '../lib/listen.js';
import { peerPath } from '../lib/peer.js';
import { memoryBytes, processTree } from '../lib/processes.js';
import { elapse, flowing, watch } from '../lib/sink.js';
import { EDGE_ADDRESS, EDGE_SOURCE_ADDRESS, TOWARDS_SOURCE, type Topology } from '../lib/topology.js';
import { HTTP_PORT, LIVE_PATH, startDaemon } from './daemon.js';
import { INPUT_PORT, inputGroup, tool } from './source.js';

/** Bit rate of the channel. */
const MEGABITS = 8;
/** Enough for seconds of the channel; the same for ours and the bare program. */
const RING_BYTES = 4 * 2 ** 20;
const DELAY_MS = 300;

/** A server of the live channel, and where the channel is. */
interface Server {
  readonly name: string;
  readonly path: string;
  start(topology: Topology): Promise<Child>;
}

const GROUP_PORT = `${inputGroup(MEGABITS)}:${INPUT_PORT}`;

const ours: Server = {
  name: 'sluice',
  path: LIVE_PATH,
  start: (topology) => startDaemon(topology, { megabits: MEGABITS, ringBytes: RING_BYTES, delayMs: DELAY_MS }),
};

const bare: Server = {
  name: 'bare-http',
  path: '/',
  async start({ edge }) {
    const input = [inputGroup(MEGABITS), String(INPUT_PORT), EDGE_SOURCE_ADDRESS];
    return edge.spawn('bare-http', [await tool('bare-http'), ...input, String(HTTP_PORT), String(RING_BYTES)]);
  },
};

const udpxy: Server = {
  name: 'udpxy',
  path: `/rtp/${GROUP_PORT}`,
  start: ({ edge }) =>
    edge.spawn('udpxy', [peerPath('udpxy'), '-T', '-p', String(HTTP_PORT), '-m', TOWARDS_SOURCE, '-c', '1000']),
};

const rtp2httpd: Server = {
  name: 'rtp2httpd',
  path: `/rtp/${GROUP_PORT}`,
  start({ edge }) {
    // 256 clients is the most that it takes.
    const options = ['-C', '-v', '1', '-m', '256', '-w', '1', '-b', '131072'];
    const args = [...options, '-r', TOWARDS_SOURCE, '-l', String(HTTP_PORT)];
    return edge.spawn('rtp2httpd', [peerPath('rtp2httpd'), ...args]);
  },
};

const msdLite: Server = {
  name: 'msd_lite',
  path: `/rtp/${GROUP_PORT}`,
  start({ edge, lab }) {
    const file = lab.file('msd_lite.conf');
    writeFileSync(file, msdLiteConfiguration());
    return edge.spawn('msd_lite', [peerPath('msd_lite'), '-c', file]);
  },
};

/** Its own example configuration, with one thread, no burst at the begin, and the ring that ours has. */
function msdLiteConfiguration(): string {
  return `<?xml version="1.0" encoding="utf-8"?>
<msd>
 <log><level>3</level></log>
 <threadPool><threadsCountMax>1</threadsCountMax><fBindToCPU>no</fBindToCPU></threadPool>
 <HTTP>
  <bindList><bind><address>0.0.0.0:${HTTP_PORT}</address></bind></bindList>
  <hostnameList><hostname>*</hostname></hostnameList>
 </HTTP>
 <hubProfileList><hubProfile>
  <fDropSlowClients>no</fDropSlowClients><fSocketTCPNoDelay>yes</fSocketTCPNoDelay>
  <precache>0</precache><ringBufSize>${RING_BYTES / 1024}</ringBufSize>
  <skt><sndBuf>512</sndBuf><sndLoWatermark>64</sndLoWatermark></skt>
 </hubProfile></hubProfileList>
 <sourceProfileList><sourceProfile>
  <skt><rcvBuf>512</rcvBuf><rcvLoWatermark>48</rcvLoWatermark><rcvTimeout>2</rcvTimeout></skt>
  <multicast><ifName>${TOWARDS_SOURCE}</ifName></multicast>
 </sourceProfile></sourceProfileList>
</msd>
`;
}

function startSink({ viewers }: Topology, server: Server, clients: number): Promise<Child> {
  return tool('httpsink').then((program) =>
    viewers.spawn('httpsink', [program, EDGE_ADDRESS, String(HTTP_PORT), server.path, String(clients)]),
  );
}

/** CPU per delivered gigabit to so many viewers. */
function cpuContender(topology: Topology, server: Server, clients: number, windowMs: number): Contender {
  const measure = (): Promise<Sample> =>
    withServer(
      topology.edge,
      () => server.start(topology),
      HTTP_PORT,
      async (program) => {
        const sink = await startSink(topology, server, clients);
        try {
          await flowing(sink, clients, 30_000);
          await elapse(1_500);
          const delivery = await watch(program, sink, windowMs);
          const share = delivery.bits / (delivery.seconds * MEGABITS * 1e6 * clients);
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

/** Bytes of the process per further viewer: with many less with one, in the same process, its ring full before. */
function viewerMemoryContender(topology: Topology, server: Server, clients: number, fillMs: number): Contender {
  const measure = (): Promise<Sample> =>
    withServer(
      topology.edge,
      () => server.start(topology),
      HTTP_PORT,
      async (program) => {
        const first = await startSink(topology, server, 1);
        await flowing(first, 1, 30_000);
        await elapse(fillMs);
        const before = memoryBytes(processTree(program.pid));
        const many = await startSink(topology, server, clients);
        await flowing(many, clients, 30_000);
        await elapse(1_500);
        const after = memoryBytes(processTree(program.pid));
        await Promise.all([first.stop(), many.stop()]);
        return { figures: { memory: (after - before) / clients / 1024 } };
      },
    );
  return { name: server.name, measure };
}

/** Bytes of the process per further stream: two daemons, their rings full. */
function streamMemoryContender(topology: Topology, streams: number, fillMs: number): Contender {
  const memoryWith = async (channels: number): Promise<number> => {
    const daemon = await startDaemon(topology, {
      megabits: MEGABITS,
      channels,
      ringBytes: RING_BYTES,
      delayMs: DELAY_MS,
    });
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
function bareStreamMemory(topology: Topology, fillMs: number): Contender {
  const memoryOf = async (group: string): Promise<number> => {
    const args = [group, String(INPUT_PORT), EDGE_SOURCE_ADDRESS, String(HTTP_PORT), String(RING_BYTES)];
    const program = await topology.edge.spawn('bare-http', [await tool('bare-http'), ...args]);
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
    return { figures: { memory: ((await memoryOf(inputGroup(MEGABITS))) - empty) / 2 ** 20 } };
  };
  return { name: 'bare-http', measure };
}

/** The rate that the groups below need from the source. */
export const HTTP_MEGABITS = MEGABITS;

/** CPU by the number of viewers, memory per viewer and per stream. */
export function httpGroups(topology: Topology, quick: boolean): Group[] {
  const windowMs = quick ? 3_000 : 6_000;
  const counts = quick ? [1, 50] : [1, 50, 200, 500];
  const same = `${MEGABITS} Mbit/s RTP/MP2T in, ring of ${RING_BYTES / 2 ** 20} MiB, one sink, veth of 1500 bytes with TSO`;
  const work = 'bare-http does no parsing, pacing or access points';
  const peers = [udpxy, msdLite, rtp2httpd];
  const cpu = counts.map((clients): Group => {
    const contender = (server: Server): Contender => cpuContender(topology, server, clients, windowMs);
    const figures = [{ case: `http ${clients} viewers`, unit: 'CPU s/Gbit', better: 'less', key: 'cpu' }] as const;
    return { figures, ours: contender(ours), limit: contender(bare), peers: peers.map(contender), notes: [same, work] };
  });
  const many = quick ? 50 : 500;
  const fillMs = 1_500 + (RING_BYTES * 8) / (MEGABITS * 1_000);
  const memory = (server: Server): Contender => viewerMemoryContender(topology, server, many, fillMs);
  const process = 'proportional set size of the processes, without the kernel’s socket buffers';
  return [
    ...cpu,
    {
      figures: [{ case: 'memory per viewer', unit: 'KiB', better: 'less', key: 'memory' }],
      ours: memory(ours),
      limit: memory(bare),
      peers: peers.map(memory),
      notes: [process],
    },
    {
      figures: [{ case: 'memory per stream', unit: 'MiB', better: 'less', key: 'memory' }],
      ours: streamMemoryContender(topology, quick ? 2 : 8, fillMs),
      limit: bareStreamMemory(topology, fillMs),
      peers: [],
      notes: [process, `the ring (${RING_BYTES / 2 ** 20} MiB) included`],
    },
  ];
}
