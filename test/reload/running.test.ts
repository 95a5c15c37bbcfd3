// Reloads under running media: what did not change does not notice, what changed is changed where it must be.
import t, { type Test } from 'tap';
import { until, Viewer } from '../streams/edge.js';
import { LiveOrigin } from '../streams/live-origin.js';
import { continuityErrors, FRAME_RATE, frameNumbers } from '../streams/ts-maker.js';
import { Bed, channel, loopbackGroup, openDescriptors, Receivers, rendition } from './bed.js';

t.setTimeout(120_000);

async function origin(t: Test): Promise<LiveOrigin> {
  const it = new LiveOrigin();
  await it.listen();
  t.teardown(() => it.kill());
  return it;
}

const playlist = ({ base }: LiveOrigin): { url: string } => ({ url: `${base}/live/index.m3u8` });

function inOrder(bytes: Buffer): boolean {
  const numbers = frameNumbers(bytes);
  return numbers.length > 0 && numbers.every((n, at) => at === 0 || n === (numbers[at - 1] ?? 0) + 1);
}

function closeAll(viewers: readonly Viewer[]): void {
  for (const viewer of viewers) viewer.close();
}

async function morePictures(viewer: Viewer, what: string): Promise<void> {
  const before = frameNumbers(viewer.bytes).length;
  await until(what, () => frameNumbers(viewer.bytes).length > before + FRAME_RATE);
}

t.test('one channel added, one removed, one changed: the others and all viewers go on', async (t) => {
  const [a, b, c] = [await origin(t), await origin(t), await origin(t)];
  const [groupA, groupB] = [loopbackGroup(), loopbackGroup()];
  const news = channel('news', { ...playlist(a), multicast: groupA });
  const dark = channel('dark', { url: 'http://127.0.0.1:9/x.ts' });
  const bed = await Bed.start(t, {
    channels: [news, channel('sport', { ...playlist(b), multicast: groupB }, { name: 'Sport' }), dark],
  });
  const receivers = new Receivers(t);
  const [rtpA, rtpB] = [receivers.join(groupA), receivers.join(groupB)];
  await until('both ready', () => bed.rendition('news').ready && bed.rendition('sport').ready, 15_000);
  const base = `${bed.daemon.viewersUrl}/live`;
  const viewers = { news: new Viewer(`${base}/news/one.ts`), sport: new Viewer(`${base}/sport/one.ts`) };
  t.teardown(() => closeAll(Object.values(viewers)));
  await morePictures(viewers.news, 'pictures of news');
  await morePictures(viewers.sport, 'pictures of sport');
  await until('packets at both receivers', () => rtpA().packets > 0 && rtpB().packets > 100);
  const before = { a: rtpA(), b: rtpB() };

  const changed = channel('sport', { ...playlist(b), multicast: { ...groupB, dscp: 10 } }, { name: 'Sport 1' });
  const outcome = await bed.reload({ channels: [channel('extra', playlist(c)), changed, news] });
  t.equal(outcome.outcome, 'applied');
  t.match(outcome.changes, [
    { key: 'channels[sport].name', kind: 'changed', old: 'Sport', new: 'Sport 1' },
    { key: 'channels[sport].renditions[one].multicast.dscp', old: 34, new: 10 },
    { key: 'channels[dark]', kind: 'removed' },
    { key: 'channels[extra]', kind: 'added' },
  ]);
  t.strictSame(outcome.steps, [
    'stream sport/one: new multicast sender, new labels; its viewers stay',
    'channels: lists and URLs as configured',
    'stream extra/one: begins',
    'stream dark/one: ends, its viewers are disconnected',
  ]);
  t.strictSame(
    bed.daemon.channels().map(({ id, name }) => [id, name]),
    [
      ['extra', 'extra'],
      ['sport', 'Sport 1'],
      ['news', 'news'],
    ],
  );
  t.match(await (await fetch(`${bed.daemon.viewersUrl}/channels.m3u`)).text(), /,Sport 1\n/, 'at once');
  t.equal((await fetch(`${base}/dark/one.ts`)).status, 404);
  await until('extra is ready', () => bed.rendition('extra').ready, 15_000);
  await morePictures(viewers.news, 'more of news');
  await morePictures(viewers.sport, 'more of sport');
  await until(
    'receivers have more',
    () => rtpA().packets > before.a.packets + 100 && rtpB().packets > before.b.packets + 100,
  );
  for (const [id, viewer] of Object.entries(viewers)) {
    t.equal(viewer.closed, false, `the viewer of ${id} is connected`);
    t.ok(inOrder(viewer.bytes), `every picture of ${id}, once and in order`);
    t.equal(bed.rendition(id).source.connects, 1, `the upstream connection of ${id} is the one of before`);
    t.equal(bed.rendition(id).viewers.continuous, 1);
  }
  t.match(rtpA(), { rtpLost: 0, rtpDuplicates: 0, ssrc: before.a.ssrc }, 'news: the same RTP stream, unbroken');
  t.match(rtpB(), { rtpLost: 0, ssrc: before.b.ssrc }, 'sport: another sender, the same RTP stream, unbroken');
  const received = rtpB().packets;
  t.ok((bed.rendition('sport').multicast?.packets ?? 0) >= received, 'totals go on over both senders');
  t.equal(a.connections, 1);
  t.match(await bed.metrics(), /^sluice_upstream_connections\{channel="news",rendition="one"\} 1$/m);
});

t.test('another source: ring, viewers and RTP stay; another ring: only that rendition begins anew', async (t) => {
  const [a, b, other] = [await origin(t), await origin(t), await origin(t)];
  const group = loopbackGroup();
  const sport = channel('sport', playlist(b));
  const bed = await Bed.start(t, { channels: [channel('news', { ...playlist(a), multicast: group }), sport] });
  const rtp = new Receivers(t).join(group);
  await until('both ready', () => bed.rendition('news').ready && bed.rendition('sport').ready, 15_000);
  const base = `${bed.daemon.viewersUrl}/live`;
  const [news, steady] = [new Viewer(`${base}/news/one.ts`), new Viewer(`${base}/sport/one.ts`)];
  t.teardown(() => closeAll([news, steady]));
  await morePictures(news, 'pictures');
  await until('packets', () => rtp().packets > 0);
  const { ssrc } = rtp();
  const moved = { ...playlist(other), multicast: group };
  t.match(await bed.reload({ channels: [channel('news', moved), sport] }), {
    steps: ['stream news/one: new source; its viewers stay', 'channels: lists and URLs as configured'],
  });
  await until('the new source flows', () => bed.rendition('news').state === 'flowing' && other.open === 1);
  await until('the old one is left', () => a.open === 0);
  await morePictures(news, 'pictures of the new source');
  t.equal(news.closed, false);
  t.equal(continuityErrors(news.bytes), 0, 'announced or rewritten');
  t.match(rtp(), { ssrc, rtpLost: 0 });
  t.equal(bed.rendition('news').input.discontinuities, 1);

  const larger = {
    ...channel('news', moved),
    renditions: [rendition('one', { ...moved, buffer: { memory: '2MiB' } })],
  };
  t.match(await bed.reload({ channels: [larger, sport] }), {
    steps: ['channels: lists and URLs as configured', 'stream news/one: begins anew, its viewers are disconnected'],
  });
  await until('the viewer is told', () => news.closed);
  await until(
    'ready anew',
    () => bed.rendition('news').ready && bed.rendition('news').ring.sizeBytes === 2 ** 21,
    15_000,
  );
  t.equal(steady.closed, false, 'the neighbour does not notice');
  t.equal(bed.rendition('sport').source.connects, 1);
  await until('one connection', () => other.open === 1);
});

t.test('fifty reloads at random leave nothing behind', async (t) => {
  const a = await origin(t);
  const news = channel('news', playlist(a));
  const memory = { plane: { memory: '16MiB' } };
  const bed = await Bed.start(t, { ...memory, channels: [news] });
  await until('ready', () => bed.rendition('news').ready, 15_000);
  const viewer = new Viewer(`${bed.daemon.viewersUrl}/live/news/one.ts`);
  t.teardown(() => viewer.close());
  await morePictures(viewer, 'pictures');

  const before = openDescriptors();
  const group = loopbackGroup();
  // A fixed seed: what fails can be looked at.
  let seed = 20;
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fffffff;
    return (seed >> 8) % below;
  };
  const wanderer = (n: number): object => {
    const sources = [playlist(a), { url: `udp://@127.0.0.1:${21_001 + n}` }, { url: 'http://127.0.0.1:9/x.ts' }];
    const multicast = random(2) === 0 ? {} : { multicast: { ...group, port: group.port + 2 * n, dscp: random(60) } };
    return channel(`w${n}`, { ...sources[random(3)], ...multicast }, random(2) === 0 ? {} : { name: `W ${random(9)}` });
  };
  for (let round = 0; round < 50; round++) {
    const others = [0, 1, 2, 3].filter(() => random(2) === 0).map(wanderer);
    const http = { listen: ['127.0.0.1:0', ...(random(2) === 0 ? ['[::1]:0'] : [])], max_lag: `${5 + random(5)}s` };
    await bed.reload({ ...memory, http, channels: random(2) === 0 ? [news, ...others] : [...others, news] });
  }
  await bed.reload({ ...memory, channels: [news] });
  await until('every descriptor is given back', () => openDescriptors() <= before, 15_000);
  t.equal(viewer.closed, false);
  t.ok(inOrder(viewer.bytes), 'every picture of the channel that stayed');
  t.equal(bed.rendition('news').source.connects, 1);
  const metrics = await bed.metrics();
  t.equal([...metrics.matchAll(/^sluice_stream_ring_size_bytes\{/gm)].length, 1, 'one stream');
  t.match(metrics, /^sluice_config_reloads_total\{result="failed"\} 0$/m);
  // The whole budget is free again but for the ring in use.
  const big = Array.from({ length: 15 }, (_, n) => channel(`full${n}`, { url: 'http://127.0.0.1:9/x.ts' }));
  t.equal((await bed.reload({ ...memory, channels: [news, ...big] })).outcome, 'applied', 'no memory was lost');
  await t.rejects(
    bed.reload({ ...memory, channels: [news, ...big, channel('more', { url: 'http://127.0.0.1:9/x.ts' })] }),
    { code: 'MEMORY_BUDGET' },
  );
});
