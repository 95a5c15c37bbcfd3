// Encrypted segments and byte ranges, from an origin that encrypts by itself and from what ffmpeg has made.
import { execFile } from 'node:child_process';
import { createCipheriv, randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import t, { type Test } from 'tap';
import { which } from '../lab/lib/tools.js';
import { channel, disorder, edge, live } from './bed.js';
import { until, Viewer } from './edge.js';
import type { LiveOrigin } from './live-origin.js';
import { continuityErrors, FRAME_RATE, frameNumbers } from './ts-maker.js';

t.setTimeout(120_000);

/** Segments of `origin` are encrypted from now on; each key is for `period` of them, and the number is the vector. */
function encrypt(origin: LiveOrigin, period: number): { readonly asked: string[]; readonly broken: Set<number> } {
  const keys = new Map<string, Buffer>();
  const asked: string[] = [];
  /** Segments whose end is missing. */
  const broken = new Set<number>();
  const keyOf = (name: string): Buffer => {
    const key = keys.get(name) ?? randomBytes(16);
    keys.set(name, key);
    return key;
  };
  origin.tagsOf = (n) => [`#EXT-X-KEY:METHOD=AES-128,URI="/key${Math.floor(n / period)}"`];
  origin.intercept = (request, response) => {
    const [, kind, number] = /\/(key|seg)(\d+)/.exec(request.url ?? '') ?? [];
    if (kind === 'key') {
      asked.push(request.url ?? '');
      response.end(keyOf(`${number}`));
    }
    if (kind !== 'seg') return kind === 'key';
    const n = Number(number);
    const iv = Buffer.alloc(16);
    iv.writeUInt32BE(n, 12);
    const cipher = createCipheriv('aes-128-cbc', keyOf(`${Math.floor(n / period)}`), iv);
    const body = Buffer.concat([cipher.update(origin.segment(n)), cipher.final()]);
    response.end(broken.has(n) ? body.subarray(0, body.length - 5) : body);
    return true;
  };
  return { asked, broken };
}

t.test('a live source with changing keys: every picture in order, each key fetched once', async (t) => {
  const origin = await live(t);
  const { asked } = encrypt(origin, 3);
  const it = await edge(t, channel({ url: `${origin.base}/live/index.m3u8` }));
  await until('ready', () => it.rendition().ready);
  const viewer = new Viewer(`${it.base}/live/news/high.ts`);
  t.teardown(() => viewer.close());
  await until('five seconds of pictures', () => frameNumbers(viewer.bytes).length > 5 * FRAME_RATE, 20_000);
  t.equal(disorder(frameNumbers(viewer.bytes)), null);
  t.equal(continuityErrors(viewer.bytes), 0);
  t.equal(new Set(asked).size, asked.length, 'each key once');
  t.ok(asked.length >= 2);
  t.match(it.rendition(), { state: 'flowing', source: { segmentsSkipped: 0, requests: { key: asked.length } } });
  t.equal(origin.connections, 1, 'keys come over the connection of the segments');
});

t.test('a segment that cannot be decrypted is lost, and the stream goes on', async (t) => {
  const origin = await live(t);
  const { broken } = encrypt(origin, 1000);
  const it = await edge(t, channel({ url: `${origin.base}/live/index.m3u8` }));
  await until('ready', () => it.rendition().ready);
  const damaged = origin.edge + 1;
  broken.add(damaged);
  await until('it is skipped', () => it.rendition().source.segmentsSkipped === 1);
  const viewer = new Viewer(`${it.base}/live/news/high.ts`);
  t.teardown(() => viewer.close());
  await until(
    'pictures after it',
    () => frameNumbers(viewer.bytes).some((n) => n > (damaged + 2) * FRAME_RATE),
    20_000,
  );
  t.match(it.rendition(), { state: 'flowing', source: { retries: 0 } });
  const line = it.lines.find((text) => text.includes('a segment is lost')) ?? '';
  t.match(line, /UPSTREAM_DECRYPT/);
  t.match(line, /no multiple of 16/);
});

/** Serves a folder, ranges included. */
async function serve(t: Test, folder: string): Promise<string> {
  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    const name = basename(new URL(request.url ?? '/', 'http://x').pathname);
    const body = readFileSync(join(folder, name));
    const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? [];
    if (from === undefined) return void response.end(body);
    const last = to === undefined || to === '' ? body.length - 1 : Number(to);
    response.writeHead(206, { 'content-range': `bytes ${from}-${last}/${body.length}` });
    response.end(body.subarray(Number(from), last + 1));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const PACKET = 188;

/** The packets of some PIDs, in order. */
function packetsOf(ts: Buffer, pids: ReadonlySet<number>): Buffer {
  const packets: Buffer[] = [];
  for (let at = 0; at + PACKET <= ts.length; at += PACKET)
    if (pids.has(pidAt(ts, at))) packets.push(ts.subarray(at, at + PACKET));
  return Buffer.concat(packets);
}

const pidAt = (ts: Buffer, at: number): number => ts.readUInt16BE(at + 1) & 0x1fff;

/** Tables are repeated and their counters adapted at splices; media is as it came. */
function mediaPids(ts: Buffer): Set<number> {
  const pids = new Set<number>();
  for (let at = 0; at + PACKET <= ts.length; at += PACKET) pids.add(pidAt(ts, at));
  for (const table of [0x0000, 0x0011, 0x1000, 0x1fff]) pids.delete(table);
  return pids;
}

t.test(
  'what ffmpeg has encrypted, and what it has put into one file, plays as it does in the clear',
  { skip: which('ffmpeg') === undefined ? 'ffmpeg is not installed' : false },
  async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-encrypted-'));
    t.teardown(() => rmSync(folder, { recursive: true, force: true }));
    const base = await serve(t, folder);
    const ffmpeg = (...args: string[]) =>
      promisify(execFile)('ffmpeg', ['-hide_banner', '-loglevel', 'error', ...args], { cwd: folder });
    await ffmpeg(
      ...'-f lavfi -i testsrc=size=160x90:rate=25 -f lavfi -i sine -t 12 -c:v libx264 -preset ultrafast -g 25'.split(
        ' ',
      ),
      ...'-c:a aac -b:a 64k -f mpegts in.ts'.split(' '),
    );
    writeFileSync(join(folder, 'secret.key'), randomBytes(16));
    writeFileSync(join(folder, 'numbered.info'), `${base}/secret.key\nsecret.key\n`);
    writeFileSync(join(folder, 'vector.info'), `secret.key\nsecret.key\n${'9a'.repeat(16)}\n`);
    const hls = async (name: string, ...options: string[]): Promise<void> => {
      const segments = ['-hls_segment_filename', `${name}%d.ts`, `${name}.m3u8`];
      const list = '-f hls -hls_time 2 -hls_list_size 0 -hls_playlist_type vod'.split(' ');
      await ffmpeg('-i', 'in.ts', '-c', 'copy', ...list, ...options, ...segments);
    };
    await hls('clear');
    await hls('numbered', '-hls_key_info_file', 'numbered.info');
    await hls('vector', '-hls_key_info_file', 'vector.info');
    await ffmpeg(
      ...'-i in.ts -c copy -f hls -hls_time 2 -hls_list_size 0 -hls_flags single_file -hls_segment_filename'.split(' '),
      ...'ranges.ts ranges.m3u8'.split(' '),
    );
    t.match(readFileSync(join(folder, 'numbered.m3u8'), 'latin1'), /METHOD=AES-128/);
    t.match(readFileSync(join(folder, 'vector.m3u8'), 'latin1'), /IV=0x9a9a/);
    t.match(readFileSync(join(folder, 'ranges.m3u8'), 'latin1'), /EXT-X-BYTERANGE/);
    const names = readdirSync(folder)
      .filter((name) => /^clear\d+\.ts$/.test(name))
      .sort((one, other) => Number(one.slice(5, -3)) - Number(other.slice(5, -3)));
    const clear = Buffer.concat(names.map((name) => readFileSync(join(folder, name))));
    const pids = mediaPids(clear);
    t.ok(pids.size >= 2, 'picture and sound');
    for (const name of ['clear', 'numbered', 'vector', 'ranges']) {
      const it = await edge(t, channel({ url: `${base}/${name}.m3u8` }));
      await until(`${name} is ready`, () => it.rendition().ready);
      const viewer = new Viewer(`${it.base}/live/news/high.ts`);
      await until(`six seconds of ${name}`, () => viewer.bytes.length > clear.length / 2, 30_000);
      viewer.close();
      const played = packetsOf(viewer.bytes.subarray(0, viewer.bytes.length - (viewer.bytes.length % PACKET)), pids);
      const expected = packetsOf(clear, pids);
      const begin = expected.indexOf(played.subarray(0, 3 * PACKET));
      t.ok(begin >= 0, `${name} begins in what it was made from`);
      t.ok(played.equals(expected.subarray(begin, begin + played.length)), `${name} goes on byte by byte`);
      t.equal(it.rendition().source.segmentsSkipped, 0);
      await it.close();
    }
  },
);
