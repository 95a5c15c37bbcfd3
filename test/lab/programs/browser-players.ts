// Plays live presentations in Chromium, all at the same time on one page: `browser-players.js CHROMIUM PICTURE PAGE JSON`, JSON being a list of
// `{player: 'hls.js' | 'shaka', url, lowLatency}`. Prints one JSON list, in the same order, of what became of each; PICTURE is written.
// PAGE is an empty page of a host that is as private as the media's: from elsewhere the browser would not let them be asked.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { openPage } from '../../admin/browser.js';
import { type BrowserCell, browserCells } from '../parts/browser.js';

const [chromium = '', picture = '', address = '', text = '[]'] = process.argv.slice(2);
const require = createRequire(import.meta.url);
const SCRIPTS = ['hls.js/dist/hls.min.js', 'shaka-player/dist/shaka-player.compiled.js'];
const START_MS = 30_000;
const SETTLE_MS = 4_000;
const WATCH_MS = 10_000;

/** The page's own: it plays, and tells about each player when asked. */
const PAGE = `
window.errors = [];
window.players = [];
window.begin = async (cells) => {
  document.body.style.cssText = 'margin:16px;font:14px sans-serif;display:grid;grid-template-columns:1fr 1fr;gap:16px;align-content:start';
  await Promise.all(cells.map(async ({ player, url, lowLatency }, i) => {
    const box = document.createElement('div');
    const label = document.createElement('div');
    const video = document.createElement('video');
    label.textContent = player + '  ' + url;
    video.muted = true;
    video.style.cssText = 'width:100%;background:#000';
    box.append(video, label);
    document.body.append(box);
    const state = { video, stalls: 0, date: () => null };
    window.players[i] = state;
    video.addEventListener('waiting', () => { state.stalls++; });
    const failed = (what) => { window.errors.push(player + ' ' + url + ': ' + what); };
    if (player === 'hls.js') {
      const hls = new Hls({ lowLatencyMode: lowLatency, enableWorker: false });
      hls.on(Hls.Events.ERROR, (_, data) => { if (data.fatal) failed(data.details); });
      hls.loadSource(url);
      hls.attachMedia(video);
      state.date = () => hls.playingDate;
    } else {
      shaka.polyfill.installAll();
      const shown = new shaka.Player();
      await shown.attach(video);
      shown.addEventListener('error', (event) => failed(event.detail.code));
      shown.configure('streaming.lowLatencyMode', lowLatency);
      if (lowLatency) shown.configure('streaming.liveSync.enabled', true);
      // The encoder suggests to stay one segment behind, which leaves no time to get the next.
      else shown.configure('manifest', { defaultPresentationDelay: 6, dash: { ignoreSuggestedPresentationDelay: true } });
      await shown.load(url).catch((error) => failed('load ' + error.code + ' ' + JSON.stringify(error.data)));
      state.date = () => shown.getPlayheadTimeAsDate();
    }
    await video.play().catch((error) => failed(error.message));
  }));
};
const colours = (video) => {
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [64, 36];
  const context = canvas.getContext('2d');
  context.drawImage(video, 0, 0, 64, 36);
  return new Set(new Uint32Array(context.getImageData(0, 0, 64, 36).data.buffer)).size;
};
window.look = () => window.players.map(({ video, stalls, date }) => {
  const { totalVideoFrames, droppedVideoFrames } = video.getVideoPlaybackQuality();
  return { at: performance.now() / 1000, position: video.currentTime, stalls, frames: totalVideoFrames, dropped: droppedVideoFrames, colours: colours(video),
    latency: date() === null ? null : (Date.now() - date().getTime()) / 1000 };
});`;

interface Look {
  readonly at: number;
  readonly position: number;
  readonly stalls: number;
  readonly frames: number;
  readonly dropped: number;
  readonly colours: number;
  readonly latency: number | null;
}

const cells: readonly BrowserCell[] = browserCells.parse(JSON.parse(text));
const { page, close } = await openPage(chromium, address);
try {
  for (const script of SCRIPTS) await page.addScriptTag({ content: readFileSync(require.resolve(script), 'utf8') });
  await page.addScriptTag({ content: PAGE });
  const begun = page.evaluate(`window.begin(${JSON.stringify(cells)})`);
  begun.catch(() => undefined);
  const look = () => page.evaluate<Look[]>('window.look()');
  const plays = `window.players.length === ${cells.length} && window.players.every(({ video }) => video.getVideoPlaybackQuality().totalVideoFrames > 10)`;
  await page.waitForFunction(plays, undefined, { timeout: START_MS }).catch(() => undefined);
  await page.waitForTimeout(SETTLE_MS);
  const before = await look();
  await page.waitForTimeout(WATCH_MS);
  const after = await look();
  await page.screenshot({ path: picture });
  const results = cells.map((_, i) => {
    const [from, to] = [before[i], after[i]];
    if (from === undefined || to === undefined) return null;
    return {
      seconds: to.at - from.at,
      advanced: to.position - from.position,
      stalls: to.stalls - from.stalls,
      frames: to.frames - from.frames,
      dropped: to.dropped - from.dropped,
      colours: to.colours,
      latency: to.latency,
    };
  });
  console.log(JSON.stringify({ results, errors: await page.evaluate('window.errors') }));
} finally {
  await close();
}
