import { createSocket } from 'node:dgram';
import { get } from 'node:http';
import t from 'tap';
import { channel, disorder, edge, live } from './bed.js';
import { until, Viewer } from './edge.js';
import { continuityErrors, FRAME_RATE, frameNumbers, TsMaker } from './ts-maker.js';

t.setTimeout(170_000);

async function fetchText(url: string): Promise<{ status: number; type: string; body: string }> {
  return new Promise((resolve, reject) => {
    get(url, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          type: response.headers['content-type'] ?? '',
          body: Buffer.concat(chunks).toString(),
        }),
      );
    }).on('error', reject);
  });
}

t.test(
  'HLS by way of a master, a redirect and gzip: one connection, each segment once, every picture in order',
  async (t) => {
    const origin = await live(t);
    const it = await edge(t, channel({ url: `${origin.base}/live/a/master.m3u8`, max_bandwidth: 500_000 }));
    t.equal(it.rendition().state, 'starting');
    await until('flowing and ready', () => it.rendition().state === 'flowing' && it.rendition().ready);
    const viewer = new Viewer(`${it.base}/live/news/high.ts`);
    t.teardown(() => viewer.close());
    await until('four seconds of pictures', () => frameNumbers(viewer.bytes).length > 4 * FRAME_RATE, 15_000);
    const numbers = frameNumbers(viewer.bytes);
    t.equal(disorder(numbers), null);
    t.equal((numbers[0] ?? -1) % FRAME_RATE, 0, 'begins at an access point');
    t.equal(continuityErrors(viewer.bytes), 0);
    t.equal(origin.connections, 1);
    t.strictSame(
      [...origin.segmentCounts().values()].filter((count) => count !== 1),
      [],
    );
    const first = origin.requests[0];
    t.match(first?.headers, { 'user-agent': 'Sluice/1.2.3', 'accept-encoding': 'gzip', host: origin.base.slice(7) });
    t.match(it.rendition().source, { kind: 'hls', connections: 1, connects: 1, retries: 0, requests: { stream: 0 } });
    t.equal(it.rendition().source.requests.playlist + it.rendition().source.requests.segment, origin.requests.length);
    t.equal(it.rendition().viewers.continuous, 1);
    t.match(await it.service.viewers(), [{ stream: 'news/high', remote: /^127\.0\.0\.1/ }]);
    t.equal(
      it.service.why('news')?.renditions[0]?.steps.every(({ ok }) => ok),
      true,
    );
    t.equal(it.service.why('none'), undefined);
  },
);

t.test('what viewers and operators find: play lists, SDP, metrics, tables', async (t) => {
  const origin = await live(t);
  const multicast = { address: '232.7.7.7', port: 5020, interface: 'lo', source: '127.0.0.1', ttl: 0 };
  const it = await edge(
    t,
    channel({ url: `${origin.base}/live/index.m3u8`, resolution: '640x360', codecs: 'avc1.42c00a', multicast }),
  );
  t.match(await fetchText(`${it.base}/live/news/index.m3u8`), { status: 503 }, 'the master, before there is a picture');
  t.match(await fetchText(`${it.base}/live/news/high.ts`), { status: 503 });
  const master = async (): Promise<string> => (await fetchText(`${it.base}/live/news/index.m3u8`)).body;
  await until('a master playlist', async () => (await master()).includes('EXT-X-STREAM-INF'));
  t.match(
    await master(),
    /^#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-STREAM-INF:BANDWIDTH=\d+0000,RESOLUTION=640x360,CODECS="avc1\.42c00a"\nhigh\/index\.m3u8\n$/,
  );
  const media = await fetchText(`${it.base}/live/news/high/index.m3u8`);
  t.match(media, { status: 200, body: /#EXTINF/ });
  const segment = /^\d+\.ts$/m.exec(media.body)?.[0];
  t.match(await fetchText(`${it.base}/live/news/high/${segment}`), { status: 200, type: 'video/mp2t' });
  t.match(await fetchText(`${it.base}/channels.m3u`), {
    status: 200,
    type: 'audio/x-mpegurl',
    body: `,News\n${it.base}/live/news/index.m3u8\n`,
  });
  t.match(await fetchText(`${it.base}/channels-multicast.m3u`), { body: ',News\nrtp://127.0.0.1@232.7.7.7:5020\n' });
  t.match(await fetchText(`${it.base}/live/news/high.sdp`), {
    type: 'application/sdp',
    body: 'a=source-filter: incl IN IP4 232.7.7.7 127.0.0.1',
  });
  await until('packets by multicast', () => (it.rendition().multicast?.packets ?? 0) > 100);
  t.match(it.rendition().multicast, { url: 'rtp://127.0.0.1@232.7.7.7:5020', errors: 0, fault: null });
  await until('an HLS viewer is counted', async () => {
    await fetchText(`${it.base}/live/news/high/index.m3u8`);
    return it.rendition().viewers.hls === 1;
  });
  const metrics = await it.metrics.text();
  for (const line of [
    /^sluice_upstream_requests_total\{channel="news",rendition="high",kind="segment"\} [1-9]/m,
    /^sluice_upstream_requests_total\{channel="news",rendition="high",kind="stream"\} 0/m,
    /^sluice_upstream_connections\{channel="news",rendition="high"\} 1/m,
    /^sluice_stream_packets_total\{stream="news\/high",direction="in"\} [1-9]/m,
    /^sluice_stream_packets_total\{stream="news\/high",direction="out"\} [1-9]/m,
    /^sluice_stream_bytes_total\{stream="news\/high",direction="out"\} [1-9]/m,
    /^sluice_receiver_drops_total\{stream="news\/high",reason="slow-viewer"\} 0/m,
    /^sluice_viewers\{channel="news",mode="continuous"\} 0/m,
    /^sluice_viewers\{channel="news",mode="hls"\} 1/m,
    /^sluice_source_state\{channel="news",rendition="high",state="flowing"\} 1/m,
  ]) {
    t.match(metrics, line);
  }
  t.match((await it.registry.read('channels')).rows, [{ stream: 'news/high', state: 'flowing', connections: 1 }]);
  t.match(await it.registry.why('channel', 'news'), ['channel news is flowing', /every step works/]);
  await it.service.stop();
  t.match(await fetchText(`${it.base}/channels.m3u`), { status: 404 }, 'nothing is left');
  t.equal(it.rendition().state, 'stopped');
});

t.test('the origin is killed and comes back: nobody is disconnected, sequence numbers go on', async (t) => {
  const origin = await live(t);
  const it = await edge(t, channel({ url: `${origin.base}/live/index.m3u8` }));
  await until('ready', () => it.rendition().ready);
  const viewer = new Viewer(`${it.base}/live/news/high.ts`);
  t.teardown(() => viewer.close());
  await until('pictures', () => frameNumbers(viewer.bytes).length > FRAME_RATE);
  await origin.kill();
  await until('the outage is seen', () => it.rendition().state === 'retrying');
  t.match(it.rendition(), { code: /^UPSTREAM_/ });
  t.match(it.service.why('news')?.renditions[0]?.steps[0], { step: 'source', ok: false, says: /retrying.*UPSTREAM_/ });
  await new Promise((resolve) => setTimeout(resolve, 3_000));
  origin.restart();
  await origin.listen();
  const returned = Date.now();
  await until('flowing again', () => it.rendition().state === 'flowing');
  t.ok(Date.now() - returned < 3_000, `back after ${Date.now() - returned} ms`);
  const before = frameNumbers(viewer.bytes).length;
  await until('pictures of the new timeline', () => frameNumbers(viewer.bytes).length > before + FRAME_RATE);
  t.equal(viewer.closed, false);
  t.equal(continuityErrors(viewer.bytes), 0, 'announced or rewritten');
  t.ok(it.rendition().input.discontinuities >= 1);
  t.ok(origin.connections >= 2);
  t.ok(it.rendition().source.retries >= 1);
  const lines = it.lines.filter((line) => line.includes('source failed'));
  t.ok(lines.length >= 1 && lines.length <= 6, `${lines.length} lines for the outage`);
});

t.test('segments cut short are resumed: nothing twice, nothing lost', async (t) => {
  const origin = await live(t);
  let cuts = 0;
  origin.intercept = (request, response) => {
    const n = Number(/seg(\d+)\.ts/.exec(request.url ?? '')?.[1] ?? 1);
    if (n % 2 !== 0 || request.headers.range !== undefined) return false;
    cuts += 1;
    const body = origin.segment(n);
    response.writeHead(200, { 'content-length': body.length });
    // In the middle of a packet; what was sent must have left before the connection goes.
    response.write(body.subarray(0, 10_001), () => setTimeout(() => request.socket.destroy(), 30));
    return true;
  };
  const it = await edge(t, channel({ url: `${origin.base}/live/index.m3u8` }));
  await until('ready', () => it.rendition().ready);
  const viewer = new Viewer(`${it.base}/live/news/high.ts`);
  t.teardown(() => viewer.close());
  await until('five seconds of pictures', () => frameNumbers(viewer.bytes).length > 5 * FRAME_RATE, 15_000);
  t.ok(cuts >= 2, `${cuts} cuts`);
  t.equal(disorder(frameNumbers(viewer.bytes)), null);
  t.equal(continuityErrors(viewer.bytes), 0);
  t.equal(it.rendition().input.discontinuities, 0);
  t.ok(origin.requests.some(({ range }) => range === 'bytes=10001-'));
});

t.test('servers that ignore Range are resumed too', async (t) => {
  const origin = await live(t);
  const cut = new Set<number>();
  origin.intercept = (request, response) => {
    const n = Number(/seg(\d+)\.ts/.exec(request.url ?? '')?.[1] ?? -1);
    if (n < 0) return false;
    const body = origin.segment(n);
    response.writeHead(200, { 'content-length': body.length });
    if (cut.has(n)) response.end(body);
    else response.write(body.subarray(0, 7_777), () => setTimeout(() => request.socket.destroy(), 30));
    cut.add(n);
    return true;
  };
  const it = await edge(t, channel({ url: `${origin.base}/live/index.m3u8` }));
  await until('ready', () => it.rendition().ready);
  const viewer = new Viewer(`${it.base}/live/news/high.ts`);
  t.teardown(() => viewer.close());
  await until('three seconds of pictures', () => frameNumbers(viewer.bytes).length > 3 * FRAME_RATE, 15_000);
  t.equal(disorder(frameNumbers(viewer.bytes)), null);
});

t.test('the next of several URLs is taken', async (t) => {
  const origin = await live(t);
  const dead = await live(t);
  const deadUrl = `${dead.base}/live/index.m3u8`;
  await dead.kill();
  const it = await edge(t, channel({ urls: [deadUrl, `http://u:secret@${origin.base.slice(7)}/live/index.m3u8`] }));
  await until('flowing from the second', () => it.rendition().state === 'flowing');
  t.equal(it.rendition().source.url, `${origin.base}/live/index.m3u8`, 'shown without user information');
  t.equal(origin.requests[0]?.headers.authorization, `Basic ${Buffer.from('u:secret').toString('base64')}`);
  t.notMatch(it.lines.join('') + JSON.stringify(it.service.channels()), 'secret');
});

t.test('what cannot be played is refused by name, and looked at slowly', async (t) => {
  const origin = await live(t);
  origin.tagsOf = () => ['#EXT-X-KEY:METHOD=SAMPLE-AES,URI="key"'];
  const it = await edge(t, channel({ url: `${origin.base}/live/index.m3u8` }));
  await until('refused', () => it.rendition().state === 'failed');
  t.match(it.rendition(), { code: 'SOURCE_ENCRYPTED', reason: /METHOD=SAMPLE-AES/ });
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  t.equal(origin.requests.length, 1, 'not asked again soon');
});

t.test('several programmes need a choice', async (t) => {
  const origin = await live(t);
  const maker = new TsMaker(2);
  origin.intercept = (request, response) => {
    if (!/seg\d+\.ts/.test(request.url ?? '')) return false;
    response.end(maker.frames(0, FRAME_RATE));
    return true;
  };
  const it = await edge(t, channel({ url: `${origin.base}/live/index.m3u8` }));
  await until('refused', () => it.rendition().state === 'failed');
  t.match(it.rendition(), { code: 'SOURCE_PROGRAM_REQUIRED' });
});

t.test('a continuous stream: asked for once, reconnected when it ends, whatever the path tells', async (t) => {
  for (const path of ['/stream.ts', '/udp/239.1.1.1:5000']) {
    const origin = await live(t);
    const maker = new TsMaker();
    let frame = 0;
    let ending: (() => void) | undefined;
    origin.intercept = (_request, response) => {
      response.writeHead(200, { 'content-type': 'video/mp2t' });
      frame = Math.ceil(frame / FRAME_RATE) * FRAME_RATE;
      const timer = setInterval(() => {
        response.write(maker.frames(frame, frame + 5));
        frame += 5;
      }, 200);
      // Enough at once for whoever only wants to see what it is.
      if (!path.endsWith('.ts') && origin.requests.length === 1) response.write(maker.frames(0, 20 * FRAME_RATE));
      ending = () => response.end();
      response.on('close', () => clearInterval(timer));
      return true;
    };
    const it = await edge(t, channel({ url: origin.base + path }));
    await until('flowing', () => it.rendition().state === 'flowing' && it.rendition().ready);
    t.match(it.rendition().source, { kind: 'http', requests: { stream: 1 } });
    t.equal(origin.open, 1, 'one connection');
    const viewer = new Viewer(`${it.base}/live/news/high.ts`);
    t.teardown(() => viewer.close());
    await until('pictures', () => frameNumbers(viewer.bytes).length > FRAME_RATE);
    ending?.();
    await until('reconnected', () => it.rendition().source.requests.stream === 2 && it.rendition().state === 'flowing');
    const before = frameNumbers(viewer.bytes).length;
    await until('pictures again', () => frameNumbers(viewer.bytes).length > before + FRAME_RATE);
    t.equal(viewer.closed, false);
    await it.close();
  }
});

t.test('datagrams: taken up when they come, a stall when they stop', async (t) => {
  const it = await edge(t, channel({ url: 'udp://@239.255.77.77:5102?iface=lo' }));
  const socket = createSocket('udp4');
  t.teardown(() => socket.close());
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
  socket.setMulticastInterface('127.0.0.1');
  socket.setMulticastTTL(0);
  const maker = new TsMaker();
  let frame = 0;
  const send = (): void => {
    const bytes = maker.frames(frame, ++frame);
    for (let at = 0; at < bytes.length; at += 7 * 188)
      socket.send(bytes.subarray(at, at + 7 * 188), 5102, '239.255.77.77');
  };
  let timer = setInterval(send, 40);
  t.teardown(() => clearInterval(timer));
  await until('flowing', () => it.rendition().state === 'flowing' && it.rendition().ready);
  t.equal(it.rendition().source.kind, 'udp');
  clearInterval(timer);
  await until('stalled', () => it.rendition().code === 'SOURCE_STALLED');
  t.equal(it.rendition().state, 'retrying');
  frame = Math.ceil(frame / FRAME_RATE) * FRAME_RATE;
  timer = setInterval(send, 40);
  await until('flowing again', () => it.rendition().state === 'flowing');
});

t.test('one stream that cannot be set up does not take the others down', async (t) => {
  const origin = await live(t);
  const url = `${origin.base}/live/index.m3u8`;
  const multicast = { address: '239.7.7.8', port: 5030, interface: 'no-such-if0' };
  const renditions = [
    { id: 'good', url, buffer: { memory: '4MiB' }, multicast },
    { id: 'big', url, buffer: { memory: '64MiB' } },
    { id: 'away', url: 'rtp://239.7.7.9:5040?iface=no-such-if0', buffer: { memory: '4MiB' } },
  ];
  const it = await edge(t, [{ id: 'news', hls: { segment: '1s' }, renditions }], 16 * 2 ** 20);
  await until('the good one flows', () => it.rendition(0).state === 'flowing');
  t.match(it.rendition(0).multicast, { packets: 0, fault: /INTERFACE_UNKNOWN/ });
  t.match(it.rendition(1), { state: 'failed', code: 'MEMORY_BUDGET' });
  t.match(it.rendition(2), { state: 'retrying', code: 'INTERFACE_UNKNOWN' });
  t.equal(it.service.channels()[0]?.state, 'degraded');
  await until('listed', async () =>
    (await fetchText(`${it.base}/live/news/index.m3u8`)).body.includes('good/index.m3u8'),
  );
  t.notMatch((await fetchText(`${it.base}/live/news/index.m3u8`)).body, 'away');
});

t.test('what is no playlist and no media: a clear error each, never an exit', async (t) => {
  const bodies: [string, Buffer, RegExp][] = [
    ['/live/index.m3u8', Buffer.from('<html>error</html>'), /PLAYLIST_INVALID/],
    ['/live/index.m3u8', Buffer.alloc(0), /PLAYLIST_INVALID/],
    ['/live/index.m3u8', Buffer.alloc(5 * 2 ** 20, 0x23), /UPSTREAM_TOO_LARGE/],
    ['/stream.ts', Buffer.alloc(400_000, 0x20), /SOURCE_NOT_MPEGTS/],
    ['/stream.ts', Buffer.alloc(0), /UPSTREAM_CLOSED/],
  ];
  for (const [path, body, code] of bodies) {
    const origin = await live(t);
    origin.intercept = (_request, response) => {
      response.end(body);
      return true;
    };
    const it = await edge(t, channel({ url: origin.base + path }));
    const seen = new Set<string>();
    await until(`${code} for ${body.length} bytes at ${path}`, () => {
      seen.add(it.rendition().code ?? '');
      return [...seen].some((one) => code.test(one));
    });
    await it.close();
  }
  const silent = await live(t);
  silent.intercept = () => true;
  const waiting = await edge(t, channel({ url: `${silent.base}/live/index.m3u8` }));
  await until('asked', () => silent.requests.length === 1);
  const before = Date.now();
  await waiting.service.stop();
  t.ok(Date.now() - before < 1_000, 'a running request does not hold up the end');
  const moved = await live(t);
  moved.intercept = (_request, response) => {
    response.writeHead(302, { location: '/again.m3u8' }).end();
    return true;
  };
  const it = await edge(t, channel({ url: `${moved.base}/live/index.m3u8` }));
  await until('redirects are bounded', () => it.rendition().code === 'UPSTREAM_REDIRECTS');
});
