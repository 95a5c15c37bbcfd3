import { posix } from 'node:path';
import { z } from 'zod';
import { program } from './lib/compile.js';
import type { Lab } from './lib/lab.js';
import { during, poll } from './lib/poll.js';
import { describeExit } from './lib/process.js';
import { expect, type Report } from './lib/report.js';
import type { Scenario } from './lib/scenario.js';
import { need } from './lib/tools.js';
import { Audience, losses, type ViewersLine } from './lib/viewers.js';
import { ATTACKS, FORBIDDEN, GOOD_PATH } from './parts/attacks.js';
import { EVIL, LARGEST } from './parts/evil.js';
import { LOW, ORIGIN_PORT, startOrigin } from './parts/origin.js';
import { Edge, VIEWERS_PORT } from './parts/sluice.js';
import { buildFrontTopology, EDGE_ADDRESS, type FrontTopology, ORIGIN_ADDRESS } from './topology.js';

const HOSTILE_PORT = 8003;
const ATTACK_SECONDS = 30;
const IDLE = 10_000;
const IDLE_TIMEOUT_S = 15;
/** Room for the others beside the idle ones. */
const MAX_CONNECTIONS = IDLE + 200;
/** What a connection that waits may cost the daemon. */
const KIB_PER_CONNECTION = 8;
const CONTINUOUS = 3;

interface Stage extends FrontTopology {
  readonly daemon: Edge;
  readonly audience: Audience;
}

async function setUp(lab: Lab): Promise<Stage> {
  const topology = await buildFrontTopology(lab);
  await startOrigin(topology.origin, [LOW]);
  const script = [process.execPath, program('hostile-origin'), String(HOSTILE_PORT)];
  const hostile = await topology.origin.spawn('hostile-origin', script);
  await hostile.waitForLine(/^ready$/m, 10_000);
  const live = `http://${ORIGIN_ADDRESS}:${ORIGIN_PORT}/`;
  const site = (id: string, folder: string) => ({
    id,
    origin: `http://${ORIGIN_ADDRESS}:${HOSTILE_PORT}/${folder}/`,
    timeouts: { head: '2s', idle: '2s' },
  });
  const rendition = { id: 'main', url: `${live}${LOW}.ts`, buffer: { memory: '4MiB', delay: '300ms' } };
  const daemon = await Edge.start(
    topology.edge,
    [{ id: 'good', renditions: [rendition] }],
    {
      max_connections: MAX_CONNECTIONS,
      header_timeout: '2s',
      idle_timeout: `${IDLE_TIMEOUT_S}s`,
      stall_timeout: '3s',
      send_buffer: '64KiB',
    },
    {
      objects: { largest: `${LARGEST}B` },
      sites: [site('ok', 'base'), site('evil', 'evil'), { id: 'tv', origin: live }],
    },
  );
  await daemon.ready(30_000);
  const audience = await Audience.start(topology.viewers, 'good-viewers', {
    server: EDGE_ADDRESS,
    port: VIEWERS_PORT,
    continuous: { '/live/good/main.ts': CONTINUOUS },
    hls: { [`/tv/${LOW}.m3u8`]: 5 },
  });
  const watched = async () => (await audience.now()).continuous.receiving === CONTINUOUS;
  await poll(watched, 15_000, 'the good channel to be watched');
  return { ...topology, daemon, audience };
}

const alive = ({ daemon }: Stage) =>
  expect(daemon.child.running, `sluice run ended: ${describeExit(daemon.child.exit)}: ${daemon.child.tail()}`);

const seen = z.record(z.string(), z.record(z.string(), z.number()));

/** 3,000 times the same status is written once. */
const brief = (outcome: string) =>
  outcome.replace(/\b(\d{3} )\1{9,}/g, (all, one: string) => `${all.length / one.length} × ${one}`);

async function judge(report: Report, group: string, outcomes: z.infer<typeof seen>): Promise<void> {
  await report.step(group, () => {
    const rows = ATTACKS.filter((one) => one.group === group).map(({ name, expected }) => {
      const found = Object.entries(outcomes[`${group}: ${name}`] ?? { 'not played': 1 });
      const how = found.map(([outcome, times]) => `${brief(outcome)} (${times}×)`).join(', ');
      return { ok: found.every(([outcome]) => expected.test(outcome)), line: `${name}: ${how}`, expected };
    });
    const wrong = rows.filter((row) => !row.ok).map((row) => `${row.line}, expected ${String(row.expected)}`);
    expect(wrong.length === 0, wrong.join('; '));
    return rows.map((row) => row.line).join('; ');
  });
}

/** Median of a part of the samples, in MiB. */
function median(samples: readonly number[], from: number, to: number): number {
  const part = samples.slice(Math.floor(samples.length * from), Math.ceil(samples.length * to)).sort((a, b) => a - b);
  return (part[Math.floor(part.length / 2)] ?? Number.NaN) / 1_024;
}

async function attack(stage: Stage, report: Report): Promise<void> {
  const command = [
    process.execPath,
    program('http-attacks'),
    EDGE_ADDRESS,
    String(VIEWERS_PORT),
    String(ATTACK_SECONDS),
  ];
  const child = await stage.viewers.spawn('http-attacks', command);
  const samples: number[] = [];
  const ended = () => {
    alive(stage);
    samples.push(stage.daemon.residentKiB());
    return !child.running;
  };
  await poll(ended, (ATTACK_SECONDS + 90) * 1_000, 'the attacks to end', 250);
  const outcomes = seen.parse(JSON.parse(child.stdout()));
  for (const group of new Set(ATTACKS.map((one) => one.group))) await judge(report, group, outcomes);
  await report.step('memory is flat', () => {
    const [early, late] = [median(samples, 0, 0.25), median(samples, 0.75, 1)];
    const figure = `resident ${early.toFixed(1)} MiB in the first quarter, ${late.toFixed(1)} MiB in the last, ${samples.length} samples`;
    expect(late <= early + Math.max(12, early * 0.1), figure);
    return figure;
  });
}

async function hostileOrigin(stage: Stage, report: Report): Promise<void> {
  await report.step('answers of a hostile origin', async () => {
    const command = [process.execPath, program('evil-viewer'), EDGE_ADDRESS, String(VIEWERS_PORT)];
    const before = stage.daemon.residentKiB();
    const { stdout } = await stage.viewers.must(command, { timeoutMs: 60_000 });
    alive(stage);
    const outcomes = z.record(z.string(), z.string()).parse(JSON.parse(stdout));
    const rows = EVIL.map(({ path, expected }) => {
      const line = `${path}: ${outcomes[path]}`;
      return { ok: expected.test(outcomes[path] ?? ''), line, expected };
    });
    const wrong = rows.filter((row) => !row.ok).map((row) => `${row.line}, expected ${String(row.expected)}`);
    expect(wrong.length === 0, wrong.join('; '));
    const grown = (stage.daemon.residentKiB() - before) / 1_024;
    // All at once, each may fill an object; a bomb of 64 MiB, or a GiB of head, is more than that.
    expect(grown < 48, `${grown.toFixed(0)} MiB more than before`);
    return `${rows.map((row) => row.line).join('; ')}; ${grown.toFixed(0)} MiB more than before`;
  });
  await report.step('the origin is asked for nothing outside its base', async () => {
    const answer = await stage.origin.getJson(`http://127.0.0.1:${HOSTILE_PORT}/asked`);
    const asked = z.array(z.string()).parse(answer);
    // As an origin would read it that undoes the coding once and resolves dot segments after that.
    const read = (path: string) =>
      posix.normalize(decodeURIComponent(path.split('?', 1)[0] ?? '').replaceAll('\\', '/'));
    const inside = (path: string) => /^\/(base|evil)\//.test(read(path)) && !path.includes(FORBIDDEN);
    const outside = asked.filter((path) => !inside(path));
    expect(outside.length === 0, outside.join(' '));
    return `${asked.length} paths, all below /base/ and /evil/`;
  });
}

const NOBODY = '{"statuses":{},"open":0,"ended":0}';
const crowdLine = z.object({ statuses: z.record(z.string(), z.number()), open: z.number(), ended: z.number() });

async function idleCrowd(stage: Stage, report: Report): Promise<void> {
  await report.step(`${IDLE} idle connections`, async () => {
    const before = stage.daemon.residentKiB();
    const start = (name: string, count: number) =>
      stage.viewers.spawn(name, [
        process.execPath,
        program('idle-crowd'),
        EDGE_ADDRESS,
        String(VIEWERS_PORT),
        GOOD_PATH,
        String(count),
      ]);
    const crowd = await start('idle-crowd', IDLE);
    const now = () => crowdLine.parse(JSON.parse(crowd.lines().at(-1) ?? NOBODY));
    await poll(
      () => now().statuses['200'] === IDLE,
      60_000,
      () => JSON.stringify(now()),
    );
    const grown = stage.daemon.residentKiB() - before;
    expect(
      (await stage.viewers.get(`http://${EDGE_ADDRESS}:${VIEWERS_PORT}${GOOD_PATH}`)).status === 200,
      'a new viewer is not served',
    );
    const more = await start('too-many', 2 * (MAX_CONNECTIONS - IDLE));
    const rest = () => crowdLine.parse(JSON.parse(more.lines().at(-1) ?? NOBODY));
    await poll(
      () => (rest().statuses['200'] ?? 0) + rest().ended >= 2 * (MAX_CONNECTIONS - IDLE),
      IDLE_TIMEOUT_S * 1_000,
      () => `those above the limit to be refused: ${JSON.stringify(rest())}`,
    );
    const refused = rest();
    expect((refused.statuses['503'] ?? 0) > 0, `nobody was told why: ${JSON.stringify(refused)}`);
    await poll(
      () => now().ended === IDLE,
      (IDLE_TIMEOUT_S + 20) * 1_000,
      () => `the idle ones to be closed: ${JSON.stringify(now())}`,
    );
    await more.stop();
    await crowd.stop();
    expect(grown < IDLE * KIB_PER_CONNECTION, `${(grown / 1_024).toFixed(1)} MiB more than before`);
    return `+${(grown / 1_024).toFixed(1)} MiB; a new viewer served; above the limit ${JSON.stringify(refused.statuses)} of ${2 * (MAX_CONNECTIONS - IDLE)}, the others closed unheard; all idle ones closed after ${IDLE_TIMEOUT_S} s`;
  });
}

async function control(stage: Stage, report: Report, before: ViewersLine): Promise<void> {
  await report.step('everyone else was served', async () => {
    const after = await stage.audience.next();
    const lost = losses(before, after);
    expect(lost === '', lost);
    const segments = after.hls.segments - before.hls.segments;
    expect(segments > 0, 'no segment came through the site');
    return `${after.continuous.packets - before.continuous.packets} TS packets and ${segments} segments without an error`;
  });
}

/** All that clients and origins do to an HTTP server: each refused for a reason that is told, and nobody else notices. */
export const httpAttacks: Scenario = {
  name: 'http-attacks',
  summary:
    'smuggling, traversal, floods, bombs, slow and idle clients, and an origin as bad as they, while others watch',
  async play(lab, report) {
    need('ip', 'g++');
    const stage = await setUp(lab);
    const before = await stage.audience.next();
    await attack(stage, report);
    await hostileOrigin(stage, report);
    await idleCrowd(stage, report);
    await during(1_000, () => alive(stage));
    await control(stage, report, before);
  },
};
