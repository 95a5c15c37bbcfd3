// An origin of live media: `live-origin.js PORT`. Takes what an encoder PUTs and serves it while it comes; fragmented MP4 that is PUT to
// /ll-hls/stream.mp4 is served as low-latency HLS below /ll-hls/. A name that is still to come is waited for. `/asked` tells, as JSON,
// the requests per path of each client; `/time` is the time, `/page.html`
// an empty page.
import { EventEmitter, once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { poll } from '../lib/poll.js';
import { FragmentReader } from '../parts/fragments.js';
import { LowLatency } from '../parts/low-latency.js';

const [port = '0'] = process.argv.slice(2);
const TIMESCALE = 25_000;
const WAIT_MS = 6_000;
const TYPES: Readonly<Record<string, string>> = {
  m3u8: 'application/vnd.apple.mpegurl',
  mpd: 'application/dash+xml',
  ts: 'video/mp2t',
  mp4: 'video/mp4',
  m4s: 'video/iso.segment',
};

/** What comes in by one PUT. */
class File {
  readonly pieces: Buffer[] = [];
  readonly grown = new EventEmitter().setMaxListeners(0);
  complete = false;
}

const files = new Map<string, File>();
const asked: Record<string, Record<string, number>> = {};
const lowLatency = new LowLatency({ segment: 2, part: 0.4, window: 6 });

async function takeLowLatency(request: IncomingMessage): Promise<void> {
  const reader = new FragmentReader(TIMESCALE);
  for await (const piece of request) {
    for (const part of reader.take(piece as Buffer)) lowLatency.add(part, Date.now());
    if (reader.init !== undefined) lowLatency.init = reader.init;
  }
}

async function take(request: IncomingMessage, path: string): Promise<void> {
  const file = new File();
  // A document counts when it is whole.
  const document = /\.(m3u8|mpd)$/.test(path);
  if (!document) files.set(path, file);
  for await (const piece of request) {
    file.pieces.push(piece as Buffer);
    file.grown.emit('grown');
  }
  file.complete = true;
  if (document) files.set(path, file);
  file.grown.emit('grown');
}

async function give(response: ServerResponse, file: File): Promise<void> {
  let sent = 0;
  for (;;) {
    for (; sent < file.pieces.length; sent++) response.write(file.pieces[sent]);
    if (file.complete) break;
    await once(file.grown, 'grown');
  }
  response.end();
}

/** What is there, or comes within a bearable time. */
const wait = <T>(what: () => T | undefined | false): Promise<T | undefined> =>
  poll(what, WAIT_MS, 'something to be served', 10).catch(() => undefined);

async function giveLowLatency(response: ServerResponse, url: URL): Promise<void> {
  const name = url.pathname.slice('/ll-hls/'.length);
  if (name !== 'index.m3u8') {
    const bytes = await wait(() => lowLatency.file(name) ?? undefined);
    response.writeHead(bytes === undefined ? 404 : 200, bytes === undefined ? {} : { 'content-length': bytes.length });
    response.end(bytes);
    return;
  }
  const number = (key: string) => (url.searchParams.has(key) ? Number(url.searchParams.get(key)) : undefined);
  const msn = number('_HLS_msn');
  await wait(() => (msn === undefined ? lowLatency.has(2) : lowLatency.has(msn, number('_HLS_part'))));
  response.end(lowLatency.playlist());
}

function count(client: string, target: string): void {
  asked[client] = { ...asked[client], [target]: (asked[client]?.[target] ?? 0) + 1 };
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://origin');
  const path = url.pathname;
  if (request.method === 'PUT' || request.method === 'POST') {
    await (path === '/ll-hls/stream.mp4' ? takeLowLatency(request) : take(request, path));
    response.end();
    return;
  }
  if (request.method === 'DELETE') {
    response.end();
    return;
  }
  response.setHeader('access-control-allow-origin', '*');
  if (path === '/asked') return void response.end(JSON.stringify(asked));
  if (path === '/page.html') {
    response.setHeader('content-type', 'text/html');
    return void response.end('<!doctype html><title>Players</title>');
  }
  if (path === '/time') return void response.end(new Date().toISOString());
  count(request.socket.remoteAddress ?? '', path + url.search);
  response.setHeader('content-type', TYPES[path.split('.').at(-1) ?? ''] ?? 'application/octet-stream');
  if (path.startsWith('/ll-hls/')) return giveLowLatency(response, url);
  const file = await wait(() => files.get(path));
  if (file === undefined) response.writeHead(404).end();
  else await give(response, file);
}

createServer((request, response) => {
  answer(request, response).catch(() => response.destroy());
}).listen(Number(port), '0.0.0.0', () => console.log('ready'));
