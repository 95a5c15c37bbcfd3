// Plays all attacks again and again: `http-attacks.js ADDRESS PORT SECONDS`. Prints one JSON object: for each `GROUP: NAME` how often
// which outcome was seen, an outcome being written as `Attack.expected` wants it.
import { connect } from 'node:net';
import { ATTACKS, type Attack } from '../parts/attacks.js';

const [address = '', port = '0', seconds = '0'] = process.argv.slice(2);
const outcomes: Record<string, Record<string, number>> = {};
const SLOTS = 16;
/** Longer than all of the server's timeouts in the lab together. */
const PATIENCE_MS = 20_000;
/** A connection that was to stay open has done so when it is open after this. */
const STAYS_MS = 300;
const DRIP_MS = 100;
const STATUS = /HTTP\/1\.[01] (\d{3}) /g;

function play({ send, drip, deaf, expected }: Attack): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ port: Number(port), host: address, allowHalfOpen: true });
    const timers: NodeJS.Timeout[] = [];
    let text = '';
    const end = (how: string) => {
      for (const timer of timers) clearTimeout(timer);
      socket.destroy();
      resolve([...[...text.matchAll(STATUS)].map(([, status]) => status), how].join(' '));
    };
    const later = (ms: number, how: string) => timers.push(setTimeout(() => end(how), ms));
    socket.on('connect', () => {
      socket.write(send);
      later(PATIENCE_MS, 'open');
      let rest = drip ?? '';
      // Who does not read sees the end only when he writes.
      if (deaf === true) timers.push(setInterval(() => socket.write('\r\n'), DRIP_MS));
      if (drip !== undefined) {
        timers.push(
          setInterval(() => {
            socket.write(rest.slice(0, 1));
            rest = rest.slice(1);
          }, DRIP_MS),
        );
      }
    });
    let staying = false;
    if (deaf !== true) {
      socket.on('data', (bytes) => {
        text += bytes.toString('latin1');
        const so = [...[...text.matchAll(STATUS)].map(([, status]) => status), 'open'].join(' ');
        if (!staying && expected.test(so)) {
          staying = true;
          later(STAYS_MS, 'open');
        }
      });
      socket.on('end', () => end('closed'));
    }
    socket.on('close', () => end('closed'));
    socket.on('error', () => end('closed'));
  });
}

const until = performance.now() + Number(seconds) * 1_000;
let next = 0;

/** Each attack once at least, however slow the machine is. */
async function slot(): Promise<void> {
  while (next < ATTACKS.length || performance.now() < until) {
    const attack = ATTACKS[next++ % ATTACKS.length] as Attack;
    const name = `${attack.group}: ${attack.name}`;
    const outcome = await play(attack);
    outcomes[name] = { ...outcomes[name], [outcome]: (outcomes[name]?.[outcome] ?? 0) + 1 };
  }
}

await Promise.all(Array.from({ length: SLOTS }, slot));
console.log(JSON.stringify(outcomes));
process.exit(0);
