import t, { type Test } from 'tap';
import { findChromium, type Opened, openPage, says } from './browser.js';
import { ask, until } from './client.js';
import { PlannedSource, startHarness, TWO_CHANNELS } from './fixture.js';

/** A port where nobody listens: the player must say that it has nothing. */
const NOBODY = 'http://127.0.0.1:9';

t.setTimeout(170_000);
const browser = findChromium();
const options = browser === undefined ? { skip: 'no chromium on PATH' } : { timeout: 120_000 };

/** These run in the browser: as text, because this program knows no DOM. */
const IS_DRAWN = `(() => {
  const canvas = document.querySelector('#chart canvas');
  return canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some((value) => value !== 0);
})()`;
const SHIFT_OF_5_S = `new Promise((resolve) => {
  let sum = 0;
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) sum += entry.value;
  }).observe({ type: 'layout-shift' });
  setTimeout(() => resolve(sum), 5000);
})`;
const TOO_WIDE = 'document.documentElement.scrollWidth - document.documentElement.clientWidth';
const CUT_OFF = `[...document.querySelectorAll('.tile dd, .tile dt, .figures td, .figures th, .link span')]
  .filter((element) => element.scrollWidth > element.clientWidth + 1)
  .map((element) => element.textContent)`;

async function open(t: Test, url: string, scheme?: 'light' | 'dark'): Promise<Opened> {
  const opened = await openPage(browser ?? '', url, scheme);
  t.teardown(opened.close);
  return opened;
}

t.test('the page is complete without the network and under its own policy', async (t) => {
  const { admin, close } = await startHarness(new PlannedSource(TWO_CHANNELS, NOBODY));
  t.teardown(close);
  const answer = await ask(`${admin.url}/`);
  t.equal(answer.status, 200);
  t.match(answer.headers['content-security-policy'], /^default-src 'none'; script-src 'self'; style-src 'self';/);
  t.match(answer.headers['content-security-policy'], /connect-src 'self' http:\/\/127\.0\.0\.1:9;/);
  t.notMatch(answer.headers['content-security-policy'], /unsafe/);
  t.notMatch(answer.text, /<script>|style="|onclick|https?:\/\//, 'nothing inline, nothing from elsewhere');
  for (const [, path = ''] of answer.text.matchAll(/(?:src|href)="(\/page\/[^"]+)"/g)) {
    const asset = await ask(`${admin.url}${path}`);
    t.equal(asset.status, 200, path);
    const again = await ask(`${admin.url}${path}`, { headers: { 'if-none-match': asset.headers.etag ?? '' } });
    t.equal(again.status, 304, `${path} is not sent twice`);
  }
});

t.test('it shows the path of every rendition and what is wrong, live', options, async (t) => {
  const { admin, close } = await startHarness(new PlannedSource(TWO_CHANNELS, NOBODY));
  t.teardown(close);
  const { page, faults, hosts } = await open(t, admin.url);
  await says(page, '#live', /^Live$/);
  await says(page, '#in', /Mbit\/s$/);
  await says(page, '#out', /Mbit\/s$/);
  await says(page, '#viewers', /^64$/);
  await says(page, '#connections', /^3$/);
  await says(page, '#drops', /^2$/);
  await says(page, '#loop', / ?ms$/);
  await says(page, '#plane', /^0\.18/);
  t.same(await page.locator('.channel h2').allTextContents(), ['News', 'Sport 1']);
  t.same(await page.locator('.channel > header .badge').allTextContents(), ['flowing', 'degraded']);
  t.equal(await page.locator('.path').count(), 4);
  await says(page, '[data-channel="news"] .link.in .below', /^1.connection$/);
  await says(page, '[data-channel="sport"] .path[data-state="retrying"] .says', /connection refused/);
  t.equal(await page.locator('[data-channel="news"] .meter').first().getAttribute('role'), 'meter');
  t.equal(await page.locator('[data-channel="news"] .figures tbody tr').count(), 2);
  await says(page, '#flows tr:first-child td:nth-child(4)', /^2\/2$/);
  await says(page, '#clients tr:first-child td:nth-child(5)', /^1\.81.MiB$/);
  const before = await page.locator('#in-note').textContent();
  await until('the next second', async () => (await page.locator('#in-note').textContent()) !== before);
  const drawn = await page.evaluate<boolean>(IS_DRAWN);
  t.ok(drawn, 'the chart is drawn');
  t.same(faults, []);
  t.same(
    [...hosts].filter((host) => host !== new URL(admin.url).host && host !== '127.0.0.1:9'),
    [],
    'nobody else was asked',
  );
});

t.test('a player without a picture says why', options, async (t) => {
  const { admin, source, close } = await startHarness(new PlannedSource(TWO_CHANNELS, NOBODY));
  t.teardown(close);
  const { page } = await open(t, admin.url);
  await says(page, '#veil-title', /^(Trying again|Connecting)$/);
  await says(page, '#veil-reason', /manifestLoadError/);
  source.plans = [
    {
      id: 'news',
      name: 'News',
      renditions: [{ id: 'high', state: 'failed', code: 'SOURCE_ENCRYPTED', reason: 'the segments are encrypted' }],
    },
  ];
  await says(page, '#veil-title', /^No signal$/);
  await says(page, '#veil-reason', /^high: the segments are encrypted$/);
  t.equal(await page.locator('#channels .channel').count(), 1, 'a channel that is gone is taken away');
});

t.test('it survives a restart of the daemon', options, async (t) => {
  const first = await startHarness(new PlannedSource(TWO_CHANNELS, NOBODY));
  const listen = { address: '127.0.0.1', port: Number(new URL(first.admin.url).port) };
  const { page, faults } = await open(t, first.admin.url);
  await says(page, '#live', /^Live$/);
  await first.close();
  await says(page, '#live', /unreachable/);
  const second = await startHarness(new PlannedSource(TWO_CHANNELS.slice(0, 1), NOBODY), { listen, socket: null });
  t.teardown(second.close);
  await says(page, '#live', /^Live$/, 30_000);
  await page.locator('[data-channel="sport"]').waitFor({ state: 'detached', timeout: 10_000 });
  t.same(faults, []);
});

t.test('nothing jumps, nothing is cut off, in any width and both colour schemes', options, async (t) => {
  const { admin, close } = await startHarness(new PlannedSource(TWO_CHANNELS, NOBODY));
  t.teardown(close);
  const { page } = await open(t, admin.url, 'dark');
  await says(page, '#live', /^Live$/);
  await says(page, '#clients tr:first-child td:first-child', /192\.0\.2/);
  t.equal(
    await page.evaluate<string>('getComputedStyle(document.body).backgroundColor'),
    'rgb(14, 20, 25)',
    'dark when asked',
  );
  const shift = await page.evaluate<number>(SHIFT_OF_5_S);
  t.ok(shift < 0.001, `layout shift over five seconds: ${shift}`);
  for (const width of [1440, 1100, 700, 400]) {
    await page.setViewportSize({ width, height: 900 });
    const wider = await page.evaluate<number>(TOO_WIDE);
    t.equal(wider, 0, `no horizontal scrolling at ${width} px`);
  }
  for (const width of [1440, 1100]) {
    await page.setViewportSize({ width, height: 900 });
    const cut = await page.evaluate<string[]>(CUT_OFF);
    t.same(cut, [], `no figure is cut off at ${width} px`);
  }
});
