import type { Host } from '../lib/host.js';
import { during } from '../lib/poll.js';
import { expect } from '../lib/report.js';
import { need } from '../lib/tools.js';

/** Sentences of ffmpeg that mean broken media; its other warnings (about missing durations and the like) do not. */
const FFMPEG_TROUBLE = /error|missed|corrupt|non-existing|conceal|invalid|no frame|discontinu|non monoton/i;

/**
 * Decodes audio and video for some seconds with ffmpeg and fails on any decoder error after the first picture.
 *
 * @param fromStart true where the server promises to begin at a random access point: then no error at all is allowed
 * @returns the figure
 */
export async function ffmpegDecodes(
  host: Host,
  name: string,
  input: readonly string[],
  seconds: number,
  fromStart: boolean,
): Promise<string> {
  need('ffmpeg');
  const look = ['ffmpeg', '-nostdin', '-hide_banner', '-v', 'warning', '-progress', 'pipe:1', '-stats_period', '0.1'];
  const sink = ['-map', '0:v:0', '-map', '0:a:0', '-t', String(seconds), '-f', 'null', '-'];
  const child = await host.spawn(`ffmpeg-${name}`, [...look, ...input, ...sink]);
  let before: number | undefined;
  await during((seconds + 30) * 1_000, () => {
    if (before === undefined && /^frame=[1-9]/m.test(child.stdout())) before = child.stderr().length;
    if (!child.running) throw new Ended();
  }).catch(ended);
  const exit = await child.stop('SIGKILL');
  expect(exit.code === 0, `ffmpeg ${name} did not end by itself: ${child.tail()}`);
  const frames = Number([...child.stdout().matchAll(/^frame=(\d+)/gm)].at(-1)?.[1] ?? 0);
  const decoded = Number([...child.stdout().matchAll(/^out_time_us=(\d+)/gm)].at(-1)?.[1] ?? 0) / 1e6;
  const trouble = child
    .stderr()
    .slice(fromStart ? 0 : before)
    .split('\n')
    .filter((line) => FFMPEG_TROUBLE.test(line));
  expect(trouble.length === 0, `${trouble.length} decoder errors in ${frames} frames, the first: ${trouble[0] ?? ''}`);
  expect(frames > 0 && decoded > seconds - 1, `only ${decoded.toFixed(1)} s and ${frames} frames decoded`);
  return `${frames} frames in ${decoded.toFixed(1)} s without an error`;
}

class Ended extends Error {}

function ended(error: unknown): void {
  if (!(error instanceof Ended)) throw error;
}

/** What GStreamer's parts say when media is broken. */
const GSTREAMER_TROUBLE = /^ERROR|\bERROR\b|avdec|CONTINUITY|discont.*pid|decoding error|lost sync/i;

/**
 * Decodes for some seconds with GStreamer and fails on any error that an element reports.
 *
 * @param source the pipeline up to MPEG-TS
 */
export async function gstreamerDecodes(host: Host, name: string, source: string, seconds: number): Promise<string> {
  need('gst-launch-1.0');
  // Audio must not wait for the first picture with a full queue: that would keep the demultiplexer from ever getting to it.
  const queue = 'queue max-size-time=10000000000 max-size-buffers=0 max-size-bytes=0';
  const video = `d. ! ${queue} ! h264parse ! avdec_h264 ! fpsdisplaysink name=v video-sink=fakesink text-overlay=false sync=false`;
  const audio = `d. ! ${queue} ! aacparse ! avdec_aac ! fakesink sync=false async=false`;
  const pipeline = `${source} ! tsdemux name=d ${video} ${audio}`.split(/\s+/);
  const env = { GST_DEBUG: '1,libav:2,tsdemux:2,mpegtspacketizer:2,rtpjitterbuffer:2', GST_DEBUG_NO_COLOR: '1' };
  const child = await host.spawn(`gstreamer-${name}`, ['gst-launch-1.0', '-e', '-v', ...pipeline], { env });
  let before: number | undefined;
  await during((seconds + 5) * 1_000, () => {
    if (before === undefined && /rendered: [1-9]/.test(child.stdout())) before = child.stderr().length;
    if (!child.running) throw new Error(`gst-launch-1.0 ended: ${child.tail()}`);
  });
  // The end that SIGINT makes cuts the last picture: what is said about that one does not count.
  const said = child.stderr().slice(before);
  await child.stop('SIGINT', 10_000);
  const [, rendered = '0', dropped = '0'] =
    [...child.stdout().matchAll(/rendered: (\d+), dropped: (\d+)/g)].at(-1) ?? [];
  const trouble = said.split('\n').filter((line) => GSTREAMER_TROUBLE.test(line));
  expect(trouble.length === 0, `${trouble.length} errors, the first: ${trouble[0] ?? ''}`);
  expect(Number(rendered) >= 20 * seconds, `only ${rendered} frames in ${seconds} s`);
  return `${rendered} frames without an error, ${dropped} dropped`;
}
