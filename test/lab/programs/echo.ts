// Echo over UDP, for measuring what a path does: `echo.js serve ADDRESS PORT` answers, `echo.js ask ADDRESS PORT COUNT EVERY_MS`
// sends numbered datagrams and prints one JSON line.
import { createSocket } from 'node:dgram';

const [mode, address = '', port = '0', count = '0', everyMs = '0'] = process.argv.slice(2);
const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');

function serve(): void {
  socket.on('message', (message, from) => socket.send(message, from.port, from.address));
  socket.bind(Number(port), address, () => console.log('ready'));
}

async function ask(): Promise<void> {
  const sentAt: number[] = [];
  const trips: number[] = [];
  let last = -1;
  let reordered = 0;
  socket.on('message', (message) => {
    const index = message.readUInt32BE(0);
    trips.push(performance.now() - (sentAt[index] ?? 0));
    if (index < last) reordered++;
    last = Math.max(last, index);
  });
  const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
  for (let index = 0; index < Number(count); index++) {
    const message = Buffer.alloc(64);
    message.writeUInt32BE(index, 0);
    sentAt.push(performance.now());
    socket.send(message, Number(port), address);
    await pause(Number(everyMs));
  }
  for (let waited = 0; waited < 1_000 && trips.length < sentAt.length; waited += 20) await pause(20);
  const averageMs = trips.reduce((sum, one) => sum + one, 0) / trips.length;
  console.log(JSON.stringify({ sent: sentAt.length, received: trips.length, averageMs, reordered }));
  socket.close();
}

if (mode === 'serve') serve();
else await ask();
