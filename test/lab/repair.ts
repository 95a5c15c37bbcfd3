import { readFileSync, writeFileSync } from 'node:fs';
import { z } from 'zod';
import type { Host } from './lib/host.js';
import type { Lab } from './lib/lab.js';
import type { End } from './lib/link.js';
import { during, poll } from './lib/poll.js';
import type { Child } from './lib/process.js';
import { expect, type Report } from './lib/report.js';
import type { Scenario } from './lib/scenario.js';
import { need } from './lib/tools.js';
import { Audience, losses } from './lib/viewers.js';
import { Capture } from './parts/capture.js';
import { type Comparison, compared, pictures, sentMedia } from './parts/media.js';
import { HIGH, ORIGIN_PORT, startOrigin } from './parts/origin.js';
import { acquisition } from './parts/repair-acquisition.js';
import { dissectParity, dissectRetransmission } from './parts/repair-dissection.js';
import {
  ffmpegSends,
  type Group,
  gstreamerAsks,
  gstreamerReceives,
  gstreamerRepairsByParity,
  gstreamerSends,
  MATRIX,
} from './parts/repair-peers.js';
import { Edge, sluice, VIEWERS_PORT } from './parts/sluice.js';
import { EDGE_ADDRESS, ORIGIN_ADDRESS } from './topology.js';

const RECEIVER_ADDRESS = '10.10.2.2';
const PORT = 5000;
const RETRANSMISSION_PORT = PORT + 8;
/** Of the stream that receivers come to by a burst. */
const ACQUISITION_PORT = RETRANSMISSION_PORT + 10;
/** Where GStreamer takes retransmissions; the port above is where it asks from. */
const ANSWERS_PORT = 5100;
const GROUPS = { columns: '239.10.2.1', both: '239.10.2.2', asked: '239.10.2.3', acquired: '239.10.2.4' } as const;
type GroupName = keyof typeof GROUPS;
/** How long each receiver listens. */
const LISTEN_MS = 10_000;
/** Bytes of two matrices. */
const UNPROTECTED = 2 * MATRIX * MATRIX * 7 * 188;
/** Packets that must have come through, else nothing is proven. */
const LEAST = 500;
/** What columns and rows of 5 x 5 repair but once in some hundred runs: four in a rectangle, or one with both its parities. */
const LIGHT = 0.01;
/** What takes a second request now and then. */
const HEAVY = 0.03;
/** What columns and rows alone do not repair. */
const HEAVIEST = 0.15;
const VIEWERS = 5;

/** origin – edge – a link that loses – receiver. */
interface Stage {
  readonly lab: Lab;
  readonly report: Report;
  readonly edge: Host;
  readonly receiver: Host;
  /** Where packets get lost. */
  readonly lossy: End;
  /** By name of the step's files, for the dissection. */
  readonly captures: Map<string, Capture>;
}

async function build(lab: Lab, report: Report): Promise<Stage> {
  const [origin, edge, receiver] = [await lab.host('origin'), await lab.host('edge'), await lab.host('receiver')];
  await lab.link(
    [origin, { name: 'edge0', addresses: [`${ORIGIN_ADDRESS}/24`] }],
    [edge, { name: 'origin0', addresses: ['10.10.1.1/24'] }],
  );
  const link = await lab.link(
    [edge, { name: 'access0', addresses: [`${EDGE_ADDRESS}/24`] }],
    [receiver, { name: 'eth0', addresses: [`${RECEIVER_ADDRESS}/24`] }],
    { offloads: false },
  );
  await edge.route('224.0.0.0/4', 'access0');
  await receiver.route('224.0.0.0/4', 'eth0');
  await startOrigin(origin, [HIGH]);
  return { lab, report, edge, receiver, lossy: link.b, captures: new Map() };
}

function rendition(id: GroupName, repair: object): object {
  const multicast = { address: GROUPS[id], port: PORT, interface: 'access0', source: EDGE_ADDRESS, ...repair };
  const buffer = { memory: '16MiB', delay: '300ms' };
  return { id, url: `http://${ORIGIN_ADDRESS}:${ORIGIN_PORT}/${HIGH}.ts`, buffer, multicast };
}

const COLUMNS = { columns: MATRIX, rows: MATRIX };
const COLUMNS_AND_ROWS = { ...COLUMNS, row_fec: true };
const CHANNELS = [
  {
    id: 'news',
    renditions: [
      rendition('columns', { fec: COLUMNS }),
      rendition('both', { fec: COLUMNS_AND_ROWS }),
      rendition('asked', {
        fec: COLUMNS_AND_ROWS,
        retransmission: { address: EDGE_ADDRESS, port: RETRANSMISSION_PORT, allow: [`${RECEIVER_ADDRESS}/32`] },
      }),
      rendition('acquired', {
        retransmission: {
          address: EDGE_ADDRESS,
          port: ACQUISITION_PORT,
          allow: [`${RECEIVER_ADDRESS}/32`],
          rapid_acquisition: {},
        },
      }),
    ],
  },
];

function groupOf(id: GroupName): Group {
  return { address: GROUPS[id], port: PORT, device: 'eth0' };
}

interface Listening {
  /** Of its files. */
  readonly name: string;
  /** Address of the media. */
  readonly to: string;
  /** The program that writes what it receives to a file; resolves when it listens. */
  readonly start: (file: string) => Promise<Child>;
  readonly until: () => Promise<void>;
}

interface Listened {
  /** Payload of each media packet, as it was before the loss. */
  readonly sent: Buffer[];
  /** What the receiver wrote, without its ends. */
  readonly file: string;
  /** Packets that the link lost. */
  readonly lost: number;
  readonly compared: Comparison;
  readonly figure: string;
}

/** Lets a receiver listen while everything that is sent to it is captured before it gets lost. */
async function listen(stage: Stage, { name, to, start, until }: Listening): Promise<Listened> {
  need('tcpdump', 'tshark');
  const { lab, receiver, lossy, captures } = stage;
  const file = lab.file(`${name}.ts`);
  const capture = await Capture.start(receiver, 'eth0', 'udp', name);
  captures.set(name, capture);
  const child = await start(file);
  await until();
  await child.stop('SIGINT', 10_000);
  // tcpdump is handed what came once a second.
  await during(1_500);
  await capture.stop();
  const sent = await sentMedia(capture, to, PORT);
  const lost = await lossy.lost();
  // Parity of what was sent just after a receiver came, and just before it left, is not all for it.
  const received = readFileSync(file).subarray(UNPROTECTED, -UNPROTECTED);
  writeFileSync(file, received);
  const result = compared(sent, received, LEAST);
  const figure = `${lost} packets lost on the way, ${result.missing} of ${result.packets} media packets missing in the end`;
  return { sent, file, lost, compared: result, figure };
}

interface FromUs {
  readonly step: string;
  /** Of its files. */
  readonly name: string;
  readonly id: GroupName;
  readonly lose: () => Promise<void>;
  readonly repaired: boolean;
  readonly start: (file: string) => Promise<Child>;
}

/** GStreamer listens to one of our groups: bytes and pictures are those that were sent, or, without repair, are not. */
async function fromUs(stage: Stage, { step, name, id, lose, repaired, start }: FromUs): Promise<void> {
  const { report, receiver, lab } = stage;
  await report.step(step, async () => {
    await lose();
    const until = (): Promise<void> => during(LISTEN_MS);
    const { sent, file, lost, compared: result, figure } = await listen(stage, { name, to: GROUPS[id], start, until });
    const original = lab.file(`${name}-sent.ts`);
    // From the first to the last that was received: what is cut off is cut off in both.
    writeFileSync(original, Buffer.concat(sent.slice(result.first, result.first + result.packets)));
    const all = new Set(await pictures(receiver, original));
    const shown = await pictures(receiver, file);
    const wrong = shown.filter((picture) => !all.has(picture)).length;
    const words = `${figure}; ${wrong} of ${shown.length} pictures damaged`;
    expect(lost > 0 && shown.length > 0, words);
    expect(repaired ? result.missing === 0 && wrong === 0 : result.missing > 0 && wrong > 0, words);
    return words;
  });
}

async function ourParity(stage: Stage): Promise<void> {
  const { receiver, lossy } = stage;
  const media = `ip daddr ${GROUPS.columns} udp dport ${PORT}`;
  const everything = `ip daddr ${GROUPS.both} udp dport ${PORT}-${PORT + 4}`;
  for (const { id, lose, what } of [
    { id: 'columns', lose: () => lossy.loseBursts(MATRIX - 1, 2 * MATRIX * MATRIX, media), what: 'columns, bursts' },
    { id: 'both', lose: () => lossy.lose(LIGHT, everything), what: 'columns and rows, 1 % by chance' },
  ] as const) {
    const common = { id, lose };
    await fromUs(stage, {
      ...common,
      step: `our ${what}: GStreamer without repair shows damaged pictures`,
      name: `${id}-bare`,
      repaired: false,
      start: (file) => gstreamerReceives(receiver, `${id}-bare`, groupOf(id), file),
    });
    await fromUs(stage, {
      ...common,
      step: `our ${what}: rtpst2022-1-fecdec repairs them`,
      name: id,
      repaired: true,
      start: (file) => gstreamerRepairsByParity(receiver, id, groupOf(id), file),
    });
  }
}

async function ourRetransmission(stage: Stage): Promise<void> {
  const { receiver, lossy } = stage;
  // Answers come to where the question came from; gst-launch has a socket for each direction.
  await receiver.nft(`table ip answers {
    chain arriving {
      type filter hook prerouting priority raw;
      udp sport ${RETRANSMISSION_PORT} udp dport ${ANSWERS_PORT + 1} udp dport set ${ANSWERS_PORT}
    }
  }`);
  const target = { address: EDGE_ADDRESS, port: RETRANSMISSION_PORT, back: ANSWERS_PORT };
  await fromUs(stage, {
    step: 'our retransmissions, 3 % by chance: GStreamer asks for what is missing and shows every picture',
    name: 'asked',
    id: 'asked',
    lose: () => lossy.lose(HEAVY, `ip daddr ${GROUPS.asked} udp dport ${PORT}`),
    repaired: true,
    start: (file) => gstreamerAsks(receiver, 'asked', groupOf('asked'), target, file),
  });
}

const summary = z.object({ byParity: z.number(), damaged: z.number() });

/** Some seconds of pictures. */
async function makeClip({ lab, edge }: Stage): Promise<string> {
  need('ffmpeg');
  const file = lab.file('clip.ts');
  const picture = ['-f', 'lavfi', '-i', 'testsrc2=size=480x270:rate=25', '-t', '10'];
  const code = ['-c:v', 'mpeg2video', '-b:v', '2M', '-g', '12', '-muxrate', '2.5M', '-f', 'mpegts', file];
  await edge.must(['ffmpeg', '-nostdin', '-v', 'error', ...picture, ...code], { timeoutMs: 120_000 });
  return file;
}

/** Starts `sluice receive` and waits until it has its port. */
async function startReceiver(host: Host, name: string, options: readonly string[]): Promise<Child> {
  const child = await host.spawn(name, sluice('receive', `rtp://${RECEIVER_ADDRESS}:${PORT}`, ...options));
  const bound = async (): Promise<boolean> => {
    if (!child.running) throw new Error(`${name} ended: ${child.tail()}`);
    return (await host.must(['ss', '-Hlun', `sport = :${PORT}`])).stdout !== '';
  };
  await poll(bound, 10_000, `${name} to listen`);
  return child;
}

type Sends = (host: Host, to: string, port: number, file: string) => Promise<Child>;

/** Another program sends with parity, we receive: byte by byte what was sent, or, without repair, not. */
async function toUs(stage: Stage, name: string, sends: Sends, clip: string, repaired: boolean): Promise<string> {
  const { receiver, edge, lossy } = stage;
  await lossy.lose(LIGHT, `ip daddr ${RECEIVER_ADDRESS} udp dport ${PORT}-${PORT + 4}`);
  let receive: Child | undefined;
  const repair = repaired ? ['--repair', '--playout', '500ms'] : [];
  const {
    lost,
    compared: result,
    figure,
  } = await listen(stage, {
    name,
    to: RECEIVER_ADDRESS,
    start: async (file) => {
      receive = await startReceiver(receiver, name, ['-o', file, '--json', ...repair]);
      return receive;
    },
    until: async () => {
      const sender = await sends(edge, RECEIVER_ADDRESS, PORT, clip);
      const exit = await Promise.race([sender.exited, during(60_000)]);
      expect(exit?.code === 0, `${sender.name} did not end by itself: ${sender.tail()}`);
      await during(1_000); // what is played out later
    },
  });
  const { byParity, damaged } = summary.parse(JSON.parse(receive?.lines().at(-1) ?? '{}'));
  const words = `${figure}; ${byParity} by parity, ${damaged} damaged`;
  // What came itself has not been repaired, even where parity was faster.
  expect(lost > 0 && damaged === 0 && (result.missing === 0) === repaired && byParity <= lost, words);
  return words;
}

async function theirParity(stage: Stage): Promise<void> {
  const clip = await makeClip(stage);
  const senders: [string, string, Sends][] = [
    ['rtpst2022-1-fecenc of GStreamer', 'gstreamer', gstreamerSends],
    ['prompeg of ffmpeg', 'ffmpeg', ffmpegSends],
  ];
  for (const [who, name, sends] of senders) {
    await stage.report.step(`${who}, 1 % by chance: packets are missing without repair`, () =>
      toUs(stage, `${name}-bare`, sends, clip, false),
    );
    await stage.report.step(`${who}, 1 % by chance: sluice receive --repair writes what was sent`, () =>
      toUs(stage, name, sends, clip, true),
    );
  }
}

/** A box behind the link takes the stream in twice, repaired and as it comes, and hands both to viewers. */
async function box(stage: Stage): Promise<void> {
  const { report, receiver, lossy } = stage;
  const url = `rtp://${EDGE_ADDRESS}@${GROUPS.asked}:${PORT}?iface=eth0`;
  const buffer = { memory: '16MiB', delay: '300ms' };
  const repair = { retransmission: `${EDGE_ADDRESS}:${RETRANSMISSION_PORT}`, playout: '500ms' };
  const capture = await Capture.start(receiver, 'eth0', `udp port ${RETRANSMISSION_PORT}`, 'box');
  const edge = await Edge.start(receiver, [
    { id: 'repaired', renditions: [{ id: 'main', url, buffer, repair }] },
    { id: 'bare', renditions: [{ id: 'main', url, buffer }] },
  ]);
  await edge.ready(30_000);
  const watch = (id: string): Promise<Audience> => {
    const continuous = { [`/live/${id}/main.ts`]: VIEWERS };
    return Audience.start(receiver, `viewers-${id}`, { server: '127.0.0.1', port: VIEWERS_PORT, continuous });
  };
  const [repaired, bare] = [await watch('repaired'), await watch('bare')];
  for (const audience of [repaired, bare])
    await poll(async () => (await audience.now()).continuous.receiving === VIEWERS, 15_000, 'viewers to receive', 200);
  await lossy.lose(HEAVIEST, `ip saddr ${EDGE_ADDRESS} meta l4proto udp`);
  const before = [await repaired.next(), await bare.next()] as const;
  await during(2 * LISTEN_MS);
  const after = [await repaired.next(), await bare.next()] as const;
  const lost = await lossy.lost();
  await report.step('a box behind the link, 15 % of everything by chance: its viewers lose nothing', () => {
    const trouble = losses(before[0], after[0]);
    const packets = after[0].continuous.packets - before[0].continuous.packets;
    const errors = after[1].continuous.continuityErrors - before[1].continuous.continuityErrors;
    expect(trouble === '', trouble);
    expect(
      lost > 0 && packets > LEAST && errors > 0,
      `${lost} lost, ${packets} TS packets, ${errors} errors unrepaired`,
    );
    return `${lost} packets lost on the way, ${packets} TS packets at ${VIEWERS} viewers without an error; ${errors} continuity errors where nothing is repaired`;
  });
  await lossy.heal();
  await capture.stop();
  stage.captures.set('box', capture);
  await repaired.child.stop();
  await bare.child.stop();
  await edge.child.stop();
}

function comeByBurst({ lab, report, edge, receiver, lossy }: Stage): Promise<void> {
  const description = '/live/news/acquired.repair.sdp';
  const group = { group: GROUPS.acquired, port: PORT, description, target: ACQUISITION_PORT };
  return acquisition({ lab, report, edge, edgeAddress: EDGE_ADDRESS, receiver, lossy, ...group }, 'access0');
}

async function dissect({ report, captures }: Stage): Promise<void> {
  const captured = (name: string): Capture => {
    const capture = captures.get(name);
    expect(capture !== undefined, `nothing was captured of ${name}`);
    return capture;
  };
  await report.step('tshark reads our parity', () => dissectParity(captured('both'), GROUPS.both, PORT));
  await report.step("tshark reads GStreamer's NACKs and our retransmissions", () =>
    dissectRetransmission(captured('asked'), RETRANSMISSION_PORT),
  );
  await report.step('tshark reads our NACKs', () => dissectRetransmission(captured('box'), RETRANSMISSION_PORT));
}

/** Repair between us and others, over a link that loses. */
export const repairLab: Scenario = {
  name: 'repair',
  summary: 'parity and retransmission between us, GStreamer and ffmpeg over a link that loses',
  async play(lab, report) {
    const stage = await build(lab, report);
    const edge = await Edge.start(stage.edge, CHANNELS);
    await edge.ready(30_000);
    await ourParity(stage);
    await ourRetransmission(stage);
    await theirParity(stage);
    await box(stage);
    await comeByBurst(stage);
    await dissect(stage);
  },
};
