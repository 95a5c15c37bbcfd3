// An origin of objects that are asked for by many at once: `cold-origin.js PORT`. The first part of a path names how it behaves, the
// rest is free; `/counts` tells, as JSON, the requests per path so far. Bodies are those of coldBody(): each request of a path gets the
// next generation.
import { createServer, type ServerResponse } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import { COLD_SIZE, coldBody } from '../parts/cold.js';

const [port = '0'] = process.argv.slice(2);
const counts: Record<string, number> = {};
/** Long enough for all of a crowd to have asked. */
const CROWD_MS = 4_000;
const HALF = COLD_SIZE / 2;

function begin(response: ServerResponse, maxAge: number): void {
  response.writeHead(200, {
    'content-type': 'video/mp2t',
    'content-length': COLD_SIZE,
    'cache-control': `max-age=${maxAge}`,
  });
}

const BEHAVIOURS: Readonly<Record<string, (response: ServerResponse, body: Buffer) => Promise<void>>> = {
  async quick(response, body) {
    begin(response, 600);
    response.end(body);
  },
  /** A second before the head and another in the middle of the body. */
  async stall(response, body) {
    await pause(1_000);
    begin(response, 600);
    response.write(body.subarray(0, HALF));
    await pause(1_000);
    response.end(body.subarray(HALF));
  },
  async truncate(response, body) {
    begin(response, 600);
    response.write(body.subarray(0, HALF));
    await pause(CROWD_MS);
    response.destroy();
  },
  async error(response) {
    await pause(CROWD_MS);
    response.writeHead(500).end('out of order');
  },
  /** Fresh for a second only, which is over long before the body is. */
  async expire(response, body) {
    begin(response, 1);
    response.write(body.subarray(0, HALF));
    await pause(CROWD_MS);
    response.end(body.subarray(HALF));
  },
};

createServer((request, response) => {
  const path = request.url ?? '/';
  if (path === '/counts') {
    response.end(JSON.stringify(counts));
    return;
  }
  const generation = (counts[path] ?? 0) + 1;
  counts[path] = generation;
  const behave = BEHAVIOURS[path.split('/')[1] ?? ''];
  if (behave === undefined) response.writeHead(404).end();
  else void behave(response, coldBody(path, generation));
}).listen(Number(port), '0.0.0.0', () => console.log('ready'));
