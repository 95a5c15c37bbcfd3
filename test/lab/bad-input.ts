import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { program, ROOT } from './lib/compile.js';
import type { Lab } from './lib/lab.js';
import { during, poll } from './lib/poll.js';
import { describeExit, type ExecResult } from './lib/process.js';
import { Random } from './lib/random.js';
import { expect, type Report } from './lib/report.js';
import type { Scenario } from './lib/scenario.js';
import { need } from './lib/tools.js';
import { Audience, losses } from './lib/viewers.js';
import { LOW, ORIGIN_PORT, startOrigin } from './parts/origin.js';
import { Edge, type RenditionStatus, sluice, VIEWERS_PORT } from './parts/sluice.js';
import { buildTopology, EDGE_ADDRESS, ORIGIN_ADDRESS, type Topology } from './topology.js';

const BAD_PORT = 8001;
const NOISE_PORT = 6_000;
const ATTACK_SECONDS = 60;
const WARM_UP_MS = 20_000;
/** What is not damaged has to be taken, else the refusals prove nothing. */
const CONTROL = 'undamaged';
const CAPTURES = 24;
const CONFIGURATIONS = 40;

/** Paths of the bad origin; each is the source of one channel. */
const BAD_SOURCES = [
  'truncated.m3u8',
  'noise.m3u8',
  'random.ts',
  'oversized.m3u8',
  'page-stream.ts',
  'page-playlist.m3u8',
  'garbage.m3u8',
  'gzip.m3u8',
  'redirect.m3u8',
  'head.m3u8',
  'protocol.m3u8',
  'chunks.ts',
  'silent.ts',
  'status.m3u8',
  'spoiled.ts',
] as const;

const channelOf = (path: string) => path.slice(0, path.indexOf('.'));

function channels(): object[] {
  const main = (id: string, url: string) => ({
    id,
    renditions: [{ id: 'main', url, buffer: { memory: '4MiB', delay: '300ms' } }],
  });
  return [
    main('good', `http://${ORIGIN_ADDRESS}:${ORIGIN_PORT}/${LOW}.ts`),
    ...BAD_SOURCES.map((path) => main(channelOf(path), `http://${ORIGIN_ADDRESS}:${BAD_PORT}/${path}`)),
    main('datagrams', `udp://10.10.1.1:${NOISE_PORT}`),
  ];
}

/** What the edge says about a bad source: an error by its code, or drops by their counters; undefined when it says nothing. */
function verdict({ state, code, input, ring, source }: RenditionStatus): string | undefined {
  const counted = Object.entries({
    syncErrors: input.syncErrors,
    continuityErrors: input.continuityErrors,
    discontinuities: input.discontinuities,
    fullDrops: ring.fullDrops,
  }).filter(([, count]) => count > 0);
  if (code !== null) return `${state} ${code}`;
  if (counted.length > 0) return counted.map(([name, count]) => `${name} ${count}`).join(' ');
  return source.retries > 0 ? `${source.retries} retries` : undefined;
}

async function badSources(report: Report, edge: Edge): Promise<void> {
  for (const id of [...BAD_SOURCES.map(channelOf), 'datagrams']) {
    await report.step(`bad source: ${id}`, async () => {
      const seen = await poll(
        async () => verdict(await edge.rendition(id, 'main')),
        20_000,
        'an error or a counted drop',
        500,
      );
      return seen;
    });
  }
}

const outcomes = z.record(z.string(), z.record(z.string(), z.number()));

/** Attacks that are complete requests, complete nonsense, or slower than `header_timeout`: the server has to answer or close. */
const MUST_END = [
  'long-line',
  'long-head',
  'many-fields',
  'method',
  'path',
  'smuggle',
  'half-open',
  'half-request',
  'slowloris',
];
/** What the server may say about a request it does not understand (RFC 9110 15.6.2, 15.6.6); other answers of 5xx are its own fault. */
const NOT_UNDERSTOOD = ['501', '505'];

function judgeAttacks(text: string): string {
  const all = outcomes.parse(JSON.parse(text));
  for (const name of MUST_END)
    expect((all[name]?.['held'] ?? 0) === 0, `${name}: neither answered nor closed: ${JSON.stringify(all[name])}`);
  for (const name of ['long-line', 'long-head', 'many-fields', 'method', 'smuggle']) {
    expect((all[name]?.['200'] ?? 0) === 0, `${name} was answered 200`);
  }
  const played = Object.values(all)
    .flatMap((one) => Object.values(one))
    .reduce((sum, one) => sum + one, 0);
  const statuses = Object.values(all).flatMap((one) => Object.entries(one));
  const by = (test: (how: string) => boolean) =>
    statuses.filter(([how]) => test(how)).reduce((sum, [, count]) => sum + count, 0);
  expect(by((how) => how.startsWith('5') && !NOT_UNDERSTOOD.includes(how)) === 0, `answers of 5xx: ${text}`);
  return `${played} attacks of ${Object.keys(all).length} kinds: ${by((how) => /^[45]/.test(how))} refused by status, ${by((how) => how === 'closed')} closed`;
}

/** Median of a part of the samples, in KiB. */
function median(samples: readonly number[], from: number, to: number): number {
  const part = samples.slice(Math.floor(samples.length * from), Math.ceil(samples.length * to)).sort((a, b) => a - b);
  return part[Math.floor(part.length / 2)] ?? Number.NaN;
}

/** Everything bad at once while good viewers watch. */
async function attack({ report, topology, edge }: Stage): Promise<void> {
  const { viewers } = topology;
  const audience = await Audience.start(viewers, 'good-viewers', {
    server: EDGE_ADDRESS,
    port: VIEWERS_PORT,
    continuous: { '/live/good/main.ts': 10 },
    hls: { '/live/good/main/index.m3u8': 5 },
  });
  await poll(async () => (await audience.now()).continuous.receiving === 10, 15_000, 'the good channel to be watched');
  await badSources(report, edge);
  const before = await audience.next();
  const samples: number[] = [];
  const sample = () => {
    expect(edge.child.running, `sluice run ended: ${describeExit(edge.child.exit)}: ${edge.child.tail()}`);
    samples.push(edge.residentKiB());
  };
  const seconds = (WARM_UP_MS / 1_000 + ATTACK_SECONDS).toString();
  const clients = await viewers.spawn('bad-clients', [
    process.execPath,
    program('bad-clients'),
    EDGE_ADDRESS,
    String(VIEWERS_PORT),
    seconds,
  ]);
  await report.step('the daemon lives through all of it at once', async () => {
    await during(WARM_UP_MS, () => expect(edge.child.running, 'sluice run ended'));
    await during(ATTACK_SECONDS * 1_000, sample);
    expect(await edge.answers('/healthz'), 'it does not answer');
    return `alive after ${seconds} s of ${BAD_SOURCES.length + 1} bad sources and 16 kinds of bad clients`;
  });
  await report.step('bad HTTP requests are answered or closed', async () => {
    await poll(() => !clients.running, 15_000, 'the bad clients to end');
    return judgeAttacks(clients.stdout());
  });
  await report.step('memory is flat', () => {
    const [early, late] = [median(samples, 0, 0.25), median(samples, 0.75, 1)];
    const figure = `resident ${(early / 1_024).toFixed(1)} MiB in the first quarter, ${(late / 1_024).toFixed(1)} MiB in the last, peak ${(Math.max(...samples) / 1_024).toFixed(1)} MiB, ${samples.length} samples in ${ATTACK_SECONDS} s`;
    // A JavaScript heap breathes: half a percent a second would be 30 percent over the run.
    expect(late <= early + Math.max(8 * 1_024, early * 0.05), figure);
    return figure;
  });
  await report.step("the other channel's viewers notice nothing", async () => {
    const after = await audience.next();
    const lost = losses(before, after);
    expect(lost === '', lost);
    return `${after.continuous.packets - before.continuous.packets} TS packets and ${after.hls.segments - before.hls.segments} segments without an error`;
  });
  await audience.child.stop();
}

/** A sentence for a person: `CODE: …` or `FILE:LINE:COLUMN: …`; no stack. */
function expectClearError(what: string, { code, signal, stdout, stderr }: ExecResult, codes: readonly number[]): void {
  expect(signal === null, `${what}: ended by ${signal}`);
  expect(code !== null && codes.includes(code), `${what}: exit code ${code}: ${stderr.slice(0, 300)}`);
  expect(!/^ {4}at /m.test(stderr + stdout), `${what}: a stack trace: ${stderr.slice(0, 400)}`);
  if (code !== 0) expect(/[A-Z]+_[A-Z]+|:\d+:\d+: /.test(stderr), `${what}: no clear error: ${stderr.slice(0, 300)}`);
}

async function badCaptures({ lab, report, topology }: Stage): Promise<void> {
  const good = readFileSync(join(ROOT, 'fixtures/pcap', `${LOW}.pcap`));
  const random = new Random(3);
  const variants: [name: string, bytes: Buffer][] = [
    ['empty', Buffer.alloc(0)],
    ['random', random.bytes(5_000)],
    ['text', Buffer.from('#EXTM3U\n'.repeat(100))],
    ['header only', good.subarray(0, 24)],
    ['huge packet length', Buffer.concat([good.subarray(0, 24), Buffer.alloc(16, 0xff), good.subarray(40, 4_000)])],
  ];
  while (variants.length < CAPTURES) {
    const size = random.below(2) === 0 ? random.below(200) : random.below(good.length);
    const name = `${variants.length}`;
    variants.push(
      random.below(2) === 0
        ? [`cut at ${size}`, good.subarray(0, size)]
        : [`damaged ${name}`, random.damage(good, 200)],
    );
  }
  await report.step('damaged captures', async () => {
    let refused = 0;
    for (const [name, bytes] of [[CONTROL, good] as const, ...variants]) {
      const file = lab.file('damaged.pcap');
      writeFileSync(file, bytes);
      const child = await topology.origin.spawn(
        'replay-damaged',
        sluice('replay', file, '--serve', '--listen', '127.0.0.1:8002'),
      );
      // What can still be played is played until it is stopped.
      const until = performance.now() + 4_000;
      await poll(
        () => !child.running || child.stdout() !== '' || performance.now() > until,
        5_000,
        'replay to begin or to end',
      );
      const exit = await child.stop();
      expectClearError(
        name,
        { ...exit, stdout: child.stdout(), stderr: child.stderr() },
        name === CONTROL ? [0] : [0, 1, 2],
      );
      if (exit.code !== 0) refused++;
    }
    return `${variants.length} captures: ${refused} refused or their damage told, ${variants.length - refused} played as they are`;
  });
}

function badConfigurations(random: Random): [name: string, text: Buffer][] {
  const good = readFileSync(join(ROOT, 'config/sluice.yaml'));
  const anchors = Array.from({ length: 9 }, (_, i) => `a${i + 1}: &a${i + 1} [${Array(9).fill(`*a${i}`).join(',')}]`);
  const variants: [string, Buffer][] = [
    ['empty', Buffer.alloc(0)],
    ['random', random.bytes(3_000)],
    ['deep', Buffer.from('['.repeat(20_000))],
    ['aliases', Buffer.from(`a0: &a0 x\n${anchors.join('\n')}\nchannels: *a9\n`)],
    ['list', Buffer.from('- 1\n- 2\n')],
    ['wrong types', Buffer.from('admin: 7\nlog: [x]\nplane: {memory: lots}\nhttp: {listen: 99}\nchannels: {a: b}\n')],
    ['unknown keys', Buffer.from('channel: []\nhtpp: {}\n')],
    ['prototype', Buffer.from('__proto__: {x: 1}\nconstructor: 1\nchannels: []\n')],
  ];
  while (variants.length < CONFIGURATIONS) {
    const cut = random.below(3) === 0;
    variants.push(
      cut
        ? [`cut ${variants.length}`, good.subarray(0, random.below(good.length))]
        : [`damaged ${variants.length}`, random.damage(good, 6)],
    );
  }
  return variants;
}

async function badConfiguration({ lab, report, topology }: Stage): Promise<void> {
  await report.step('random configurations', async () => {
    let refused = 0;
    const variants = badConfigurations(new Random(4));
    for (const [name, text] of [[CONTROL, readFileSync(join(ROOT, 'config/sluice.yaml'))] as const, ...variants]) {
      const file = lab.file('damaged.yaml');
      writeFileSync(file, text);
      const result = await topology.viewers.exec(sluice('check', '-c', file), { timeoutMs: 15_000 });
      expectClearError(name, result, name === CONTROL ? [0] : [0, 2]);
      if (result.code !== 0) refused++;
    }
    expect(refused >= variants.length / 2, `only ${refused} of ${variants.length} refused`);
    return `${variants.length} configurations: ${refused} refused with a clear error, ${variants.length - refused} still valid`;
  });
}

interface Stage {
  readonly lab: Lab;
  readonly report: Report;
  readonly topology: Topology;
  readonly edge: Edge;
}

async function setUp(lab: Lab, report: Report): Promise<Stage> {
  const topology = await buildTopology(lab);
  await startOrigin(topology.origin, [LOW]);
  const good = `http://127.0.0.1:${ORIGIN_PORT}/${LOW}.ts`;
  const script = [program('bad-origin'), String(BAD_PORT), good, '10.10.1.1', String(NOISE_PORT)];
  const bad = await topology.origin.spawn('bad-origin', [process.execPath, ...script]);
  await bad.waitForLine(/^ready$/m, 10_000);
  const edge = await Edge.start(topology.edge, channels(), { header_timeout: '2s' });
  return { lab, report, topology, edge };
}

/** Whatever comes from outside is an error that is told or a drop that is counted; the daemon and its other viewers go on. */
export const badInput: Scenario = {
  name: 'bad-input',
  summary: 'bad upstreams, playlists, captures, configurations and requests against a daemon that others watch',
  async play(lab, report) {
    need('ip', 'g++');
    const stage = await setUp(lab, report);
    await attack(stage);
    await badCaptures(stage);
    await badConfiguration(stage);
    await report.step('every process ends as asked, none is left', async () => {
      const exit = await stage.edge.child.stop('SIGTERM', 5_000);
      expect(exit.code === 0, `sluice run: ${describeExit(exit)}: ${stage.edge.child.tail()}`);
      await lab.stopChildren();
      const left = await lab.leftovers();
      expect(left.length === 0, `processes left: ${left.join(', ')}`);
      return 'nothing left';
    });
  },
};
