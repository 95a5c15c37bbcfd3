import { Agent, get, type IncomingHttpHeaders, request as open, type RequestOptions } from 'node:http';
import { connect } from 'node:net';
import { gunzipSync } from 'node:zlib';
import { type Test, test } from 'tap';
import { systemClock } from '../../daemon/base/clock.js';
import { loadClips } from '../../daemon/replay/load.js';
import { type Origin, startOrigin } from '../../daemon/replay/origin.js';
import { clocks, continuityErrors, HIGH, LOW, PACKET } from './fixtures.js';

const LISTEN = { address: '127.0.0.1', port: 0 };

async function start(t: Test): Promise<Origin> {
  const clips = loadClips([`high=${HIGH}`, `low=${LOW}`], { segmentMs: 2000, window: 6 });
  const origin = await startOrigin({ clips, listen: LISTEN });
  t.teardown(() => origin.close());
  return origin;
}

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

function ask(origin: Origin, path: string, options: RequestOptions = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = open({ host: '127.0.0.1', port: origin.port, path, agent: false, ...options }, (response) => {
      const pieces: Buffer[] = [];
      response.on('data', (piece: Buffer) => pieces.push(piece));
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(pieces) }),
      );
      response.on('error', reject);
    });
    request.on('error', reject);
    request.end();
  });
}

/** The first bytes of an endless answer. */
function taste(origin: Origin, path: string, bytes: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const request = get({ host: '127.0.0.1', port: origin.port, path, agent: false }, (response) => {
      const pieces: Buffer[] = [];
      let size = 0;
      response.on('data', (piece: Buffer) => {
        pieces.push(piece);
        size += piece.length;
        if (size < bytes) return;
        request.destroy();
        resolve(Buffer.concat(pieces));
      });
      response.on('error', reject);
    });
    request.on('error', reject);
  });
}

test('playlists lead to segments that go on from one to the next', { timeout: 60_000 }, async (t) => {
  const origin = await start(t);
  const master = (await ask(origin, '/master.m3u8')).body.toString();
  t.match(
    master,
    /^#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-STREAM-INF:BANDWIDTH=11\d{5},AVERAGE-BANDWIDTH=11\d{5}\nhigh\/index\.m3u8\n/,
  );
  const { body, headers } = await ask(origin, '/high/index.m3u8');
  t.match(headers, { 'content-type': 'application/vnd.apple.mpegurl', 'cache-control': 'no-cache' });
  const uris = body.toString().match(/^\d+\.ts$/gm) ?? [];
  t.equal(uris.length, 6);
  const short = (await ask(origin, '/high.m3u8')).body.toString().match(/^high\/\d+\.ts$/gm);
  t.equal(short?.length, 6);
  const segments = await Promise.all(uris.map((uri) => ask(origin, `/high/${uri}`)));
  t.ok(segments.every(({ status, headers: { 'content-type': type } }) => status === 200 && type === 'video/mp2t'));
  t.equal(continuityErrors(Buffer.concat(segments.map((segment) => segment.body))), 0);
});

test('answers are those of a web server', { timeout: 60_000 }, async (t) => {
  const origin = await start(t);
  const [uri = ''] =
    (await ask(origin, '/low/index.m3u8')).body
      .toString()
      .match(/^\d+\.ts$/gm)
      ?.slice(-1) ?? [];
  const whole = await ask(origin, `/low/${uri}`);

  const zipped = await ask(origin, '/low/index.m3u8', { headers: { 'accept-encoding': 'br, gzip;q=0.5' } });
  t.equal(zipped.headers['content-encoding'], 'gzip');
  t.match(gunzipSync(zipped.body).toString(), /^#EXTM3U/);
  const plain = await ask(origin, '/low/index.m3u8', { headers: { 'accept-encoding': 'gzip;q=0' } });
  t.match(plain.body.toString(), /^#EXTM3U/);

  const head = await ask(origin, `/low/${uri}`, { method: 'HEAD' });
  t.match(head, { status: 200, headers: { 'content-length': String(whole.body.length) } });
  t.equal(head.body.length, 0);

  const part = await ask(origin, `/low/${uri}`, { headers: { range: 'bytes=1000-' } });
  t.match(part, {
    status: 206,
    headers: { 'content-range': `bytes 1000-${whole.body.length - 1}/${whole.body.length}` },
  });
  t.ok(part.body.equals(whole.body.subarray(1000)));
  t.equal((await ask(origin, `/low/${uri}`, { headers: { range: 'bytes=99999999-' } })).status, 416);

  const number = Number.parseInt(uri, 10);
  const missing = [
    `/low/${number + 1000}.ts`,
    `/low/${number - 1000}.ts`,
    '/low/-1.ts',
    '/none/index.m3u8',
    '/none.ts',
    '/',
    '/low/',
  ];
  for (const path of [
    ...missing,
    '/low/1e3.ts',
    '/../etc/passwd',
    `/${'x'.repeat(5000)}`,
    '/%00',
    '/low/99999999999999999999.ts',
  ]) {
    t.equal((await ask(origin, path)).status, 404, path.slice(0, 40));
  }
  t.match(await ask(origin, '/low.ts', { method: 'POST' }), { status: 405, headers: { allow: 'GET, HEAD' } });
});

test('random bytes as requests do no harm', { timeout: 60_000 }, async (t) => {
  const origin = await start(t);
  for (const bytes of [
    '\0\0\0\0\r\n\r\n',
    'GET\r\n\r\n',
    'GET / HTTP/9.9\r\n\r\n',
    `GET / HTTP/1.1\r\nA: ${'x'.repeat(99_999)}\r\n\r\n`,
  ]) {
    await new Promise<void>((resolve) => {
      const socket = connect(origin.port, '127.0.0.1', () => socket.end(bytes));
      socket
        .on('error', () => resolve())
        .on('close', () => resolve())
        .resume();
    });
  }
  t.equal((await ask(origin, '/master.m3u8')).status, 200);
});

test('the continuous stream begins at an access point, is paced, and goes on after a restart', {
  timeout: 60_000,
}, async (t) => {
  const first = await start(t);
  const began = systemClock.now();
  // 2 s of a group come at once at most; the rest takes its time.
  const ts = await taste(first, '/low.ts', 56_400 * 3);
  const elapsed = systemClock.now() - began;
  t.ok(elapsed > 800, `3 s of media take 1 s at least (${Math.round(elapsed)} ms)`);
  t.equal((((ts[1] ?? 0) & 0x1f) << 8) | (ts[2] ?? 0), 0, 'the PAT comes first');
  t.equal(continuityErrors(ts), 0);
  await first.close();
  const second = await start(t);
  const later = await taste(second, '/low.ts', PACKET * 100);
  const [end = 0] = clocks(ts).slice(-1);
  const [begin = 0] = clocks(later);
  const step = (begin - end) / 27_000;
  t.ok(Math.abs(step) < 10_000, `time goes on where live is (${Math.round(step)} ms)`);
});

test('connections and requests are counted by rendition, kind and path', { timeout: 60_000 }, async (t) => {
  const origin = await start(t);
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  t.teardown(() => agent.destroy());
  const uris = (await ask(origin, '/high/index.m3u8', { agent })).body.toString().match(/^\d+\.ts$/gm) ?? [];
  for (const uri of uris) await ask(origin, `/high/${uri}`, { agent });
  await taste(origin, '/low.ts', PACKET);
  const stats = JSON.parse((await ask(origin, '/stats')).body.toString()) as ReturnType<Origin['stats']>;
  t.match(stats.requests, { master: 0, playlist: 1, segment: 6, continuous: 1, stats: 1, other: 0 });
  t.match(stats.renditions['high'], { connections: { total: 1, open: 1 }, requests: { playlist: 1, segment: 6 } });
  t.match(stats.renditions['low'], { connections: { total: 1 }, requests: { continuous: 1 } });
  t.equal(stats.connections.total, 3);
  for (const uri of uris) t.equal(stats.uris[`/high/${uri}`], 1);
});

test('a taken port is told', async (t) => {
  const { port } = await start(t);
  await t.rejects(startOrigin({ clips: [], listen: { address: '127.0.0.1', port } }), { code: 'ADDRESS_IN_USE' });
});

test('a viewer that takes nothing is cut off', { timeout: 60_000 }, async (t) => {
  const clips = loadClips([`high=${HIGH}`], { segmentMs: 2000, window: 6 });
  // A clock of its own that runs 100 times as fast: what fills the viewer's buffers in minutes does so at once.
  const begin = systemClock.wall();
  const clock = { ...systemClock, wall: () => begin + Math.min((systemClock.wall() - begin) * 100, 3_600_000) };
  const origin = await startOrigin({ clips, listen: LISTEN, clock });
  t.teardown(() => origin.close());
  const socket = connect(origin.port, '127.0.0.1', () => socket.write('GET /high.ts HTTP/1.1\r\nHost: x\r\n\r\n'));
  t.teardown(() => socket.destroy());
  const deadline = systemClock.now() + 30_000;
  while (origin.stats().stalled === 0 && systemClock.now() < deadline) await systemClock.delay(50);
  t.equal(origin.stats().stalled, 1);
});
