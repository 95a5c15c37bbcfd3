/** A live origin on loopback, over node:http: what the source drivers are tried against. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { gzipSync } from 'node:zlib';
import { FRAME_RATE, TsMaker } from './ts-maker.js';

export interface Served {
  readonly path: string;
  readonly range: string | undefined;
  /** Number of the TCP connection, from 1. */
  readonly connection: number;
  readonly headers: IncomingMessage['headers'];
}

/** Answers a request itself and returns true, or leaves it to the origin. */
export type Intercept = (request: IncomingMessage, response: ServerResponse) => boolean;

const SEGMENT_S = 1;

/** Segments of one second; number n holds pictures n*25 to n*25+24. The clock starts with the object and never stops. */
export class LiveOrigin {
  readonly requests: Served[] = [];
  readonly window: number;
  intercept: Intercept = () => false;
  /** Tags before each segment. */
  tagsOf: (n: number) => readonly string[] = () => [];
  ended = false;
  connections = 0;
  #server: Server | null = null;
  #port = 0;
  #first: number;
  #startedAt = Date.now();
  readonly #sockets = new Map<Socket, number>();
  /** Continuity counters go on from segment to segment, as an encoder's do. */
  readonly #maker: TsMaker;
  readonly #segments = new Map<number, Buffer>();
  #made = 0;

  /** @param backlog segments that are there at the start */
  constructor(backlog = 4, window = 6, maker = new TsMaker()) {
    this.#maker = maker;
    this.window = window;
    this.#first = -backlog;
  }

  get base(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Number after the last complete segment. */
  get edge(): number {
    return Math.floor((Date.now() - this.#startedAt) / 1000 / SEGMENT_S) - this.#first;
  }

  /** Open TCP connections. */
  get open(): number {
    return this.#sockets.size;
  }

  async listen(): Promise<void> {
    const server = createServer((request, response) => this.#answer(request, response));
    server.keepAliveTimeout = 30_000;
    server.on('connection', (socket) => {
      this.#sockets.set(socket, ++this.connections);
      socket.on('close', () => this.#sockets.delete(socket));
      socket.on('error', () => {});
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(this.#port, '127.0.0.1', resolve);
    });
    this.#port = (server.address() as AddressInfo).port;
    this.#server = server;
  }

  /** Ends the server and every connection, as a kill does; `listen` brings it back on the same port. */
  async kill(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    if (server === null) return;
    for (const socket of this.#sockets.keys()) socket.destroy();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  }

  /** Numbers and pictures start anew, as after a restart of the encoder. */
  restart(backlog = 2): void {
    this.#startedAt = Date.now();
    this.#first = -backlog;
    this.#segments.clear();
    this.#made = 0;
  }

  segment(n: number): Buffer {
    for (; this.#made <= n; this.#made++)
      this.#segments.set(this.#made, this.#maker.frames(this.#made * FRAME_RATE, (this.#made + 1) * FRAME_RATE));
    return this.#segments.get(n) ?? Buffer.alloc(0);
  }

  playlist(): string {
    const { edge } = this;
    const from = Math.max(0, edge - this.window);
    const lines = [
      '#EXTM3U',
      '#EXT-X-VERSION:3',
      `#EXT-X-TARGETDURATION:${SEGMENT_S}`,
      `#EXT-X-MEDIA-SEQUENCE:${from}`,
    ];
    for (let n = from; n < edge; n++) lines.push(...this.tagsOf(n), `#EXTINF:${SEGMENT_S}.000,`, `seg${n}.ts`);
    if (this.ended) lines.push('#EXT-X-ENDLIST');
    return `${lines.join('\n')}\n`;
  }

  /** How often each segment was asked for. */
  segmentCounts(): Map<number, number> {
    const counts = new Map<number, number>();
    for (const { path } of this.requests) {
      const n = /seg(\d+)\.ts/.exec(path)?.[1];
      if (n !== undefined) counts.set(Number(n), (counts.get(Number(n)) ?? 0) + 1);
    }
    return counts;
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const path = request.url ?? '/';
    this.requests.push({
      path,
      range: request.headers.range,
      connection: this.#sockets.get(request.socket) ?? 0,
      headers: request.headers,
    });
    if (this.intercept(request, response)) return;
    const segment = /\/seg(\d+)\.ts$/.exec(path)?.[1];
    if (segment !== undefined) this.#sendSegment(Number(segment), request, response);
    else if (path.startsWith('/moved')) response.writeHead(302, { location: '/live/index.m3u8' }).end();
    else if (path.endsWith('master.m3u8'))
      response.end(
        '#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=300000\n/moved.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=9000000\nnone.m3u8\n',
      );
    else if (path.endsWith('index.m3u8')) sendText(this.playlist(), request, response);
    else response.writeHead(404).end('no such thing');
  }

  #sendSegment(n: number, request: IncomingMessage, response: ServerResponse): void {
    if (n >= this.edge || n < this.edge - this.window - 2) {
      response.writeHead(404).end();
      return;
    }
    sendRange(this.segment(n), request, response);
  }
}

function sendText(text: string, request: IncomingMessage, response: ServerResponse): void {
  const gzip = (request.headers['accept-encoding'] ?? '').includes('gzip');
  response.writeHead(200, {
    'content-type': 'application/vnd.apple.mpegurl',
    ...(gzip ? { 'content-encoding': 'gzip' } : {}),
  });
  response.end(gzip ? gzipSync(text) : text);
}

/** The whole, or `bytes=FROM-` of it. */
export function sendRange(body: Buffer, request: IncomingMessage, response: ServerResponse): void {
  const from = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
  if (from >= body.length) response.writeHead(416, { 'content-range': `bytes */${body.length}` }).end();
  else if (from > 0)
    response
      .writeHead(206, { 'content-range': `bytes ${from}-${body.length - 1}/${body.length}` })
      .end(body.subarray(from));
  else response.writeHead(200, { 'content-type': 'video/mp2t', 'content-length': body.length }).end(body);
}
