// Asks for everything that the bad site of the hostile origin has: `evil-viewer.js ADDRESS PORT`. Prints one JSON object: for each path
// what came of it, as `Evil.expected` wants it; behind that what should not have come.
import { get } from 'node:http';
import { EVIL, MARK } from '../parts/evil.js';

const [address = '', port = '0'] = process.argv.slice(2);

function ask(path: string): Promise<string> {
  return new Promise((resolve) => {
    const request = get({ host: address, port: Number(port), path, agent: false, timeout: 20_000 }, (response) => {
      const pieces: Buffer[] = [];
      const leaks = MARK in response.headers ? [`with ${MARK}`] : [];
      const end = (how: string) => resolve([response.statusCode, how, ...leaks].join(' '));
      response.on('data', (piece: Buffer) => pieces.push(piece));
      response.on('end', () => {
        if (/wrong|root:/.test(Buffer.concat(pieces).toString('latin1'))) leaks.push("with another answer's body");
        end('whole');
      });
      response.on('error', () => end('cut'));
    });
    request.on('timeout', () => request.destroy(new Error('no answer in 20 s')));
    request.on('error', (error) => resolve(`no answer: ${error.message}`));
  });
}

const outcomes: Record<string, string> = {};
await Promise.all(
  EVIL.map(async ({ path }) => {
    outcomes[path] = await ask(`/evil/${path}`);
    // On the connection that the answer before may have spoilt.
    const next = await ask(`/ok/after-${path}`);
    if (next !== '404 whole') outcomes[path] += `, and the next was answered ${next}`;
  }),
);
console.log(JSON.stringify(outcomes));
