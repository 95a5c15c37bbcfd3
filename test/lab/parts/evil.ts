import type { Socket } from 'node:net';
import { gzipSync } from 'node:zlib';
import { Random } from '../lib/random.js';
import { head, pour, whole } from './raw-http.js';

/** One way in which an origin answers, and what a viewer of the site is told. */
export interface Evil {
  /** Behind the prefix. */
  readonly path: string;
  readonly answer: (socket: Socket) => void;
  /** Status, then `whole` or `cut` for the body. */
  readonly expected: RegExp;
}

/** In a field that nobody may get. */
export const MARK = 'x-evil';
/** `objects.largest` of the lab. */
export const LARGEST = 2 ** 20;
/** Where only the machine itself may ask. */
export const ADMIN_URL = 'http://127.0.0.1:9480/v1/channels';

const TYPE = 'Content-Type: video/mp2t';
const REFUSED = /^502 whole$/;
const CUT = /^(502 whole|200 cut)$/;
const BOMB = gzipSync(Buffer.alloc(64 * 2 ** 20));
const GZIP = `Content-Encoding: gzip\r\nContent-Length: ${BOMB.length}`;

const text = (written: string) => (socket: Socket) => void socket.write(written, 'latin1');
/** That, and the end of the connection. */
const last = (written: string) => (socket: Socket) => void socket.end(written, 'latin1');
const redirect = (to: string) => text(head(`Location: ${to}\r\nContent-Length: 0`, '302 Found'));
const framed = (fields: string) => text(`${head(`${TYPE}\r\n${fields}`)}hello`);

/** First something, then a piece each 100 ms. */
function after(first: string, piece: string, times: number): (socket: Socket) => void {
  return (socket) => {
    socket.write(first);
    let left = times;
    const timer = setInterval(() => {
      if (left-- === 0 || socket.destroyed) clearInterval(timer);
      else socket.write(piece);
    }, 100);
  };
}

export const EVIL: readonly Evil[] = [
  {
    path: 'endless-head',
    expected: REFUSED,
    answer: (socket) => {
      socket.write('HTTP/1.1 200 OK\r\n');
      pour(socket, () => Buffer.from(`X-Filler: ${'a'.repeat(60_000)}\r\n`), 2 ** 30);
    },
  },
  {
    path: 'many-fields',
    expected: REFUSED,
    answer: text(head(Array.from({ length: 1_000 }, (_, i) => `X-${i}: b`).join('\r\n'))),
  },
  {
    path: 'endless-interim',
    expected: /^50[24] whole$/,
    answer: (socket) => pour(socket, () => Buffer.from(head('', '103 Early Hints').repeat(100)), 2 ** 30),
  },
  { path: 'slow-head', expected: /^504 whole$/, answer: after('HTTP/1.1 200 OK\r\n', 'X', 600) },
  { path: 'silent', expected: /^504 whole$/, answer: () => undefined },
  { path: 'silent-body', expected: CUT, answer: text(head(`${TYPE}\r\nContent-Length: 10`)) },
  {
    path: 'endless-body',
    expected: CUT,
    answer: (socket) => {
      socket.write(head(`${TYPE}\r\nTransfer-Encoding: chunked`));
      pour(socket, () => Buffer.from(`8000\r\n${'a'.repeat(0x8000)}\r\n`), 2 ** 30);
    },
  },
  {
    path: 'endless-until-close',
    expected: CUT,
    answer: (socket) => {
      socket.write(head(TYPE));
      pour(socket, () => Buffer.alloc(0x8000), 2 ** 30);
    },
  },
  {
    path: 'too-long',
    expected: REFUSED,
    answer: (socket) => {
      socket.write(head(`${TYPE}\r\nContent-Length: ${10 * 2 ** 30}`));
      pour(socket, () => Buffer.alloc(0x8000), 2 ** 30);
    },
  },
  // Media is handed on as it is coded.
  {
    path: 'bomb.ts',
    expected: /^200 whole$/,
    answer: (socket) => void socket.write(Buffer.concat([Buffer.from(head(`${TYPE}\r\n${GZIP}`)), BOMB])),
  },
  {
    path: 'bomb.m3u8',
    expected: REFUSED,
    answer: (socket) => void socket.write(Buffer.concat([Buffer.from(head(GZIP)), BOMB])),
  },
  {
    path: 'not-gzip.m3u8',
    expected: REFUSED,
    answer: (socket) => void socket.write(whole(new Random(6).bytes(500), 'text/plain\r\nContent-Encoding: gzip')),
  },
  { path: 'body-shorter', expected: CUT, answer: last(`${head(`${TYPE}\r\nContent-Length: 10`)}hello`) },
  { path: 'body-longer', expected: /^200 whole$/, answer: framed('Content-Length: 2') },
  { path: 'two-lengths', expected: REFUSED, answer: framed('Content-Length: 2\r\nContent-Length: 5') },
  { path: 'length-and-chunks', expected: REFUSED, answer: framed('Content-Length: 5\r\nTransfer-Encoding: chunked') },
  { path: 'length-with-plus', expected: REFUSED, answer: framed('Content-Length: +5') },
  { path: 'length-negative', expected: REFUSED, answer: framed('Content-Length: -5') },
  { path: 'length-of-65-bits', expected: REFUSED, answer: framed('Content-Length: 18446744073709551621') },
  {
    path: 'chunk-not-hex',
    expected: CUT,
    answer: text(`${head(`${TYPE}\r\nTransfer-Encoding: chunked`)}zz\r\nhello\r\n`),
  },
  {
    path: 'chunk-of-68-bits',
    expected: CUT,
    answer: text(`${head(`${TYPE}\r\nTransfer-Encoding: chunked`)}fffffffffffffffff\r\nhello\r\n`),
  },
  {
    path: 'chunk-longer',
    expected: CUT,
    answer: text(`${head(`${TYPE}\r\nTransfer-Encoding: chunked`)}3\r\nhello\r\n0\r\n\r\n`),
  },
  { path: 'coding-unknown', expected: REFUSED, answer: framed('Transfer-Encoding: gzip, chunked') },
  { path: 'splitting-cr', expected: REFUSED, answer: framed(`X-A: a\r${MARK}: 1\r\nContent-Length: 5`) },
  { path: 'splitting-nul', expected: REFUSED, answer: framed(`X-A: a\0${MARK}: 1\r\nContent-Length: 5`) },
  { path: 'folded', expected: /^(502|200) whole$/, answer: framed(`X-A: a\r\n ${MARK}: 1\r\nContent-Length: 5`) },
  {
    path: 'hop-by-hop',
    expected: /^200 whole$/,
    answer: framed(`Connection: keep-alive, ${MARK}\r\n${MARK}: 1\r\nContent-Length: 5`),
  },
  {
    path: 'two-answers',
    expected: /^200 whole$/,
    answer: text(`${head(`${TYPE}\r\nContent-Length: 5`)}hello${head(`${MARK}: 1\r\nContent-Length: 5`)}wrong`),
  },
  { path: 'redirect-loop', expected: REFUSED, answer: redirect('/evil/redirect-loop') },
  { path: 'redirect-to-the-daemon', expected: REFUSED, answer: redirect(ADMIN_URL) },
  { path: 'redirect-to-a-file', expected: REFUSED, answer: redirect('file:///etc/passwd') },
  { path: 'redirect-nowhere', expected: REFUSED, answer: text(head('Content-Length: 0', '302 Found')) },
  { path: 'splitting-by-redirect', expected: /^404 whole$/, answer: redirect(`/evil/a%0d%0a${MARK}:1`) },
  {
    path: 'switches',
    expected: REFUSED,
    answer: text(head('Connection: upgrade\r\nUpgrade: x', '101 Switching Protocols')),
  },
  { path: 'status-999', expected: REFUSED, answer: text(head('Content-Length: 0', '999 What')) },
  {
    path: 'partial-unasked',
    expected: REFUSED,
    answer: text(`${head(`${TYPE}\r\nContent-Range: bytes 5-9/10\r\nContent-Length: 5`, '206 Partial Content')}hello`),
  },
  { path: 'not-modified-unasked', expected: REFUSED, answer: text(head('', '304 Not Modified')) },
  { path: 'another-protocol', expected: REFUSED, answer: last('SSH-2.0-OpenSSH_9.2\r\n') },
  { path: 'random', expected: REFUSED, answer: (socket) => void socket.end(new Random(7).bytes(5_000)) },
  { path: 'closes', expected: REFUSED, answer: (socket) => void socket.end() },
];
