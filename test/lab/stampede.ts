import { z } from 'zod';
import { program } from './lib/compile.js';
import type { Host } from './lib/host.js';
import type { Lab } from './lib/lab.js';
import { poll } from './lib/poll.js';
import { expect, type Report } from './lib/report.js';
import type { Scenario } from './lib/scenario.js';
import { type StampedeResult, stampede, stampedeResult } from './lib/stampede.js';
import { need } from './lib/tools.js';
import { Audience, losses } from './lib/viewers.js';
import { bodyName, coldBody } from './parts/cold.js';
import { LOW, ORIGIN_PORT, startOrigin } from './parts/origin.js';
import { Edge, VIEWERS_PORT } from './parts/sluice.js';
import { buildFrontTopology, EDGE_ADDRESS, type FrontTopology, ORIGIN_ADDRESS } from './topology.js';

const COLD_PORT = 8002;
const CLIENTS = 10_000;
/** What a waiting client may cost the daemon, its part of the JavaScript heap's breath included. */
const KIB_PER_CLIENT = 16;

interface Stage extends FrontTopology {
  readonly daemon: Edge;
  readonly audience: Audience;
  /** KiB before the first crowd. */
  readonly calm: number;
  /** Most KiB of each crowd. */
  readonly peaks: number[];
}

async function setUp(lab: Lab): Promise<Stage> {
  const topology = await buildFrontTopology(lab);
  await startOrigin(topology.origin, [LOW]);
  const cold = await topology.origin.spawn('cold-origin', [
    process.execPath,
    program('cold-origin'),
    String(COLD_PORT),
  ]);
  await cold.waitForLine(/^ready$/m, 10_000);
  const live = `http://${ORIGIN_ADDRESS}:${ORIGIN_PORT}/`;
  const rendition = { id: 'main', url: `${live}${LOW}.ts`, buffer: { memory: '4MiB', delay: '300ms' } };
  const daemon = await Edge.start(
    topology.edge,
    [{ id: 'good', renditions: [rendition] }],
    { max_connections: CLIENTS + 100, header_timeout: '60s' },
    {
      sites: [
        { id: 'cold', origin: `http://${ORIGIN_ADDRESS}:${COLD_PORT}/` },
        { id: 'tv', origin: live },
      ],
    },
  );
  await daemon.ready(30_000);
  const audience = await Audience.start(topology.viewers, 'good-viewers', {
    server: EDGE_ADDRESS,
    port: VIEWERS_PORT,
    continuous: { '/live/good/main.ts': 5 },
    hls: { '/live/good/main/index.m3u8': 5, [`/tv/${LOW}.m3u8`]: 5 },
  });
  const watched = async () => (await audience.now()).continuous.receiving === 5;
  await poll(watched, 15_000, 'the good channel to be watched');
  return { ...topology, daemon, audience, calm: daemon.residentKiB(), peaks: [] };
}

async function requests({ origin }: Stage, path: string): Promise<number> {
  const all = await origin.getJson(`http://127.0.0.1:${COLD_PORT}/counts`);
  return z.record(z.string(), z.number()).parse(all)[path] ?? 0;
}

/** All ask at once for a path of the cold site. */
async function crowd(stage: Stage, path: string, leadMs = 0): Promise<StampedeResult> {
  const options = { address: EDGE_ADDRESS, port: VIEWERS_PORT, path: `/cold${path}`, clients: CLIENTS, leadMs };
  const child = await stage.viewers.spawn('stampede', await stampede({ ...options, timeoutMs: 60_000 }));
  let peak = 0;
  const ended = () => {
    peak = Math.max(peak, stage.daemon.residentKiB());
    return !child.running;
  };
  await poll(ended, 120_000, 'the stampede to end', 100);
  stage.peaks.push(peak);
  return stampedeResult.parse(JSON.parse(child.stdout()));
}

/** Every client got the body of this generation, and the origin was asked so often. */
async function expectAll(stage: Stage, path: string, result: StampedeResult, generation: number): Promise<string> {
  const asked = await requests(stage, path);
  const figure = `${JSON.stringify(result)}, ${asked} requests to the origin`;
  expect(asked === generation, figure);
  expect(result.statuses['200'] === CLIENTS, figure);
  expect(result.bodies[bodyName(coldBody(path, generation))] === CLIENTS, figure);
  return `${CLIENTS} clients, ${asked === 1 ? '1 request' : `${asked} requests so far`} to the origin, one body; first byte after ${result.firstByteMs} ms, last after ${result.lastEndMs} ms`;
}

/** One who asks when all is over. */
async function later(host: Host, path: string): Promise<number> {
  return (await host.get(`http://${EDGE_ADDRESS}:${VIEWERS_PORT}/cold${path}`).catch(() => ({ status: 0 }))).status;
}

async function goodCrowds(stage: Stage, report: Report): Promise<void> {
  await report.step('one cold object', async () => {
    return expectAll(stage, '/quick/a', await crowd(stage, '/quick/a'), 1);
  });
  await report.step('the first asker is killed when the others have asked', async () => {
    return expectAll(stage, '/expire/lead', await crowd(stage, '/expire/lead', 100), 1);
  });
  await report.step('the origin stalls for a second before the head and in the body', async () => {
    return expectAll(stage, '/stall/a', await crowd(stage, '/stall/a'), 1);
  });
  await report.step('the object expires while it comes', async () => {
    return expectAll(stage, '/expire/a', await crowd(stage, '/expire/a', 2_000), 1);
  });
  await report.step('the object has expired when all ask again', async () => {
    return expectAll(stage, '/expire/a', await crowd(stage, '/expire/a'), 2);
  });
}

async function badCrowds(stage: Stage, report: Report): Promise<void> {
  await report.step('the origin truncates', async () => {
    const result = await crowd(stage, '/truncate/a');
    const asked = await requests(stage, '/truncate/a');
    const figure = `${JSON.stringify(result)}, ${asked} requests to the origin`;
    // With a Content-Length, the end of the connection says that something is missing.
    expect(result.lost === CLIENTS && asked === 1, figure);
    await later(stage.viewers, '/truncate/a');
    const after = await requests(stage, '/truncate/a');
    expect(after === 2, `the next asker made ${after - asked} requests`);
    return `${CLIENTS} answers cut at their place by 1 request to the origin; the next asker begins 1 new`;
  });
  await report.step('the origin answers 500', async () => {
    const result = await crowd(stage, '/error/a');
    const asked = await requests(stage, '/error/a');
    const figure = `${JSON.stringify(result)}, ${asked} requests to the origin`;
    expect(result.statuses['500'] === CLIENTS && asked === 1, figure);
    const status = await later(stage.viewers, '/error/a');
    const after = await requests(stage, '/error/a');
    expect(status === 500 && after === 2, `the next asker got ${status} and made ${after - asked} requests`);
    return `${CLIENTS} answers 500 by 1 request to the origin; the next asker begins 1 new`;
  });
}

/** Crowds at one cold object: one request to the origin whatever happens meanwhile. */
export const stampedeLab: Scenario = {
  name: 'stampede',
  summary: `${CLIENTS} clients at once on one cold object, with an origin that stalls, truncates, fails, expires`,
  async play(lab, report) {
    need('ip', 'g++');
    const stage = await setUp(lab);
    const before = await stage.audience.next();
    await goodCrowds(stage, report);
    await badCrowds(stage, report);
    await report.step('memory is bounded', () => {
      const mebibytes = (kib: number) => (kib / 1_024).toFixed(0);
      const figure = `resident ${mebibytes(stage.calm)} MiB before, at most ${stage.peaks.map(mebibytes).join(', ')} MiB in the crowds`;
      expect(Math.max(...stage.peaks) - stage.calm < CLIENTS * KIB_PER_CLIENT, figure);
      return figure;
    });
    await report.step('viewers of a channel and of another site lose nothing', async () => {
      const after = await stage.audience.next();
      const lost = losses(before, after);
      expect(lost === '', lost);
      return `${after.continuous.packets - before.continuous.packets} TS packets and ${after.hls.segments - before.hls.segments} segments without an error`;
    });
  },
};
