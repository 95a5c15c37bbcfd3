// An origin that does everything wrong: `bad-origin.js PORT GOOD_URL UDP_ADDRESS UDP_PORT`. Each path misbehaves in its own way;
// GOOD_URL is a continuous MPEG-TS to spoil; noise goes to the UDP address. Prints one JSON line of requests per path at the end.
import { createSocket } from 'node:dgram';
import { get } from 'node:http';
import { createServer, type Socket } from 'node:net';
import { gzipSync } from 'node:zlib';
import { Random } from '../lib/random.js';
import { head, pour, whole } from '../parts/raw-http.js';

const [port = '0', goodUrl = '', noiseAddress = '', noisePort = '0'] = process.argv.slice(2);
const random = new Random(1);
const counts: Record<string, number> = {};
let sequence = 0;

function playlist(prefix: string): string {
  sequence++;
  const segments = [0, 1, 2].map((i) => `#EXTINF:1.0,\n${prefix}/${sequence + i}.ts`);
  return `#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:${sequence}\n${segments.join('\n')}\n`;
}

const HLS = 'application/vnd.apple.mpegurl';
const TS = 'video/mp2t';
const PAGE = '<!doctype html><html><body><h1>It works!</h1></body></html>\n'.repeat(400);
const BOMB = gzipSync(Buffer.alloc(64 * 2 ** 20, '#EXTINF:1,\n'));

function spoil(socket: Socket): void {
  socket.write(head(`Content-Type: ${TS}`));
  const upstream = get(goodUrl, (response) => {
    response.on('data', (piece: Buffer) => socket.write(random.below(4) === 0 ? random.damage(piece, 3) : piece));
    response.on('end', () => socket.end());
  });
  upstream.on('error', () => socket.destroy());
  socket.on('close', () => upstream.destroy());
}

const GARBAGE_LINES = [
  '#EXT-X-MEDIA-SEQUENCE:-99999999999999999999',
  '#EXT-X-TARGETDURATION:1e400',
  '#EXTINF:NaN,',
  '#EXT-X-BYTERANGE:99999999999999999999@-1',
  '#EXT-X-KEY:METHOD=',
  '#EXT-X-STREAM-INF:BANDWIDTH=",,,="',
  '#EXT-X-MAP:URI="',
  'http://[::1/bad url',
  '\u0000\uffff',
  `x${'y'.repeat(70_000)}.ts`,
] as const;

/** By the first part of the path without its ending. */
const BEHAVIOURS: Readonly<Record<string, (socket: Socket, path: string) => void>> = {
  // Segments whose body ends before its Content-Length.
  truncated: (socket, path) => {
    if (path.endsWith('.m3u8')) socket.write(whole(playlist('truncated'), HLS));
    else
      socket.end(
        Buffer.concat([Buffer.from(head(`Content-Type: ${TS}\r\nContent-Length: 500000`)), random.bytes(1_000)]),
      );
  },
  // Segments of random bytes.
  noise: (socket, path) => {
    socket.write(path.endsWith('.m3u8') ? whole(playlist('noise'), HLS) : whole(random.bytes(50_000), TS));
  },
  random: (socket) => {
    socket.write(head(`Content-Type: ${TS}`));
    pour(socket, () => random.bytes(4_096), 50 * 2 ** 20, 20);
  },
  oversized: (socket) => {
    socket.write(head(`Content-Type: ${HLS}`) + playlist('oversized'));
    pour(socket, () => Buffer.alloc(65_536, '#EXTINF:1,\na.ts\n'), 200 * 2 ** 20);
  },
  'page-stream': (socket) => {
    socket.write(head('Content-Type: text/html'));
    pour(socket, () => Buffer.from(PAGE), 20 * 2 ** 20, 50);
  },
  'page-playlist': (socket) => void socket.write(whole(PAGE, 'text/html')),
  garbage: (socket) => {
    const lines = Array.from({ length: 40 }, () => (random.below(2) === 0 ? random.pick(GARBAGE_LINES) : 'a.ts'));
    const good = Buffer.from(`#EXTM3U\n${lines.join('\n')}\n`);
    socket.write(whole(random.below(2) === 0 ? good : random.damage(Buffer.from(playlist('garbage')), 12), HLS));
  },
  gzip: (socket) => {
    const body = random.below(2) === 0 ? BOMB : random.damage(gzipSync(playlist('gzip')), 4);
    socket.write(Buffer.concat([Buffer.from(head(`Content-Encoding: gzip\r\nContent-Length: ${body.length}`)), body]));
  },
  redirect: (socket) => void socket.write(head('Location: /redirect.m3u8\r\nContent-Length: 0', '302 Found')),
  head: (socket) => {
    socket.write('HTTP/1.1 200 OK\r\n');
    pour(socket, () => Buffer.from(`X-Filler: ${'a'.repeat(1_000)}\r\n`), 50 * 2 ** 20);
  },
  protocol: (socket) => void socket.end(random.below(2) === 0 ? random.bytes(2_000) : 'SSH-2.0-OpenSSH_9.2\r\n'),
  chunks: (socket) => {
    socket.write(head(`Content-Type: ${TS}\r\nTransfer-Encoding: chunked`));
    socket.end(random.pick(['zz\r\nabc', 'ffffffffffffffffffff\r\nabc', '5\r\nabcdefghij', '-1\r\n', '\r\n\r\n']));
  },
  silent: (socket) => void socket.write(head(`Content-Type: ${TS}`)),
  status: (socket) => {
    socket.write(
      whole(
        'no',
        'text/plain',
        random.pick(['404 Not Found', '500 Oops', '204 No Content', '999 What', '101 Switching']),
      ),
    );
  },
  spoiled: spoil,
};

const server = createServer((socket) => {
  let text = '';
  socket.on('error', () => socket.destroy());
  socket.on('data', (piece) => {
    text += piece.toString('latin1');
    const end = text.indexOf('\r\n\r\n');
    if (end < 0) return;
    const path = text.split(' ')[1] ?? '/';
    text = text.slice(end + 4);
    const name = /^\/([a-z-]+)/.exec(path)?.[1] ?? '';
    counts[name] = (counts[name] ?? 0) + 1;
    const behave = BEHAVIOURS[name];
    if (behave === undefined) socket.end(head('Content-Length: 0', '404 Not Found'));
    else behave(socket, path);
  });
});

const noise = createSocket('udp4');
noise.on('error', () => undefined); // nobody listens yet
setInterval(() => {
  const bytes = random.bytes(1 + random.below(1_400));
  // Every third looks like RTP with payload type 33 and has damaged contents.
  if (random.below(3) === 0) bytes.set([0x80, 33].slice(0, bytes.length));
  noise.send(bytes, Number(noisePort), noiseAddress);
}, 20);

process.on('SIGTERM', () => {
  console.log(JSON.stringify(counts));
  process.exit(0);
});
server.listen(Number(port), '0.0.0.0', () => console.log('ready'));
