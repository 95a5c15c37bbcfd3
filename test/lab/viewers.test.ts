import { spawn } from 'node:child_process';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import t from 'tap';
import type { z } from 'zod';
import { compile } from './lib/compile.js';
import { poll } from './lib/poll.js';
import { which } from './lib/tools.js';
import { viewersLine } from './lib/viewers.js';

const unless = which('g++') === undefined ? { skip: 'g++ not found' } : {};

/** One TS packet with a payload; `flags` are those of an adaptation field, or null for none. */
function packet(pid: number, counter: number, flags: number | null = null, start = false): Buffer {
  const bytes = Buffer.alloc(188, 0xff);
  bytes.writeUInt32BE(0x47000010 | (start ? 0x400000 : 0) | (pid << 8) | (counter & 15), 0);
  if (flags === null) return bytes;
  bytes[3] = (bytes[3] ?? 0) | 0x20;
  bytes.set([1, flags], 4);
  return bytes;
}

/** PAT for program 1 with its PMT on 0x100; PMT with H.264 on 0x101 (ISO/IEC 13818-1 2.4.4). CRCs are not checked. */
function tables(counter: number): Buffer {
  const pat = packet(0, counter, null, true);
  pat.set([0, 0x00, 0xb0, 13, 0, 1, 0xc1, 0, 0, 0, 1, 0xe1, 0x00, 0, 0, 0, 0], 4);
  const pmt = packet(0x100, counter, null, true);
  pmt.set([0, 0x02, 0xb0, 18, 0, 1, 0xc1, 0, 0, 0xe1, 0x01, 0xf0, 0, 0x1b, 0xe1, 0x01, 0xf0, 0, 0, 0, 0, 0], 4);
  return Buffer.concat([pat, pmt]);
}

/** `count` packets of video behind tables and a random access point, continuity counters from `first`. */
function piece(index: number, count = 16): Buffer {
  const video = Array.from({ length: count }, (_, i) => packet(0x101, index * count + i, i === 0 ? 0x40 : null));
  return Buffer.concat([tables(index), ...video]);
}

async function serve(answer: (path: string, response: ServerResponse) => void): Promise<Server> {
  const server = createServer((request, response) => answer(request.url ?? '', response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

/** Runs the viewers until `enough` says so and returns their last line. */
async function watch(
  server: Server,
  args: readonly string[],
  enough: () => boolean,
): Promise<z.infer<typeof viewersLine>> {
  const program = await compile('viewers', ['test/lab/viewers/viewers.cc']);
  const { port } = server.address() as AddressInfo;
  const child = spawn(program, ['--server', '127.0.0.1', '--port', String(port), ...args]);
  let text = '';
  child.stdout.on('data', (part: Buffer) => {
    text += part.toString();
  });
  const ended = new Promise((resolve) => child.on('close', resolve));
  try {
    await poll(enough, 15_000, () => `enough to be seen: ${text}`);
  } finally {
    child.kill('SIGTERM');
    await ended;
    server.closeAllConnections();
    server.close();
  }
  return viewersLine.parse(JSON.parse(text.trim().split('\n').at(-1) ?? ''));
}

t.test('continuous viewers count what is right and what is wrong', { timeout: 60_000, ...unless }, async (t) => {
  let finished = 0;
  const server = await serve((_path, response) => {
    response.writeHead(200, { 'content-type': 'video/mp2t' });
    response.write(piece(0).subarray(0, 1_000)); // cut inside a packet
    response.write(piece(0).subarray(1_000));
    response.write(piece(1));
    response.write(packet(0x101, 3)); // 32 would have been next, that is 0
    response.write(packet(0x101, 3)); // a duplicate, which is allowed
    response.write(packet(0x101, 9, 0x80)); // announced
    response.write(Buffer.alloc(188, 1), () => finished++);
  });
  const last = await watch(server, ['--continuous', '/a.ts=20'], () => finished === 20);
  t.equal(last.continuous.viewers, 20);
  t.equal(last.continuous.connected, 20);
  t.equal(last.continuous.disconnects, 0);
  t.equal(last.continuous.packets, 20 * (2 * 18 + 4));
  t.equal(last.continuous.continuityErrors, 20);
  t.equal(last.continuous.announcedDiscontinuities, 20);
  t.equal(last.continuous.syncErrors, 20);
  t.equal(last.continuous.accessPoints, 40);
});

t.test('continuous viewers count who was disconnected, and come back', { timeout: 60_000, ...unless }, async (t) => {
  let requests = 0;
  const server = await serve((_path, response) => {
    requests++;
    response.writeHead(200);
    response.write(piece(0), () => {
      if (requests <= 3) response.destroy();
    });
  });
  const last = await watch(server, ['--continuous', '/a.ts=3'], () => requests === 6);
  t.equal(last.continuous.disconnects, 3);
  t.equal(last.continuous.attempts, 6);
});

t.test('HLS viewers fetch every segment once and see what is missing', { timeout: 60_000, ...unless }, async (t) => {
  const fetched = new Map<string, number>();
  let polls = 0;
  const server = await serve((path, response) => {
    fetched.set(path, (fetched.get(path) ?? 0) + 1);
    if (path.endsWith('.m3u8')) {
      // The window moves by one per poll; after the fourth it jumps, so that two segments are never seen.
      const first = polls++ < 4 ? polls : polls + 4;
      const uris = [0, 1, 2].map((i) => `#EXTINF:1,\n${first + i}.ts`);
      response.end(`#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:${first}\n${uris.join('\n')}\n`);
    } else {
      const index = Number(/(\d+)\.ts$/.exec(path)?.[1]);
      response.end(index === 5 ? piece(index).subarray(0, 188 * 10 + 4) : piece(index));
    }
  });
  const last = await watch(server, ['--hls', '/live/index.m3u8=1'], () => polls === 6 && fetched.has('/live/12.ts'));
  t.equal(last.hls.missed, 2, 'segments 7 and 8');
  t.equal(last.hls.misaligned, 1, 'segment 5 is no whole number of packets');
  t.equal(last.hls.continuityErrors, 0);
  t.equal(last.hls.withoutAccessPoint, 0);
  t.equal(last.hls.failures, 0);
  t.equal(last.hls.segments, 10);
  t.ok(
    [...fetched].every(([path, count]) => path.endsWith('.m3u8') || count === 1),
    'each once',
  );
});
