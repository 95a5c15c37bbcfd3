import { join } from 'node:path';
import { z } from 'zod';
import { findChromium } from '../admin/browser.js';
import { program } from './lib/compile.js';
import type { Lab } from './lib/lab.js';
import { poll } from './lib/poll.js';
import { type Child, describeExit } from './lib/process.js';
import { expect, type Report, Skip } from './lib/report.js';
import type { Scenario } from './lib/scenario.js';
import { need } from './lib/tools.js';
import { type BrowserCell, type BrowserPlayed, browserResult } from './parts/browser.js';
import { NATIVE_PLAYERS } from './parts/native-players.js';
import { Edge, VIEWERS_PORT } from './parts/sluice.js';
import { buildFrontTopology, EDGE_ADDRESS, type FrontTopology, ORIGIN_ADDRESS } from './topology.js';

const LIVE_PORT = 8004;
/** The edge, as the origin sees it. */
const EDGE_AT_ORIGIN = '10.10.1.1';
const NATIVE_SECONDS = 10;
/** The test picture has more; a black one has one. */
const COLOURS = 16;

interface Presentation {
  readonly name: string;
  readonly path: string;
  readonly lowLatency: boolean;
  readonly players: readonly BrowserCell['player'][];
}

/** Two players at a time watch each; hls.js plays no DASH. */
const PRESENTATIONS: readonly Presentation[] = [
  { name: 'HLS, MPEG-TS', path: 'hls-ts/index.m3u8', lowLatency: false, players: ['hls.js', 'shaka'] },
  { name: 'HLS, fMP4', path: 'hls-fmp4/index.m3u8', lowLatency: false, players: ['hls.js', 'shaka'] },
  { name: 'low-latency HLS', path: 'll-hls/index.m3u8', lowLatency: true, players: ['hls.js', 'shaka'] },
  { name: 'DASH', path: 'dash/manifest.mpd', lowLatency: false, players: ['shaka', 'shaka'] },
  {
    name: 'low-latency DASH, chunked CMAF',
    path: 'll-dash/manifest.mpd',
    lowLatency: true,
    players: ['shaka', 'shaka'],
  },
];

const ORIGIN_URL = `http://${ORIGIN_ADDRESS}:${LIVE_PORT}/`;
const EDGE_URL = `http://${EDGE_ADDRESS}:${VIEWERS_PORT}/tv/`;

/** One encoder for all presentations: pictures with a running clock, and a tone. */
function encoder(): string[] {
  const to = (path: string) => `http://127.0.0.1:${LIVE_PORT}/${path}`;
  const clock = 'testsrc2=size=320x180:rate=25';
  const input = ['-re', '-f', 'lavfi', '-i', clock, '-re', '-f', 'lavfi', '-i', 'sine=frequency=440:sample_rate=48000'];
  const h264 =
    '-c:v libx264 -preset ultrafast -tune zerolatency -profile:v main -pix_fmt yuv420p -b:v 300k -g 50 -keyint_min 50 -sc_threshold 0';
  const codecs = `-map 0:v -map 1:a ${h264} -c:a aac -b:a 64k -ac 2`.split(' ');
  const hls = '-f hls -hls_time 2 -hls_list_size 6 -hls_flags program_date_time+independent_segments -method PUT'.split(
    ' ',
  );
  const dash = '-f dash -seg_duration 2 -window_size 6 -extra_window_size 10 -method PUT'.split(' ');
  const chunked =
    '-use_timeline 0 -streaming 1 -ldash 1 -frag_type duration -frag_duration 0.2 -target_latency 1.5 -write_prft 1'.split(
      ' ',
    );
  const parts =
    '-f mp4 -movflags empty_moov+default_base_moof+frag_keyframe -frag_duration 400000 -video_track_timescale 25000'.split(
      ' ',
    );
  return [
    ...['ffmpeg', '-nostdin', '-hide_banner', '-v', 'warning', ...input],
    ...[...codecs, ...hls, to('hls-ts/index.m3u8')],
    ...[...codecs, ...hls, '-hls_segment_type', 'fmp4', to('hls-fmp4/index.m3u8')],
    ...[...codecs, ...dash, '-use_timeline', '1', to('dash/manifest.mpd')],
    ...[...codecs, ...dash, ...chunked, '-utc_timing_url', `${ORIGIN_URL}time`, to('ll-dash/manifest.mpd')],
    ...[...codecs, ...parts, '-flush_packets', '1', '-method', 'PUT', '-chunked_post', '1', to('ll-hls/stream.mp4')],
  ];
}

interface Stage extends FrontTopology {
  readonly daemon: Edge;
  readonly encoder: Child;
}

async function setUp(lab: Lab): Promise<Stage> {
  const topology = await buildFrontTopology(lab);
  // Viewers reach the origin as well, to be compared with.
  await topology.edge.sysctl('net.ipv4.ip_forward', 1);
  await topology.origin.route('default', EDGE_AT_ORIGIN);
  const origin = await topology.origin.spawn('live-origin', [
    process.execPath,
    program('live-origin'),
    String(LIVE_PORT),
  ]);
  await origin.waitForLine(/^ready$/m, 10_000);
  const ffmpeg = await topology.origin.spawn('encoder', encoder());
  const daemon = await Edge.start(topology.edge, [], {}, { sites: [{ id: 'tv', origin: ORIGIN_URL }] });
  const there = async (path: string) => {
    expect(ffmpeg.running, `ffmpeg: ${describeExit(ffmpeg.exit)}: ${ffmpeg.tail()}`);
    const { status, body } = await topology.origin
      .get(`http://127.0.0.1:${LIVE_PORT}/${path}`)
      .catch(() => ({ status: 0, body: '' }));
    return status === 200 && (!path.endsWith('.m3u8') || body.split('#EXTINF').length > 3);
  };
  for (const { path } of PRESENTATIONS)
    await poll(
      () => there(path),
      60_000,
      () => `${path}: ${ffmpeg.tail()}`,
      250,
    );
  return { ...topology, daemon, encoder: ffmpeg };
}

/** Why a player did not play as it should, or undefined. */
function fault(played: BrowserPlayed): string | undefined {
  if (Math.abs(played.advanced - played.seconds) > 1)
    return `${played.advanced.toFixed(1)} s played in ${played.seconds.toFixed(1)} s`;
  if (played.stalls > 0) return `${played.stalls} stalls`;
  if (played.frames === 0) return 'no pictures';
  if (played.colours < COLOURS) return `a picture of ${played.colours} colours`;
  return played.dropped >= played.frames * 0.05 ? `${played.dropped} of ${played.frames} pictures dropped` : undefined;
}

const words = (played: BrowserPlayed) =>
  `${played.advanced.toFixed(1)} s in ${played.seconds.toFixed(1)} s, ${played.frames} pictures, ${played.dropped} dropped${played.latency === null ? '' : `, ${played.latency.toFixed(1)} s behind live`}`;

async function inBrowser(stage: Stage, report: Report, presentation: Presentation, pictures: string): Promise<void> {
  const { name, path, lowLatency, players } = presentation;
  await report.step(`Chromium: ${name}`, async () => {
    const chromium = findChromium();
    if (chromium === undefined) throw new Skip('chromium not found');
    const sources = [
      ...players.map((player) => ({ player, url: `${EDGE_URL}${path}`, lowLatency })),
      // The same players at the origin, at the same time.
      ...(lowLatency
        ? [...new Set(players)].map((player) => ({ player, url: `${ORIGIN_URL}${path}`, lowLatency }))
        : []),
    ];
    const picture = join(pictures, `${path.split('/')[0]}.png`);
    const command = [
      process.execPath,
      program('browser-players'),
      chromium,
      picture,
      `${EDGE_URL}page.html`,
      JSON.stringify(sources),
    ];
    const { stdout } = await stage.viewers.must(command, { timeoutMs: 90_000 });
    const { results, errors } = browserResult.parse(JSON.parse(stdout));
    expect(errors.length === 0, errors.join('; '));
    const rows = sources.map(({ player, url }, i) => {
      const played = results[i] ?? null;
      const where = url.startsWith(EDGE_URL) ? 'edge' : 'origin';
      const wrong = played === null ? 'it never began' : fault(played);
      return { line: `${player} at the ${where}: ${played === null ? '' : words(played)}`, wrong };
    });
    const failed = rows.filter((row) => row.wrong !== undefined);
    expect(failed.length === 0, failed.map(({ line, wrong }) => `${line}: ${wrong}`).join('; '));
    return rows.map((row) => row.line).join('; ');
  });
}

/** What a player cannot play at the origin either is the player's: recorded, and no fault of the edge. */
async function byProgram(stage: Stage, report: Report, player: string, { name, path }: Presentation): Promise<void> {
  const play = NATIVE_PLAYERS[player];
  if (play === undefined) throw new TypeError(player);
  const label = `${player}-${path.split('/')[0]}`;
  await report.step(
    `${player}: ${name}`,
    async () => {
      try {
        return await play(stage.viewers, label, `${EDGE_URL}${path}`, NATIVE_SECONDS);
      } catch (error) {
        if (error instanceof Skip) throw error;
        const why = error instanceof Error ? error.message : String(error);
        const direct = await play(stage.viewers, `${label}-direct`, `${ORIGIN_URL}${path}`, NATIVE_SECONDS).catch(
          (other: unknown) => (other instanceof Error ? other : new Error(String(other))),
        );
        if (direct instanceof Error) throw new Skip(`not at the origin either: ${direct.message.slice(0, 200)}`);
        throw new Error(`at the origin: ${direct}; at the edge: ${why}`, { cause: error });
      }
    },
    { required: false },
  );
}

async function onlyOnce(stage: Stage, report: Report): Promise<void> {
  await report.step('the origin is asked once for each object', async () => {
    const all = z
      .record(z.string(), z.record(z.string(), z.number()))
      .parse(await stage.origin.getJson(`http://127.0.0.1:${LIVE_PORT}/asked`));
    const media = Object.entries(all[EDGE_AT_ORIGIN] ?? {}).filter(([path]) => !/\.(m3u8|mpd)|init|\/time/.test(path));
    const again = media.filter(([, times]) => times > 1).map(([path, times]) => `${path} ${times}×`);
    expect(
      media.length > 50 && again.length === 0,
      `${media.length} objects, more than once: ${again.slice(0, 10).join(', ')}`,
    );
    return `${media.length} segments and parts, each once`;
  });
}

/** Players that others wrote, through a site of the front. */
export const playersLab: Scenario = {
  name: 'players',
  summary:
    'hls.js and Shaka in Chromium, ffmpeg, VLC, GStreamer on HLS, low-latency HLS, DASH and chunked CMAF through a site',
  async play(lab, report) {
    need('ip', 'ffmpeg');
    const stage = await setUp(lab);
    const pictures = process.env['SLUICE_LAB_PICTURES'] ?? lab.folder;
    for (const presentation of PRESENTATIONS) await inBrowser(stage, report, presentation, pictures);
    await onlyOnce(stage, report);
    for (const presentation of PRESENTATIONS) {
      await Promise.all(Object.keys(NATIVE_PLAYERS).map((player) => byProgram(stage, report, player, presentation)));
    }
  },
};
