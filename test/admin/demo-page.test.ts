import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import type { ChannelStatus } from '../../daemon/streams/status.js';
import { findChromium, openPage, says } from './browser.js';
import { ask, json, until } from './client.js';

/** What the demo says when everything is being served. */
interface Ready {
  readonly pid: number;
  readonly admin: string;
  readonly status_page: string;
  readonly channels: readonly string[];
}

/** Starts the real demo and waits for its `ready` line; ends it with the test. */
async function startDemo(t: Test): Promise<Ready> {
  const program = fileURLToPath(new URL('../../daemon/cli/sluice.js', import.meta.url));
  const child: ChildProcess = spawn(process.execPath, [program, 'demo'], { stdio: ['ignore', 'pipe', 'pipe'] });
  const said: string[] = [];
  child.stderr?.setEncoding('utf8').on('data', (text: string) => void said.push(text));
  const ended = once(child, 'exit');
  t.teardown(async () => {
    child.kill('SIGINT');
    await ended;
  });
  if (child.stdout === null) throw new Error('no output');
  for await (const line of createInterface(child.stdout)) {
    if (line.startsWith('ready ')) return JSON.parse(line.slice('ready '.length)) as Ready;
  }
  throw new Error(`the demo ended before it was ready: ${said.join('')}`);
}

t.setTimeout(170_000);
const browser = findChromium();
const options = browser === undefined ? { skip: 'no chromium on PATH' } : { timeout: 170_000 };

t.test('the status page plays the demo and shows bytes in beside bytes out', options, async (t) => {
  const demo = await startDemo(t);
  const { page, faults, close } = await openPage(browser ?? '', demo.status_page);
  t.teardown(close);
  await says(page, '#live', /^Live$/);
  await page.locator('#veil').waitFor({ state: 'hidden', timeout: 40_000 });
  const position = (): Promise<number> => page.evaluate<number>("document.getElementById('video').currentTime");
  const start = await position();
  await until('five seconds of picture', async () => (await position()) > start + 5, 30_000);
  const frames = await page.evaluate<number>(
    "document.getElementById('video').getVideoPlaybackQuality().totalVideoFrames",
  );
  t.ok(frames > 50, `${frames} frames were decoded`);
  await says(page, '#picture-facts', /^\d+ × \d+/);
  await says(page, '#in', /bit\/s$/);
  await says(page, '#out', /bit\/s$/);

  const { channels } = json<{ channels: ChannelStatus[] }>(await ask(`${demo.admin}/v1/channels`));
  const [channel] = channels;
  const renditions = channel?.renditions ?? [];
  t.same(
    await page.locator('.channel h2').allTextContents(),
    channels.map(({ name }) => name),
  );
  const states = await page.evaluate<string[]>(
    "[...document.querySelectorAll('.path')].map((path) => path.dataset.state)",
  );
  t.same(
    states,
    renditions.map(() => 'flowing'),
  );
  t.same(
    renditions.map(({ source }) => source.connections <= 1),
    renditions.map(() => true),
    'one upstream connection per rendition',
  );
  await until('the player is counted as a viewer', async () =>
    /^[1-9]/.test((await page.locator('#viewers').textContent()) ?? ''),
  );
  t.same(faults, []);
});
