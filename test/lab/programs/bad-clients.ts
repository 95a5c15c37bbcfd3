// Viewers that do everything wrong: `bad-clients.js ADDRESS PORT SECONDS`. Prints one JSON line: for each kind of attack how often it
// was played and what the server answered (a status, `closed`, or `held` while it had not answered in time).
import { connect } from 'node:net';
import { Random } from '../lib/random.js';

const [address = '', port = '0', seconds = '0'] = process.argv.slice(2);
const random = new Random(2);
const results: Record<string, Record<string, number>> = {};
const SLOTS = 32;
/** Longer than the server's `header_timeout` in the scenario. */
const HELD_MS = 5_000;

const request = (line: string, fields = 'Host: x') => `${line}\r\n${fields}\r\n\r\n`;
const LIVE = '/live/good/main';

/** Bytes to send at once; with a pause, the bytes that follow one by one. */
const ATTACKS: Readonly<
  Record<string, () => { readonly send: string | Buffer; readonly drip?: string; readonly reset?: boolean }>
> = {
  random: () => ({ send: random.bytes(1 + random.below(4_000)) }),
  damaged: () => ({ send: random.damage(Buffer.from(request(`GET ${LIVE}.ts HTTP/1.1`)), 2) }),
  'half-open': () => ({ send: '' }),
  'half-request': () => ({ send: `GET ${LIVE}.ts HTTP/1.1\r\nHost:` }),
  slowloris: () => ({ send: `GET ${LIVE}.ts HTTP/1.1\r\n`, drip: 'X-a: b\r\n'.repeat(100) }),
  'long-line': () => ({ send: request(`GET /${'a'.repeat(200_000)} HTTP/1.1`) }),
  'long-head': () => ({ send: request('GET / HTTP/1.1', `X-a: ${'b'.repeat(300_000)}`) }),
  'many-fields': () => ({ send: request('GET / HTTP/1.1', 'X-a: b\r\n'.repeat(20_000)) }),
  method: () => ({
    send: request(`${random.pick(['POST', 'DELETE', 'BREW', 'get', 'CONNECT', 'PRI'])} ${LIVE}.ts HTTP/1.1`),
  }),
  path: () => ({
    send: request(
      `GET ${random.pick(['/../../etc/passwd', '/%00', '/live//', `${LIVE}/99999999999999999999.ts`, `${LIVE}/-1.ts`, '*', '', 'http://x/y'])} HTTP/1.1`,
    ),
  }),
  version: () => ({ send: request(`GET ${LIVE}.ts ${random.pick(['HTTP/9.9', 'HTTP/1.', 'HTTP', 'RTSP/1.0'])}`) }),
  smuggle: () => ({
    send: request(`GET ${LIVE}/index.m3u8 HTTP/1.1`, 'Host: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked'),
  }),
  body: () => ({
    send: Buffer.concat([
      Buffer.from(request('GET / HTTP/1.1', 'Host: x\r\nContent-Length: 100000000')),
      random.bytes(20_000),
    ]),
  }),
  pipeline: () => ({ send: request(`GET ${LIVE}/index.m3u8 HTTP/1.1`).repeat(500) }),
  range: () => ({
    send: request(
      `GET ${LIVE}/index.m3u8 HTTP/1.1`,
      `Host: x\r\nRange: bytes=${random.pick(['-', '9-1', '99999999999999999999-', '0-0,0-0,0-0'])}`,
    ),
  }),
  reset: () => ({ send: request(`GET ${LIVE}.ts HTTP/1.1`), reset: true }),
};

function play(name: string): Promise<string> {
  const { send, drip, reset } = (ATTACKS[name] as () => { send: string | Buffer; drip?: string; reset?: boolean })();
  return new Promise((resolve) => {
    const socket = connect(Number(port), address);
    const timers: NodeJS.Timeout[] = [];
    const end = (how: string) => {
      for (const timer of timers) clearTimeout(timer);
      if (reset === true) socket.resetAndDestroy();
      else socket.destroy();
      resolve(how);
    };
    let rest = drip ?? '';
    if (drip !== undefined) {
      timers.push(
        setInterval(() => {
          socket.write(rest.slice(0, 1));
          rest = rest.slice(1);
        }, 100),
      );
    }
    // A reader that never reads is another attack than one that does; half of each.
    const reads = random.below(2) === 0;
    socket.on('connect', () => {
      socket.write(send);
      timers.push(setTimeout(() => end(reset === true ? 'reset' : 'held'), reset === true ? 50 : HELD_MS));
    });
    if (reads || name !== 'pipeline')
      socket.on('data', (bytes) => end(/^HTTP\/1\.[01] (\d{3})/.exec(bytes.toString('latin1'))?.[1] ?? 'other'));
    socket.on('close', () => end('closed'));
    socket.on('error', () => end('closed'));
  });
}

const until = performance.now() + Number(seconds) * 1_000;
const names = Object.keys(ATTACKS) as [string, ...string[]];

async function slot(first: number): Promise<void> {
  for (let i = first; performance.now() < until; i++) {
    const name = names[i % names.length] ?? names[0];
    const how = await play(name);
    const counts = results[name] ?? {};
    results[name] = { ...counts, [how]: (counts[how] ?? 0) + 1 };
    // The attack is on the server's logic: it shall not be a load test of a small machine.
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

await Promise.all(Array.from({ length: SLOTS }, (_, i) => slot(i)));
console.log(JSON.stringify(results));
