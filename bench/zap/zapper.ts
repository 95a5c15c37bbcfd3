// Changes to a channel again and again, and tells how long each time took until a picture could be decoded; run by the bench zap.
// zapper.js GROUP PORT INTERFACE SERVER SERVERPORT rapid|join ZAPS FOLDER
import { spawnSync } from 'node:child_process';
import { closeSync, constants, openSync, writeFileSync } from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as elapse } from 'node:timers/promises';
import type { InputCounters, PlaneApi, RepairOptions } from '../../daemon/plane/contract.js';
import { createPlane } from '../../daemon/plane/plane.js';
import { Distance } from './distance.js';
import { FirstPicture } from './first-picture.js';

const ROUND_TRIP_MS = 10;
const PLAYOUT_MS = 100;
const NEAR_PORT = 5108;
const LONGEST_MS = 10_000;
/** The server begins one burst every two seconds for a receiver. */
const LEAST_PAUSE_MS = 2_000;
/** As long as a GOP, so that every place in it is met. */
const PAUSE_SPREAD_MS = 2_000;

const [group = '', port = '', device = '', server = '', serverPort = '', mode = '', zaps = '', folder = ''] =
  process.argv.slice(2);

/** One change: milliseconds from the request to the whole first picture, and what came until then. */
async function zap(plane: PlaneApi): Promise<{ ms: number; bytes: Buffer; counters: InputCounters }> {
  const fifo = join(folder, 'picture.fifo');
  const reading = openSync(fifo, constants.O_RDONLY | constants.O_NONBLOCK);
  const writing = openSync(fifo, constants.O_WRONLY | constants.O_NONBLOCK);
  const output = new Socket({ fd: reading, readable: true, writable: false });
  const repair: RepairOptions = {
    fec: false,
    feedback: { address: '127.0.0.1', port: NEAR_PORT },
    tokens: false,
    acquisition: mode === 'rapid',
    playoutMs: PLAYOUT_MS,
    leastPlayoutMs: 0,
    ditherMs: 0,
  };
  const place = { address: group, port: Number(port), source: null, interfaceName: device, reorderMs: 50 };
  const began = performance.now();
  const receiver = plane.addReceiver({ ...place, repair, outputFd: writing, recording: null });
  try {
    const [ms, bytes] = await firstPicture(output, began);
    return { ms, bytes, counters: plane.inputCounters(receiver) };
  } finally {
    plane.removeReceiver(receiver);
    closeSync(writing);
    output.destroy();
  }
}

function firstPicture(output: Socket, began: number): Promise<[ms: number, bytes: Buffer]> {
  return new Promise((resolve, reject) => {
    const picture = new FirstPicture();
    const pieces: Buffer[] = [];
    const late = setTimeout(() => reject(new Error(`no picture within ${LONGEST_MS} ms`)), LONGEST_MS);
    output.on('data', (bytes) => {
      pieces.push(bytes);
      if (!picture.take(bytes)) return;
      clearTimeout(late);
      resolve([performance.now() - began, Buffer.concat(pieces)]);
      output.removeAllListeners('data');
    });
  });
}

/** Whether somebody else's decoder makes a picture of it. */
function decodes(bytes: Buffer): boolean {
  const file = join(folder, 'picture.ts');
  writeFileSync(file, bytes);
  const count = ['-frames:v', '1', '-f', 'framemd5', '-'];
  const { stdout } = spawnSync('ffmpeg', ['-nostdin', '-v', 'error', '-i', file, '-map', '0:v', ...count]);
  return stdout
    .toString('latin1')
    .split('\n')
    .some((line) => line.startsWith('0,'));
}

spawnSync('mkfifo', [join(folder, 'picture.fifo')]);
const plane = createPlane({ memoryBytes: 64 * 2 ** 20 });
const far = await Distance.open(NEAR_PORT, { address: server, port: Number(serverPort) }, ROUND_TRIP_MS);
try {
  for (let i = 0; i < Number(zaps); i++) {
    await elapse(LEAST_PAUSE_MS + Math.random() * PAUSE_SPREAD_MS);
    const { ms, bytes, counters } = await zap(plane);
    const { acquired, rtpLost, acquisitionResponse } = counters;
    console.log(JSON.stringify({ ms, decoded: decodes(bytes), acquired, rtpLost, response: acquisitionResponse }));
  }
} finally {
  far.close();
  await plane.close();
}
