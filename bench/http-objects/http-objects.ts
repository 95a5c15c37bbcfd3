import { poll } from '../../test/lab/lib/poll.js';
import type { Child } from '../../test/lab/lib/process.js';
import type { Bench, Contender, Figure, Group, Sample } from '../lib/bench.js';
import { withServer } from '../lib/listen.js';
import { type Delivery, elapse, flowing, watch } from '../lib/sink.js';
import { buildTopology, EDGE_ADDRESS, type Topology } from '../lib/topology.js';
import { type Origin, objectsOf, startOrigin } from './origin.js';
import { type Certificate, makeCertificate, tlsTool, tool } from './programs.js';
import { bare, HTTP_PORT, HTTPS_PORT, nginx, PREFIX, type Server, sluice, varnish } from './servers.js';

/** Bytes of every object. */
const OBJECT_BYTES = 2 ** 20;
/** All viewers ask within this time. */
const SPREAD_MS = 100;

/** What is asked of a server. */
interface Load {
  readonly origin: Origin;
  readonly viewers: number;
  /** From one object to the next. */
  readonly intervalMs: number;
  readonly spreadMs: number;
  readonly tls: Certificate | null;
}

interface ViewersOptions {
  readonly viewers: number;
  readonly intervalMs: number;
  readonly spreadMs: number;
  readonly tls: boolean;
  /** So many objects are asked for again and again; 0: always new ones. */
  readonly cycle: number;
}

async function startViewers({ viewers }: Topology, options: ViewersOptions): Promise<Child> {
  const program = options.tls ? await tlsTool('viewers-tls') : await tool('viewers');
  const server = [EDGE_ADDRESS, String(options.tls ? HTTPS_PORT : HTTP_PORT), PREFIX];
  const load = [options.viewers, OBJECT_BYTES, options.intervalMs, options.spreadMs, options.cycle];
  return viewers.spawn('viewers', [program, ...server, ...load.map(String)]);
}

/** A value that a share of the sorted values does not exceed. */
function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
}

function notesOf(delivery: Delivery, load: Load, mostRequests: number): string[] {
  const wanted = (delivery.seconds * 1000 * load.viewers * OBJECT_BYTES * 8) / load.intervalMs;
  const share = delivery.bits / wanted;
  return [
    ...(share < 0.98 ? [`delivered only ${(share * 100).toFixed(1)} % of the load in a run`] : []),
    ...(delivery.errors > 0 ? [`${delivery.errors} wrong answers in a run`] : []),
    ...(delivery.late > 0 ? [`${delivery.late} requests were late in a run`] : []),
    ...(mostRequests > 1 ? [`asked the origin up to ${mostRequests} times for one object in a run`] : []),
  ];
}

/** CPU per delivered gigabit and first byte under a load. */
function deliveryContender(topology: Topology, server: Server, load: Load, windowMs: number): Contender {
  const measure = async (): Promise<Sample> => {
    const origin = await startOrigin(topology, load.origin, OBJECT_BYTES);
    try {
      const start = (): Promise<Child> => server.start(topology, load.tls);
      const port = load.tls === null ? HTTP_PORT : HTTPS_PORT;
      return await withServer(topology.edge, start, port, async (program) => {
        const sink = await startViewers(topology, { ...load, tls: load.tls !== null, cycle: 0 });
        try {
          await flowing(sink, load.viewers, 30_000);
          // The first object, and what only it has to wait for.
          await elapse(1_500);
          const delivery = await watch(program, sink, windowMs);
          const firstByte = (share: number): number => quantile(delivery.firstBytes, share);
          const figures = { cpu: delivery.cpu / (delivery.bits / 1e9), p50: firstByte(0.5), p99: firstByte(0.99) };
          return { figures, notes: notesOf(delivery, load, objectsOf(origin).most) };
        } finally {
          await sink.stop();
        }
      });
    } finally {
      await origin.stop();
    }
  };
  return { name: server.name, measure };
}

const QUICK_ORIGIN: Origin = { paceMs: 0, framing: 'length' };

/** Bytes per further viewer of an object that is there already. */
function viewerMemoryContender(topology: Topology, server: Server, many: number): Contender {
  const options = { intervalMs: 500, spreadMs: SPREAD_MS, tls: false, cycle: 1 };
  const measure = async (): Promise<Sample> => {
    const origin = await startOrigin(topology, QUICK_ORIGIN, OBJECT_BYTES);
    try {
      return await withServer(
        topology.edge,
        () => server.start(topology, null),
        HTTP_PORT,
        async (program) => {
          const first = await startViewers(topology, { ...options, viewers: 1 });
          await flowing(first, 1, 30_000);
          await elapse(1_500);
          const before = server.memory(program);
          const others = await startViewers(topology, { ...options, viewers: many });
          await flowing(others, many, 30_000);
          await elapse(1_500);
          const after = server.memory(program);
          await Promise.all([first.stop(), others.stop()]);
          return { figures: { memory: (after - before) / many / 1024 } };
        },
      );
    } finally {
      await origin.stop();
    }
  };
  return { name: server.name, measure };
}

/** Bytes per further object, asked for once by one viewer. */
function objectMemoryContender(topology: Topology, server: Server, many: number): Contender {
  const measure = async (): Promise<Sample> => {
    const origin = await startOrigin(topology, QUICK_ORIGIN, OBJECT_BYTES);
    try {
      return await withServer(
        topology.edge,
        () => server.start(topology, null),
        HTTP_PORT,
        async (program) => {
          const options = { viewers: 1, intervalMs: 50, spreadMs: 0, tls: false, cycle: 0 };
          const sink = await startViewers(topology, options);
          const state = async (objects: number): Promise<{ readonly objects: number; readonly memory: number }> => {
            await poll(() => objectsOf(origin).objects >= objects, 30_000, `${objects} objects: ${sink.tail()}`);
            return { objects: objectsOf(origin).objects, memory: server.memory(program) };
          };
          const before = await state(20);
          const after = await state(before.objects + many);
          await sink.stop();
          return { figures: { memory: (after.memory - before.memory) / (after.objects - before.objects) / 1024 } };
        },
      );
    } finally {
      await origin.stop();
    }
  };
  return { name: server.name, measure };
}

function figuresOf(name: string): Figure[] {
  return [
    { case: name, unit: 'CPU s/Gbit', better: 'less', key: 'cpu' },
    { case: `${name}, first byte p50`, unit: 'ms', better: 'less', key: 'p50' },
    { case: `${name}, first byte p99`, unit: 'ms', better: 'less', key: 'p99' },
  ];
}

interface Case extends Load {
  readonly name: string;
}

function cases(quick: boolean, certificate: Certificate): Case[] {
  const slow: Origin = { paceMs: 1_000, framing: 'length' };
  // An object that takes a second leaves a second for those that come late to it.
  const [fresh, growing] = [
    { origin: QUICK_ORIGIN, intervalMs: 1_000, spreadMs: SPREAD_MS, tls: null },
    { origin: slow, intervalMs: 2_000, spreadMs: SPREAD_MS, tls: null },
  ];
  const counts = quick ? [50] : [50, 200, 500];
  const few = quick ? 50 : 200;
  const many = quick ? 50 : 500;
  return [
    ...counts.map((viewers) => ({ ...fresh, viewers, name: `quick origin, ${viewers} viewers` })),
    { ...fresh, viewers: many, spreadMs: 0, name: `quick origin, ${many} viewers at once` },
    ...counts.map((viewers) => ({ ...growing, viewers, name: `slow origin, ${viewers} viewers` })),
    {
      ...growing,
      origin: { ...slow, framing: 'chunked' },
      viewers: few,
      name: `slow chunked origin, ${few} viewers`,
    },
    ...counts.map((viewers) => ({
      ...fresh,
      viewers,
      tls: certificate,
      name: `TLS, quick origin, ${viewers} viewers`,
    })),
    { ...growing, viewers: few, tls: certificate, name: `TLS, slow origin, ${few} viewers` },
  ];
}

function deliveryGroup(topology: Topology, one: Case, windowMs: number): Group {
  const contender = (server: Server): Contender => deliveryContender(topology, server, one, windowMs);
  const peers = one.tls === null ? [nginx(topology), varnish] : [nginx(topology)];
  const pace = one.origin.paceMs === 0 ? 'at once' : `over ${one.origin.paceMs} ms`;
  const load = `a new object of 1 MiB every ${one.intervalMs} ms, all viewers within ${one.spreadMs} ms, origin sends ${pace} (${one.origin.framing})`;
  const tls = one.tls === null ? [] : ['TLS 1.3, TLS_AES_128_GCM_SHA256, X25519, connections made before'];
  return {
    figures: figuresOf(one.name),
    ours: contender(sluice),
    limit: contender(bare),
    peers: peers.map(contender),
    notes: [load, ...tls],
  };
}

function memoryGroups(topology: Topology, quick: boolean): Group[] {
  const peers = [nginx(topology), varnish];
  const group = (name: string, contender: (server: Server) => Contender, notes: readonly string[]): Group => ({
    figures: [{ case: name, unit: 'KiB', better: 'less', key: 'memory' }],
    ours: contender(sluice),
    limit: contender(bare),
    peers: peers.map(contender),
    notes: ['proportional set size of the processes, and nginx’s store, without the kernel’s socket buffers', ...notes],
  });
  const [viewers, objects] = quick ? [50, 50] : [500, 200];
  return [
    group('memory per viewer', (server) => viewerMemoryContender(topology, server, viewers), [
      'varnish: pages of its log that are written for the first time included',
    ]),
    group('memory per object', (server) => objectMemoryContender(topology, server, objects), [
      'the object of 1024 KiB included',
    ]),
  ];
}

/** Objects fetched once and handed out many times, also while they grow. */
export const httpObjects: Bench = {
  name: 'http-objects',
  summary: 'live segments through a cache: CPU per delivered gigabit, first byte, memory, beside nginx and Varnish',
  rounds: 3,
  async prepare(lab, { quick }) {
    const topology = await buildTopology(lab);
    const all = cases(quick, await makeCertificate(lab));
    const groups = all.map((one) => deliveryGroup(topology, one, quick ? 4_000 : 8_000));
    return [...groups, ...memoryGroups(topology, quick)];
  },
};
