/** A path over loopback that loses what a test wants to be lost. */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import type { Test } from 'tap';

export const HOST = '127.0.0.1';
/** Media, RTCP, columns, rows, blocks. */
const STEPS = [0, 1, 2, 4, 6];

/** A socket that is closed at the end of the test. */
export async function bound(t: Test, port = 0, host = HOST): Promise<Socket> {
  const socket = createSocket('udp4');
  socket.bind(port, host);
  await once(socket, 'listening');
  t.teardown(() => socket.close());
  return socket;
}

/** The first of eight ports that are free, even. */
export async function freePorts(): Promise<number> {
  for (;;) {
    const first = 2 * (8_000 + Math.floor(Math.random() * 8_000));
    const sockets: Socket[] = [];
    try {
      for (const step of [...STEPS, 8]) {
        const socket = createSocket('udp4');
        sockets.push(socket);
        socket.bind(first + step, HOST);
        await once(socket, 'listening');
      }
      return first;
    } catch {
      // One of them is taken: another place.
    } finally {
      for (const socket of sockets) socket.close();
    }
  }
}

/** Hands datagrams on from eight ports to eight others, but for those that `loses` names by kind and count. */
export async function lossyPath(
  t: Test,
  from: number,
  to: number,
  loses: (step: number, n: number) => boolean,
): Promise<void> {
  for (const step of STEPS) {
    const socket = await bound(t, from + step);
    let n = 0;
    socket.on('message', (bytes) => {
      if (!loses(step, n++)) socket.send(bytes, to + step, HOST);
    });
  }
}
