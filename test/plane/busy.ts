// A process whose plane is busy on every side: an input, a sender, a listener with a viewer, an upstream that waits. Ends in the
// way that its first argument names; run by plane.test.ts, also as a worker thread.
import { createSocket } from 'node:dgram';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { argv } from 'node:process';
import { isMainThread, parentPort, threadId, workerData } from 'node:worker_threads';
import type { PlaneApi, StreamHandle } from '../../daemon/plane/contract.js';
import { createPlane } from '../../daemon/plane/plane.js';
import { INPUT, listener, SENDER, STREAM, UPSTREAM } from './options.js';

/** Datagrams of null packets: enough to keep the input and its checks at work. */
function keepSending(port: number): void {
  const packet = Buffer.alloc(1316, 0xff);
  for (let at = 0; at < packet.length; at += 188) packet.set([0x47, 0x1f, 0xff, 0x10], at);
  const socket = createSocket('udp4');
  setInterval(() => {
    for (let i = 0; i < 20; i++) socket.send(packet, port, '127.0.0.1');
  }, 1);
}

/** An origin that accepts and never answers. */
function silentOrigin(): Promise<number> {
  const server = createServer(() => undefined);
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
  });
}

async function makeBusy(plane: PlaneApi): Promise<StreamHandle> {
  const stream = plane.addStream(STREAM);
  const port = 20_000 + 2 * ((process.pid * 16 + threadId) % 6_000);
  plane.addInput(stream, { ...INPUT, port });
  plane.addSender(stream, SENDER);
  const { port: viewers } = plane.listen(listener());
  plane.setRoute('/x.ts', { kind: 'continuous', stream });
  const upstream = plane.openUpstream(stream, UPSTREAM);
  const origin = await silentOrigin();
  const waiting = plane.request(upstream, {
    ...{ address: '127.0.0.1', port: origin, host: 'origin', target: '/', headers: {} },
    ...{ tls: null, totalTimeoutMs: 0, sink: 'memory', maxBytes: 1000, skipBytes: 0, discontinuity: false, seal: null },
  });
  waiting.catch(() => undefined);
  keepSending(port);
  setInterval(() => {
    fetch(`http://127.0.0.1:${viewers}/x.ts`).catch(() => undefined);
    plane.viewers().catch(() => undefined);
  }, 5);
  return stream;
}

/** Resolves when packets have come in. */
function untilBusy(plane: PlaneApi, stream: StreamHandle): Promise<void> {
  return new Promise((resolve) => {
    const timer = setInterval(() => {
      if (plane.streamCounters(stream).tsPacketsIn < 5_000) return;
      clearInterval(timer);
      resolve();
    }, 5);
  });
}

const how = isMainThread ? argv[2] : (workerData as string);
const plane = createPlane({ memoryBytes: 64 * 2 ** 20 });
await untilBusy(plane, await makeBusy(plane));
if (isMainThread) console.log('busy');
else parentPort?.postMessage('busy');
if (how === 'exit') process.exit(0);
if (how === 'throw') throw new Error('on purpose');
if (how === 'close') {
  await plane.close();
  await plane.close();
  process.exit(0);
}
