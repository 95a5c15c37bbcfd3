// Opens many connections, asks one thing on each and then nothing more: `idle-crowd.js ADDRESS PORT PATH COUNT`. Prints a line of JSON
// each half second: connections that were answered by status, and those that are open.
import { connect } from 'node:net';

const [address = '', port = '0', path = '', count = '0'] = process.argv.slice(2);
const statuses: Record<string, number> = {};
let open = 0;
let ended = 0;
/** Connections that are being made or wait for their answer. */
const AT_ONCE = 200;

function one(): Promise<void> {
  return new Promise((answered) => {
    const socket = connect(Number(port), address);
    socket.on('connect', () => {
      open++;
      socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`);
    });
    socket.once('data', (bytes) => {
      const status = /^HTTP\/1\.1 (\d{3})/.exec(bytes.toString('latin1'))?.[1] ?? 'other';
      statuses[status] = (statuses[status] ?? 0) + 1;
      answered();
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      open--;
      ended++;
      answered();
    });
  });
}

setInterval(() => console.log(JSON.stringify({ statuses, open, ended })), 500);
let begun = 0;
await Promise.all(
  Array.from({ length: AT_ONCE }, async () => {
    while (begun++ < Number(count)) await one();
  }),
);
