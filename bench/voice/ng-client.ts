// ng-client ADDRESS PORT RECEIVERS: sets up a call at an rtpengine by its ng protocol for every receiver of the file, and prints a
// line `ADDRESS PORT` for each: where to send so that it comes out at the receiver.
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { Target } from '../lib/flows/topology.js';
import { type Bencoded, bdecode, bencode } from './bencode.js';

const ANSWER_MS = 5_000;

function sdp({ address, port }: Target): string {
  const lines = [
    'v=0',
    `o=- 1 1 IN IP4 ${address}`,
    's=-',
    `c=IN IP4 ${address}`,
    't=0 0',
    `m=audio ${port} RTP/AVP 0`,
  ];
  return lines.map((line) => `${line}\r\n`).join('');
}

/** Sends one command and takes its answer, which repeats the cookie. */
async function command(socket: Socket, cookie: string, fields: Bencoded): Promise<Bencoded> {
  socket.send(`${cookie} ${bencode(fields)}`);
  const [message] = (await once(socket, 'message', { signal: AbortSignal.timeout(ANSWER_MS) })) as [Buffer];
  const blank = message.indexOf(' ');
  if (message.toString('latin1', 0, blank) !== cookie) throw new Error(`an answer to another command than ${cookie}`);
  return bdecode(message.subarray(blank + 1));
}

function placeIn(answer: Bencoded): Target {
  const text = typeof answer === 'object' && 'sdp' in answer && typeof answer.sdp === 'string' ? answer.sdp : '';
  const address = /^c=IN IP4 (\S+)/m.exec(text)?.[1];
  const port = Number(/^m=audio (\d+) /m.exec(text)?.[1]);
  if (address === undefined || !(port > 0)) throw new Error(`no place in ${JSON.stringify(answer)}`);
  return { address, port };
}

async function call(socket: Socket, index: number, callee: Target): Promise<Target> {
  const common = { 'call-id': `call-${index}`, 'from-tag': `a-${index}`, ICE: 'remove' };
  const caller = sdp({ address: '10.20.1.2', port: 40_000 });
  placeIn(await command(socket, `o${index}`, { ...common, command: 'offer', sdp: caller }));
  const answer = { ...common, command: 'answer', 'to-tag': `b-${index}`, sdp: sdp(callee) };
  return placeIn(await command(socket, `a${index}`, answer));
}

function receiversIn(file: string): Target[] {
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
  return lines.map((line) => line.split(' ')).map(([address = '', port]) => ({ address, port: Number(port) }));
}

const [address = '', port = '', file = ''] = process.argv.slice(2);
const socket = createSocket('udp4');
socket.connect(Number(port), address);
await once(socket, 'connect');
for (const [index, callee] of receiversIn(file).entries()) {
  const place = await call(socket, index, callee);
  console.log(`${place.address} ${place.port}`);
}
socket.close();
