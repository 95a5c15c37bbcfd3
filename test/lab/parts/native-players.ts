import type { Host } from '../lib/host.js';
import { during } from '../lib/poll.js';
import { expect, Skip } from '../lib/report.js';
import { need } from '../lib/tools.js';
import { ffmpegDecodes } from './players.js';

/** Plays a URL for some seconds; resolves with the figure, rejects with why it could not. */
export type NativePlayer = (host: Host, name: string, url: string, seconds: number) => Promise<string>;

const FRAMES_PER_SECOND = 25;

/** Decoded as fast as it comes: the live edge is what holds it. */
const ffmpeg: NativePlayer = (host, name, url, seconds) => ffmpegDecodes(host, name, ['-i', url], seconds, false);

/** The remote-control interface says how many pictures were shown and lost. */
const vlc: NativePlayer = async (host, name, url, seconds) => {
  need('cvlc', 'setpriv');
  if (process.getuid?.() !== 0) throw new Skip('VLC does not run as root, and here is nobody else');
  // VLC refuses to be root, and wants a home.
  const home = `HOME=${host.lab.file('')}`;
  const play = `cvlc -I oldrc --rc-fake-tty --vout dummy --aout dummy --no-video-title-show '${url}'`;
  const script = `(sleep ${seconds + 10}; echo stats; sleep 1; echo quit) | env ${home} setpriv --reuid 65534 --regid 65534 --clear-groups ${play}`;
  const child = await host.spawn(`vlc-${name}`, ['sh', '-c', script]);
  await during((seconds + 15) * 1_000, () => {
    if (!child.running) throw new Error(`VLC ended: ${child.tail()}`);
  }).catch((error: unknown) => {
    if (!/frames displayed/.test(child.stdout())) throw error;
  });
  await child.stop();
  const number = (what: string) => Number(new RegExp(`${what}\\s*:\\s*(\\d+)`).exec(child.stdout())?.[1] ?? 0);
  const [decoded, shown, lost] = [number('video decoded'), number('frames displayed'), number('frames lost')];
  const figure = `${decoded} pictures decoded, ${shown} shown, ${lost} lost`;
  expect(shown >= seconds * FRAMES_PER_SECOND * 0.9 && lost < shown * 0.05, `${figure}: ${child.stderr().slice(-300)}`);
  return figure;
};

/** playbin3 takes GStreamer's guess of what comes, and a short manifest is guessed to be any XML: DASH is named. */
function pipeline(url: string): string[] {
  const shown = 'fpsdisplaysink video-sink=fakesink text-overlay=false sync=true';
  if (!url.endsWith('.mpd')) return ['playbin3', `uri=${url}`, `video-sink=${shown}`, 'audio-sink=fakesink sync=true'];
  const video = `d.video_00 ! queue ! decodebin ! ${shown}`;
  const audio = 'd.audio_00 ! queue ! decodebin ! fakesink sync=true';
  return `souphttpsrc location=${url} ! dashdemux name=d ${video} ${audio}`.split(' ');
}

const gstreamer: NativePlayer = async (host, name, url, seconds) => {
  need('gst-launch-1.0');
  const command = ['gst-launch-1.0', '-v', ...pipeline(url)];
  const child = await host.spawn(`gstreamer-${name}`, command, { env: { GST_DEBUG: '1', GST_DEBUG_NO_COLOR: '1' } });
  await during((seconds + 10) * 1_000, () => {
    if (!child.running) throw new Error(`GStreamer ended: ${child.tail().slice(-400)}`);
  });
  await child.stop('SIGINT', 5_000);
  const counts = [...child.stdout().matchAll(/rendered: (\d+), dropped: (\d+)/g)].at(-1) ?? [];
  const [rendered, dropped] = [Number(counts[1] ?? 0), Number(counts[2] ?? 0)];
  const figure = `${rendered} pictures shown, ${dropped} dropped`;
  expect(
    rendered >= seconds * FRAMES_PER_SECOND * 0.9 && dropped < rendered * 0.05,
    `${figure}: ${child.stderr().slice(-300)}`,
  );
  return figure;
};

export const NATIVE_PLAYERS: Readonly<Record<string, NativePlayer>> = { ffmpeg, vlc, gstreamer };
