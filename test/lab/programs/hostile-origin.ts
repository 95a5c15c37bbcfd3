// An origin that gives a good site (/base/) and a bad one (/evil/, see EVIL): `hostile-origin.js PORT`. `/asked` tells, as JSON, every
// path that it was asked for.
import { createServer, type Socket } from 'node:net';
import { EVIL } from '../parts/evil.js';
import { head, whole } from '../parts/raw-http.js';

const [port = '0'] = process.argv.slice(2);
const asked = new Set<string>();
const GOOD: Readonly<Record<string, Buffer>> = {
  '/base/hello': whole('hello', 'text/plain'),
  '/base/large': whole(Buffer.alloc(500_000, 'large'), 'video/mp2t'),
};
const evil = new Map(EVIL.map(({ path, answer }) => [`/evil/${path}`, answer]));

function answer(socket: Socket, path: string): void {
  if (path === '/asked') {
    socket.end(whole(JSON.stringify([...asked]), 'application/json'));
    return;
  }
  asked.add(path);
  const behave = evil.get(path);
  if (behave === undefined) socket.write(GOOD[path] ?? head('Content-Length: 0', '404 Not Found'));
  else behave(socket);
}

createServer((socket) => {
  let text = '';
  socket.on('error', () => socket.destroy());
  socket.on('data', (piece) => {
    text += piece.toString('latin1');
    for (let end = text.indexOf('\r\n\r\n'); end >= 0; end = text.indexOf('\r\n\r\n')) {
      const path = text.split(' ')[1] ?? '';
      text = text.slice(end + 4);
      answer(socket, path);
    }
  });
}).listen(Number(port), '0.0.0.0', () => console.log('ready'));
