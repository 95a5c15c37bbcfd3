// Many things added and removed while packets flow: no leak of handles, slots or memory, and the one stream in use is undisturbed.
import { createSocket } from 'node:dgram';
import t from 'tap';
import type { StreamHandle } from '../../daemon/plane/contract.js';
import { createPlane } from '../../daemon/plane/plane.js';
import { FRAME_RATE, TsMaker } from '../streams/ts-maker.js';
import { INPUT, listener, SENDER, STREAM } from './options.js';

const MIB = 2 ** 20;
const DATAGRAM = 7 * 188;

/** A UDP port that is free now. */
function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const socket = createSocket('udp4').bind(0, '127.0.0.1', () => {
      const { port } = socket.address();
      socket.close(() => resolve(port));
    });
  });
}

t.test('a thousand streams with senders and routes, all at once and one by one', async (t) => {
  const plane = createPlane({ memoryBytes: 1100 * MIB });
  t.teardown(() => plane.close());
  const steady = plane.addStream({ ...STREAM, name: 'steady/main', delayMs: 50 });
  const port = await freePort();
  plane.addInput(steady, { ...INPUT, port });
  const receiver = plane.addReceiver({ ...INPUT, port: await freePort(), outputFd: null, recording: null });
  const viewers = plane.listen(listener());
  const maker = new TsMaker();
  let frame = 0;
  const socket = createSocket('udp4');
  const feed = setInterval(() => {
    const ts = maker.frames(frame, ++frame);
    for (let at = 0; at < ts.length; at += DATAGRAM) socket.send(ts.subarray(at, at + DATAGRAM), port, '127.0.0.1');
  }, 1000 / FRAME_RATE);
  t.teardown(() => {
    clearInterval(feed);
    socket.close();
  });
  const streams: StreamHandle[] = [];
  for (let i = 0; i < 1000; i++) {
    const stream = plane.addStream({ ...STREAM, name: `many/${i}` });
    streams.push(stream);
    plane.addSender(stream, { ...SENDER, port: 20_000 + 2 * i });
    plane.setRoute(`/many/${i}.ts`, { kind: 'continuous', stream });
    if (i % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  t.equal(new Set(streams).size, 1000);
  t.equal((await fetch(`http://127.0.0.1:${viewers.port}/many/999.ts`)).status, 503, 'no picture yet');
  for (const [i, stream] of streams.entries()) {
    plane.removeStream(stream);
    if (i % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  t.equal((await fetch(`http://127.0.0.1:${viewers.port}/many/999.ts`)).status, 404, 'its stream is gone');
  for (let i = 0; i < 1000; i++) plane.deleteRoute(`/many/${i}.ts`);
  // Twice the table of counters in all: slots come back.
  for (let i = 0; i < 5000; i++) plane.removeStream(plane.addStream({ ...STREAM, name: `one/${i}` }));
  const end = Date.now() + 10_000;
  while (plane.streamCounters(steady).packetsReleased < 50 && Date.now() < end)
    await new Promise((resolve) => setTimeout(resolve, 10));
  t.match(plane.streamCounters(steady), { ringFullDrops: 0, syncErrors: 0, transportErrors: 0 });
  t.ok(plane.streamCounters(steady).packetsReleased >= 50, 'the stream in use went on');
  plane.removeReceiver(receiver);
  plane.closeListener(viewers.listener);
});
