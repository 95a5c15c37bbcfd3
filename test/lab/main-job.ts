import type { Lab } from './lib/lab.js';
import { during, poll } from './lib/poll.js';
import { type Child, describeExit } from './lib/process.js';
import { expect, type Report } from './lib/report.js';
import type { Scenario } from './lib/scenario.js';
import { need } from './lib/tools.js';
import { Audience, losses, type ViewersLine } from './lib/viewers.js';
import { startSmcroute } from './parts/access-router.js';
import { Capture } from './parts/capture.js';
import { HIGH, LOW, ORIGIN_PORT, originStats, startOrigin, targetDurationMs } from './parts/origin.js';
import { ffmpegDecodes, gstreamerDecodes } from './parts/players.js';
import { Receiver } from './parts/receiver.js';
import { analyseRtp, type RtpAnalysis, spacing } from './parts/rtp.js';
import { Edge, VIEWERS_PORT } from './parts/sluice.js';
import { requestsPerPath } from './parts/upstream.js';
import { buildTopology, EDGE_ADDRESS, ORIGIN_ADDRESS, type Topology } from './topology.js';

const CHANNEL = 'news';
const PORT = 5000;
const GROUPS = { high: '239.10.1.1', low: '239.10.1.2' } as const;
const GROUP_RANGE = '239.10.1.0/24';
/** Viewers on each of the two renditions. */
const CONTINUOUS_EACH = 100;
const HLS_EACH = 25;
const DECODE_SECONDS = 30;
const OUTAGE_MS = 10_000;
const STALL_MS = 20_000;

const LIVE = `/live/${CHANNEL}`;
const URL = `http://${EDGE_ADDRESS}:${VIEWERS_PORT}`;

function rendition(id: keyof typeof GROUPS, file: string): object {
  const multicast = { address: GROUPS[id], port: PORT, interface: 'access0', source: EDGE_ADDRESS, ttl: 8 };
  return {
    id,
    url: `http://${ORIGIN_ADDRESS}:${ORIGIN_PORT}/${file}`,
    buffer: { memory: '16MiB', delay: '300ms' },
    multicast,
  };
}

/** `high` from an HLS playlist and `low` from a continuous stream: both kinds of HTTP source. */
const CHANNELS = [
  {
    id: CHANNEL,
    hls: { segment: '2s', window: 6 },
    renditions: [rendition('high', `${HIGH}.m3u8`), rendition('low', `${LOW}.ts`)],
  },
];

/** Milliseconds since 1970. */
interface Interval {
  from: number;
  to: number;
}

/** All that plays while the steps look at it. */
interface Stage {
  readonly lab: Lab;
  readonly report: Report;
  readonly topology: Topology;
  readonly edge: Edge;
  readonly audience: Audience;
  readonly receivers: readonly Receiver[];
  readonly toOrigin: Capture;
  readonly multicast: Capture;
  origin: Child;
  undisturbed: Interval;
  /** How long the edge's plane thread had to wait for a CPU in that time. */
  planeWaitedMs: number;
}

async function setUp(lab: Lab, report: Report): Promise<Stage> {
  const topology = await buildTopology(lab);
  const { access, edge: edgeHost, viewers } = topology;
  const routes = Object.values(GROUPS).map((group) => ({ from: 'edge0', source: EDGE_ADDRESS, group, to: 'lan0' }));
  await startSmcroute(access, routes);
  const toOrigin = await Capture.start(topology.origin, 'edge0', `tcp dst port ${ORIGIN_PORT}`, 'to-origin');
  const multicast = await Capture.record(viewers, 'eth0', ['--protocol', 'udp', '--group', GROUP_RANGE], 'multicast');
  const { child: origin } = await startOrigin(topology.origin);
  const edge = await Edge.start(edgeHost, CHANNELS);
  await edge.ready(30_000);
  const audience = await Audience.start(viewers, 'audience', {
    server: EDGE_ADDRESS,
    port: VIEWERS_PORT,
    continuous: { [`${LIVE}/high.ts`]: CONTINUOUS_EACH, [`${LIVE}/low.ts`]: CONTINUOUS_EACH },
    hls: { [`${LIVE}/high/index.m3u8`]: HLS_EACH, [`${LIVE}/low/index.m3u8`]: HLS_EACH },
  });
  const any = await Receiver.start(viewers, 'high-any-source', `rtp://${GROUPS.high}:${PORT}?iface=eth0`);
  const specific = await Receiver.start(
    viewers,
    'high-source-specific',
    `rtp://${EDGE_ADDRESS}@${GROUPS.high}:${PORT}?iface=eth0`,
  );
  const low = await Receiver.start(viewers, 'low', `rtp://${GROUPS.low}:${PORT}?iface=eth0`);
  return {
    lab,
    report,
    topology,
    edge,
    audience,
    receivers: [any, specific, low],
    toOrigin,
    multicast,
    origin,
    undisturbed: { from: 0, to: 0 },
    planeWaitedMs: 0,
  };
}

async function allWatch({ report, audience }: Stage): Promise<void> {
  await report.step('200 continuous viewers, 50 HLS viewers and 3 multicast receivers at once', async () => {
    const wanted = { continuous: 2 * CONTINUOUS_EACH, hls: 2 * HLS_EACH };
    const all = (line: ViewersLine) =>
      line.continuous.receiving === wanted.continuous && line.hls.segments >= wanted.hls;
    const line = await poll(
      async () => {
        const now = await audience.now();
        return all(now) && now;
      },
      20_000,
      () => `all viewers to receive: ${JSON.stringify(audience.lines().at(-1))}`,
      200,
    );
    return `${line.continuous.receiving} continuous receive, slowest first byte ${line.continuous.slowestFirstByteMs} ms; HLS: ${line.hls.segments} segments`;
  });
}

async function undisturbedTime(stage: Stage): Promise<void> {
  const { report, audience, receivers, topology } = stage;
  const before = await audience.next();
  stage.undisturbed.from = Date.now();
  const waited = stage.edge.planeWaitedMs();
  const { viewers } = topology;
  const rtp = ['-i', `rtp://${GROUPS.high}:${PORT}?localaddr=10.10.3.2`];
  await Promise.all([
    report.step('ffmpeg decodes the HLS', () =>
      ffmpegDecodes(viewers, 'hls', ['-i', `${URL}${LIVE}/high/index.m3u8`], DECODE_SECONDS, true),
    ),
    report.step('ffmpeg decodes the continuous stream', () =>
      ffmpegDecodes(viewers, 'ts', ['-i', `${URL}${LIVE}/low.ts`], DECODE_SECONDS, true),
    ),
    report.step('ffmpeg decodes the multicast', () => ffmpegDecodes(viewers, 'rtp', rtp, DECODE_SECONDS, false)),
  ]);
  stage.undisturbed.to = Date.now();
  stage.planeWaitedMs = stage.edge.planeWaitedMs() - waited;
  await report.step('undisturbed, no viewer loses anything', async () => {
    const after = await audience.next();
    const lost = losses(before, after);
    expect(lost === '', lost);
    const packets = after.continuous.packets - before.continuous.packets;
    return `${packets} TS packets at continuous viewers, ${after.hls.segments - before.hls.segments} segments at HLS viewers, no error; longest gap ${after.continuous.longestGapMs} ms`;
  });
  await report.step('sluice receive finds the groups healthy', () =>
    receivers.map((one) => one.healthy(DECODE_SECONDS)).join('; '),
  );
}

async function upstreamCounts({ report, topology, toOrigin, undisturbed }: Stage): Promise<void> {
  await report.step('the origin counts one connection per rendition and one request per segment', async () => {
    const stats = await originStats(topology.origin);
    const { connections, requests } = stats.rendition(LOW);
    expect(
      connections === 1 && requests.continuous === 1,
      `continuous: ${connections} connections, ${requests.continuous} requests`,
    );
    const segments = stats.segments(HIGH);
    const repeated = segments.filter(([, count]) => count !== 1);
    expect(repeated.length === 0, `requested more than once: ${JSON.stringify(repeated)}`);
    expect(segments.length >= DECODE_SECONDS / 4, `only ${segments.length} segments requested`);
    return `${connections} connection for the continuous rendition; ${segments.length} segments, each requested once`;
  });
  await report.step("tshark on the origin's link sees the same", async () => {
    need('tshark');
    const seen = await requestsPerPath(toOrigin, ORIGIN_PORT, undisturbed.to);
    const streams = seen.requests.get(`/${LOW}.ts`);
    expect(streams === 1, `${streams ?? 0} requests for the continuous stream`);
    const segments = [...seen.requests].filter(([path]) => path.endsWith('.ts') && path !== `/${LOW}.ts`);
    const repeated = segments.filter(([, count]) => count !== 1);
    expect(
      repeated.length === 0,
      `requested more than once: ${repeated.map(([path, n]) => `${path} ${n} times`).join(', ')}`,
    );
    expect(segments.length >= DECODE_SECONDS / 4, `only ${segments.length} segments requested`);
    expect(seen.connections === 2, `${seen.connections} connections for two renditions`);
    return `${seen.connections} connections for 2 renditions; ${segments.length} segments, each requested once`;
  });
}

async function spacingOf({ report, multicast, undisturbed, planeWaitedMs }: Stage): Promise<void> {
  await report.step('multicast spacing under an HLS source', async () => {
    const { times } = await analyseRtp(multicast, GROUPS.high, PORT);
    const { packets, meanMs, p99Ms, largestMs } = spacing(times, undisturbed.from, undisturbed.to);
    const ratio = p99Ms / meanMs;
    const figure = `p99 ${p99Ms.toFixed(2)} ms = ${ratio.toFixed(2)} x mean ${meanMs.toFixed(2)} ms, largest ${largestMs.toFixed(1)} ms, ${packets} packets; the plane's thread waited ${planeWaitedMs.toFixed(0)} ms for a CPU meanwhile`;
    expect(packets > 1_000 && ratio <= 3, figure);
    return figure;
  });
}

async function stalledViewer({ report, topology, edge, audience }: Stage): Promise<void> {
  const { viewers } = topology;
  const slow = await Audience.start(viewers, 'slow-viewer', {
    server: EDGE_ADDRESS,
    port: VIEWERS_PORT,
    continuous: { [`${LIVE}/high.ts`]: 1 },
    receiveBuffer: 65_536,
  });
  await poll(async () => (await slow.now()).continuous.receiving === 1, 10_000, 'the slow viewer to receive');
  const before = await audience.next();
  const drops = (await edge.rendition(CHANNEL, 'high')).viewers.drops;
  slow.pause(true);
  const udp = `udpsrc address=${GROUPS.high} port=${PORT} multicast-iface=eth0 buffer-size=2000000 caps=application/x-rtp,media=video,clock-rate=90000,encoding-name=MP2T,payload=33`;
  const meanwhile = [
    report.step('GStreamer decodes the multicast', () =>
      gstreamerDecodes(viewers, 'rtp', `${udp} ! rtpjitterbuffer latency=200 ! rtpmp2tdepay`, DECODE_SECONDS),
    ),
    report.step('GStreamer decodes the HLS', () =>
      gstreamerDecodes(viewers, 'hls', `souphttpsrc location=${URL}${LIVE}/low/index.m3u8 ! hlsdemux`, DECODE_SECONDS),
    ),
    report.step('GStreamer decodes the continuous stream', () =>
      gstreamerDecodes(viewers, 'ts', `souphttpsrc location=${URL}${LIVE}/high.ts is-live=true`, DECODE_SECONDS),
    ),
  ];
  await during(STALL_MS);
  slow.pause(false);
  await report.step('a viewer that stopped reading for 20 s is counted and jumps', async () => {
    const status = await poll(
      async () => {
        const now = await edge.rendition(CHANNEL, 'high');
        return now.viewers.drops > drops && now;
      },
      10_000,
      'the edge to count the jump',
      200,
    );
    // What the kernel still held comes first; the jump shows in the continuity counters, and pictures follow it.
    const jumped = await poll(
      async () => {
        const { continuous } = await slow.now();
        return continuous.continuityErrors + continuous.announcedDiscontinuities > 0 && continuous;
      },
      10_000,
      'the slow viewer to see the jump',
    );
    const line = await poll(
      async () => {
        const { continuous } = await slow.now();
        return continuous.accessPoints > jumped.accessPoints && continuous;
      },
      10_000,
      'the slow viewer to see a picture after it',
    );
    expect(
      line.disconnects === 0 && line.syncErrors === 0,
      `disconnects ${line.disconnects}, sync errors ${line.syncErrors}`,
    );
    const { drops: now, dropBytes } = status.viewers;
    return `${now - drops} jump over ${dropBytes} bytes counted, the TS stays whole, pictures go on`;
  });
  await Promise.all(meanwhile);
  await slow.child.stop();
  await report.step('the others lose nothing meanwhile', async () => {
    const lost = losses(before, await audience.next());
    expect(lost === '', lost);
    return 'no error, no interruption, nobody disconnected';
  });
}

async function outage(stage: Stage): Promise<void> {
  const { report, topology, audience, edge } = stage;
  const target = await targetDurationMs(topology.origin);
  const before = await audience.next();
  const killed = Date.now();
  let back = killed;
  await report.step('origin killed: nobody is disconnected', async () => {
    await stage.origin.stop('SIGKILL');
    await during(OUTAGE_MS, async () => {
      const { continuous } = await audience.now();
      expect(
        continuous.connected === continuous.viewers,
        `${continuous.connected} of ${continuous.viewers} still connected`,
      );
    });
    const restarted = await startOrigin(topology.origin);
    stage.origin = restarted.child;
    back = restarted.answersSince;
    return `${(await audience.next()).continuous.connected} continuous viewers connected after ${OUTAGE_MS / 1_000} s`;
  });
  await report.step('origin back: the picture is back within one segment', async () => {
    const line = await poll(
      async () => {
        const { continuous } = await audience.now();
        return continuous.interrupted === 0 && continuous.resumedAt > killed && continuous;
      },
      60_000,
      () => `all pictures: ${JSON.stringify(audience.lines().at(-1)?.continuous)}`,
    );
    const took = line.resumedAt - back;
    const interruptions = line.interruptions - before.continuous.interruptions;
    expect(took <= target, `the last picture came ${took} ms after the origin's return; a segment is ${target} ms`);
    return `the last of ${line.viewers} pictures ${took} ms after the origin answered again (a segment is ${target} ms), ${interruptions} interruptions`;
  });
  await report.step('HLS viewers go on without a failed request', async () => {
    const line = await poll(
      async () => {
        const now = await audience.now();
        return now.hls.oldestSegmentAt > back + target && now;
      },
      30_000,
      'new segments at every HLS viewer',
    );
    const failures = line.hls.failures - before.hls.failures;
    expect(failures === 0, `${failures} failed requests`);
    const disconnects = line.continuous.disconnects - before.continuous.disconnects;
    expect(disconnects === 0, `${disconnects} continuous viewers disconnected`);
    const { source } = await edge.rendition(CHANNEL, 'low');
    return `all ${line.hls.viewers} have new segments; the edge reconnected ${source.connects - 1} times to the stream`;
  });
}

async function sequences({ report, multicast }: Stage): Promise<void> {
  await report.step('RTP sequence unbroken from first to last packet, the outage included', async () => {
    await multicast.stop();
    const figures: string[] = [];
    for (const [name, group] of Object.entries(GROUPS)) {
      const rtp: RtpAnalysis = await analyseRtp(multicast, group, PORT);
      const figure = `${name}: ${rtp.packets} packets, ${rtp.breaks} breaks, ${rtp.ssrcs} SSRC`;
      expect(rtp.packets > 1_000 && rtp.breaks === 0 && rtp.ssrcs === 1, figure);
      figures.push(figure);
    }
    return figures.join('; ');
  });
  await report.step('no continuity error in the multicast that is not announced, the outage included', async () => {
    const figures: string[] = [];
    for (const [name, group] of Object.entries(GROUPS)) {
      const { continuityErrors, announced } = await analyseRtp(multicast, group, PORT);
      const figure = `${name}: ${continuityErrors} errors, ${announced} announced discontinuities`;
      // The HLS rendition may have none: what it missed is still in the origin's window.
      expect(continuityErrors === 0, figure);
      figures.push(figure);
    }
    return figures.join('; ');
  });
}

async function endAll({ lab, report, edge, audience, receivers, origin }: Stage): Promise<void> {
  await report.step('every process ends as asked, none is left', async () => {
    const rss = Math.round(edge.residentKiB() / 1_024);
    await audience.child.stop();
    const asked = [...receivers.map((one) => one.child), edge.child, origin];
    for (const child of asked) {
      const exit = await child.stop('SIGTERM', 5_000);
      expect(exit.code === 0, `${child.name}: ${describeExit(exit)}: ${child.tail()}`);
    }
    await lab.stopChildren();
    const left = await lab.leftovers();
    expect(left.length === 0, `processes left: ${left.join(', ')}`);
    return `nothing left; the edge had ${rss} MiB resident`;
  });
}

/** What the product is for: one live channel in once, out many times. */
export const mainJob: Scenario = {
  name: 'main-job',
  summary: 'origin, edge, access router, viewers: 200 continuous, 50 HLS, 3 multicast; outage, slow viewer, spacing',
  async play(lab, report) {
    need('ip', 'nft', 'ethtool', 'g++', 'smcrouted', 'tcpdump', 'tshark');
    const stage = await setUp(lab, report);
    await allWatch(stage);
    await undisturbedTime(stage);
    await upstreamCounts(stage);
    await spacingOf(stage);
    await stalledViewer(stage);
    await outage(stage);
    await sequences(stage);
    await endAll(stage);
  },
};
