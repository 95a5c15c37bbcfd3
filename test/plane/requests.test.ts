// Requests to a real origin: how they end, what goes on, and that nothing is lost when the ring holds the origin back.
import { createCipheriv, createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import t, { type Test } from 'tap';
import { SluiceError } from '../../daemon/base/errors.js';
import type { PlaneApi, UpstreamHandle, UpstreamRequest, UpstreamResponse } from '../../daemon/plane/contract.js';
import { createPlane } from '../../daemon/plane/plane.js';
import { TsMaker } from '../streams/ts-maker.js';
import { STREAM, UPSTREAM } from './options.js';

const MIB = 2 ** 20;

interface Bed {
  readonly plane: PlaneApi;
  readonly stream: ReturnType<PlaneApi['addStream']>;
  readonly upstream: UpstreamHandle;
  readonly origin: Server;
  readonly connections: () => number;
  readonly ask: (target: string, more?: Partial<UpstreamRequest>) => Promise<UpstreamResponse>;
}

async function bed(t: Test, answer: RequestListener, timeouts: Partial<typeof UPSTREAM> = {}): Promise<Bed> {
  let connections = 0;
  const origin = createServer(answer);
  origin.on('connection', () => connections++);
  await new Promise<void>((resolve) => origin.listen(0, '127.0.0.1', resolve));
  const { port } = origin.address() as AddressInfo;
  const plane = createPlane({ memoryBytes: 8 * MIB });
  t.teardown(async () => {
    await plane.close();
    origin.closeAllConnections();
    await new Promise((resolve) => origin.close(resolve));
  });
  const stream = plane.addStream({ ...STREAM, delayMs: 20 });
  const upstream = plane.openUpstream(stream, { ...UPSTREAM, ...timeouts });
  const ask: Bed['ask'] = (target, more = {}) =>
    plane.request(upstream, {
      ...{ address: '127.0.0.1', port, host: 'origin.example', target, headers: {} },
      ...{
        tls: null,
        totalTimeoutMs: 0,
        sink: 'memory',
        maxBytes: MIB,
        skipBytes: 0,
        discontinuity: false,
        seal: null,
      },
      ...more,
    });
  return { plane, stream, upstream, origin, connections: () => connections, ask };
}

async function failure(request: Promise<unknown>): Promise<SluiceError> {
  try {
    await request;
  } catch (error) {
    if (error instanceof SluiceError) return error;
    throw error;
  }
  throw new Error('the request was answered');
}

async function until(done: () => boolean, ms = 10_000): Promise<void> {
  const end = Date.now() + ms;
  while (!done()) {
    if (Date.now() > end) throw new Error('it did not come about in time');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

t.test('one connection is kept for one request after the other', async (t) => {
  const seen: IncomingMessage[] = [];
  const { ask, connections, plane, upstream } = await bed(t, (request, response) => {
    seen.push(request);
    response.setHeader('x-two', ['a', 'b']);
    response.end(`answer to ${request.url}`);
  });
  for (let i = 0; i < 5; i++) {
    const { status, headers, body, bytes } = await ask(`/file?n=${i}`, { headers: { 'x-own': 'yes' } });
    t.equal(status, 200);
    t.equal(Buffer.from(body).toString(), `answer to /file?n=${i}`);
    t.equal(bytes, body.length);
    t.equal(headers['x-two'], 'a, b');
  }
  t.equal(connections(), 1);
  t.equal(seen[0]?.headers.host, 'origin.example');
  t.equal(seen[0]?.headers['x-own'], 'yes');
  t.match(plane.upstreamCounters(upstream), { connects: 1, requests: 5, connected: 1 });
});

t.test('bodies in chunks and compressed come decoded; other statuses come without', async (t) => {
  const text = 'line\n'.repeat(10_000);
  const { ask } = await bed(t, (request, response) => {
    if (request.url === '/gzip') {
      response.setHeader('content-encoding', 'gzip');
      response.end(gzipSync(text));
    } else if (request.url === '/chunks') {
      for (let i = 0; i < 10; i++) response.write(text.slice(0, text.length / 10));
      response.end();
    } else if (request.url === '/moved') {
      response.writeHead(302, { location: '/gzip' }).end('elsewhere');
    } else {
      response.writeHead(404).end('none');
    }
  });
  t.equal(Buffer.from((await ask('/gzip')).body).toString(), text);
  t.equal(Buffer.from((await ask('/chunks')).body).toString(), text);
  t.match(await ask('/moved'), { status: 302, headers: { location: '/gzip' }, body: { length: 0 } });
  t.match(await ask('/other'), { status: 404, body: { length: 0 } });
});

t.test('a request says how it failed, and the next one is served', async (t) => {
  const answers: Record<string, (response: ServerResponse) => void> = {
    '/cut': (response) => {
      response.setHeader('content-length', 100);
      response.write('ten bytes.', () => response.destroy());
    },
    '/large': (response) => void response.end(Buffer.alloc(2000)),
    '/odd': (response) => {
      response.setHeader('content-encoding', 'br');
      response.end('x');
    },
    '/mute': () => undefined,
    '/stuck': (response) => void response.write('some'),
    '/nonsense': (response) => void response.socket?.end('this is no HTTP\r\n\r\n'),
    '/good': (response) => void response.end('good'),
  };
  const { ask } = await bed(t, (request, response) => answers[request.url ?? '']?.(response), {
    headTimeoutMs: 300,
    idleTimeoutMs: 300,
  });
  const failures = {
    '/cut': 'UPSTREAM_CLOSED',
    '/large': 'UPSTREAM_TOO_LARGE',
    '/odd': 'UPSTREAM_ENCODING',
    '/mute': 'UPSTREAM_TIMEOUT',
    '/stuck': 'UPSTREAM_TIMEOUT',
    '/nonsense': 'UPSTREAM_HTTP',
  };
  for (const [target, code] of Object.entries(failures)) {
    const error = await failure(ask(target, { maxBytes: 1000 }));
    t.equal(error.code, code, target);
    t.type(error.details.bytes, 'number');
    t.equal(Buffer.from((await ask('/good')).body).toString(), 'good', `after ${target}`);
  }
  t.equal((await failure(ask('/cut'))).details.bytes, 10);
  t.equal((await failure(ask('/good', { port: 1 }))).code, 'UPSTREAM_CONNECT');
  t.equal((await failure(ask('/good', { headers: { 'x-bad': 'a\r\nb: c' } }))).code, 'UPSTREAM_HTTP');
  t.equal((await failure(ask('no slash'))).code, 'USAGE');
});

t.test('one request at a time; closing in the middle of a body rejects it', async (t) => {
  const ts = new TsMaker().frames(0, 2);
  const { plane, stream, upstream, ask } = await bed(t, (_, response) => void response.write(ts));
  const waiting = failure(ask('/endless', { sink: 'stream' }));
  t.equal((await failure(ask('/second'))).code, 'USAGE');
  await until(() => plane.streamCounters(stream).bytesIn >= ts.length);
  plane.closeUpstream(upstream);
  t.equal((await waiting).code, 'UPSTREAM_CLOSED');
  t.equal((await failure(ask('/third'))).code, 'HANDLE_UNKNOWN');
});

t.test('a body taken up again goes on where it broke off, whether the origin knows ranges or not', async (t) => {
  const ts = new TsMaker().frames(0, 150);
  for (const ranges of [true, false]) {
    const { plane, stream, ask } = await bed(t, (request, response) => {
      const from = Number(/bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
      if (from === 0) {
        response.setHeader('content-length', ts.length);
        response.write(ts.subarray(0, 100_001), () => response.destroy());
      } else if (ranges) {
        response
          .writeHead(206, { 'content-range': `bytes ${from}-${ts.length - 1}/${ts.length}` })
          .end(ts.subarray(from));
      } else {
        response.end(ts);
      }
    });
    const error = await failure(ask('/segment', { sink: 'stream' }));
    t.equal(error.details.bytes, 100_001);
    const { bytes } = await ask('/segment', {
      sink: 'stream',
      skipBytes: 100_001,
      headers: { range: 'bytes=100001-' },
    });
    t.equal(bytes, ts.length);
    const counters = plane.streamCounters(stream);
    t.match(counters, { bytesIn: ts.length, tsPacketsIn: ts.length / 188, continuityErrors: 0, syncErrors: 0 });
  }
});

t.test('a fast origin is held back by a small ring, and nothing of its body is lost', async (t) => {
  // Two seconds of 20 Mbit/s, of which the ring holds a fifth; the origin writes as fast as it is read.
  const ts = new TsMaker(1, 100_000).frames(0, 50, 2);
  const { plane, stream, ask } = await bed(t, (_, response) => void response.end(ts));
  const { port } = plane.listen({
    ...{ address: '127.0.0.1', port: 0, maxConnections: 10, headerTimeoutMs: 5000, idleTimeoutMs: 5000 },
    ...{ stallTimeoutMs: 5000, sendBufferBytes: MIB, viewerLagMs: 10_000 },
  });
  plane.setRoute('/x.ts', { kind: 'continuous', stream });
  const answer = ask('/fast', { sink: 'stream' });
  await until(() => plane.streamCounters(stream).packetsReleased > 500);
  const viewer = await fetch(`http://127.0.0.1:${port}/x.ts`);
  const got: Uint8Array[] = [];
  const reading = (async () => {
    for await (const piece of viewer.body ?? []) got.push(piece as Uint8Array);
  })().catch(() => undefined);
  t.equal((await answer).bytes, ts.length);
  t.match(plane.streamCounters(stream), { bytesIn: ts.length, ringFullDrops: 0, continuityErrors: 0, viewerDrops: 0 });
  await until(() => plane.streamCounters(stream).packetsReleased * 1316 >= ts.length);
  await until(() => Buffer.concat(got).length > MIB);
  plane.removeStream(stream);
  await reading;
  const seen = Buffer.concat(got);
  const begin = ts.indexOf(seen.subarray(0, 188 * 3));
  t.ok(begin >= 0, 'it begins where the source has an access point');
  const sha = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
  t.equal(sha(seen), sha(ts.subarray(begin, begin + seen.length)), 'and goes on byte by byte');
});

t.test('events tell of heads and readiness, and not of what was removed', async (t) => {
  const ts = new TsMaker().frames(0, 250);
  const { plane, stream, upstream, ask } = await bed(t, (_, response) => void response.write(ts));
  const events: unknown[] = [];
  const end = plane.onEvent((event) => events.push(event));
  plane.onEvent(() => {
    throw new Error('one listener fails');
  });
  const waiting = failure(ask('/live', { sink: 'stream' }));
  await until(() => events.length >= 2);
  t.same(events, [
    { type: 'upstream-head', upstream, status: 200 },
    { type: 'stream-ready', stream },
  ]);
  end();
  events.length = 0;
  plane.onEvent((event) => events.push(event));
  plane.removeStream(stream);
  t.equal((await waiting).code, 'UPSTREAM_CLOSED');
  t.throws(() => plane.upstreamCounters(upstream), { code: 'HANDLE_UNKNOWN' }, 'it went with its stream');
  await new Promise((resolve) => setImmediate(resolve));
  t.same(events, []);
});

const SEAL = { key: '000102030405060708090a0b0c0d0e0f', iv: `${'0'.repeat(30)}2a`, skipBytes: 0 };

function sealed(clear: Buffer): Buffer {
  const cipher = createCipheriv('aes-128-cbc', Buffer.from(SEAL.key, 'hex'), Buffer.from(SEAL.iv, 'hex'));
  return Buffer.concat([cipher.update(clear), cipher.final()]);
}

t.test('an encrypted body goes into the stream in the clear, and is taken up again from its start', async (t) => {
  const ts = new TsMaker().frames(0, 150);
  const body = sealed(ts);
  let asked = 0;
  const { plane, stream, ask } = await bed(t, (_, response) => {
    response.setHeader('content-length', body.length);
    if (asked++ === 0) response.write(body.subarray(0, 100_001), () => response.destroy());
    else response.end(body);
  });
  const error = await failure(ask('/segment', { sink: 'stream', seal: SEAL }));
  t.equal(error.code, 'UPSTREAM_CLOSED');
  t.equal(error.details.bytes, 100_000, 'whole blocks');
  const { bytes } = await ask('/segment', { sink: 'stream', seal: { ...SEAL, skipBytes: 100_000 } });
  t.equal(bytes, ts.length);
  const counters = plane.streamCounters(stream);
  t.match(counters, { bytesIn: ts.length, tsPacketsIn: ts.length / 188, continuityErrors: 0, syncErrors: 0 });
});

t.test('what cannot be decrypted fails by name, and the next one is taken', async (t) => {
  const ts = new TsMaker().frames(0, 25);
  const body = sealed(ts);
  const bodies: Record<string, Buffer> = {
    '/odd': body.subarray(0, body.length - 1),
    '/unpadded': body.subarray(0, body.length - 16),
    '/clear': Buffer.alloc(1600, 0x47),
    '/good': body,
    '/empty': Buffer.alloc(0),
  };
  const { plane, stream, ask } = await bed(t, (request, response) => void response.end(bodies[request.url ?? '']));
  const cases: [string, Partial<typeof SEAL>, RegExp][] = [
    ['/odd', {}, /no multiple of 16/],
    ['/unpadded', {}, /padding/],
    ['/clear', {}, /the key may be wrong/],
    ['/good', { key: 'f'.repeat(32) }, /the key may be wrong/],
  ];
  for (const [target, other, message] of cases) {
    const error = await failure(ask(target, { sink: 'stream', seal: { ...SEAL, ...other } }));
    t.match(error, { code: 'UPSTREAM_DECRYPT', message });
    t.equal((await ask('/good', { sink: 'stream', discontinuity: true, seal: SEAL })).bytes, ts.length, target);
  }
  t.equal((await ask('/empty', { sink: 'stream', seal: SEAL })).bytes, 0);
  t.equal(plane.streamCounters(stream).syncErrors, 0, 'no noise got in');
  for (const wrong of [{ key: 'ff' }, { iv: 'g'.repeat(32) }, { skipBytes: -1 }])
    t.equal((await failure(ask('/good', { sink: 'stream', seal: { ...SEAL, ...wrong } }))).code, 'USAGE');
  t.equal((await failure(ask('/good', { seal: SEAL }))).code, 'USAGE', 'only for the stream');
});
