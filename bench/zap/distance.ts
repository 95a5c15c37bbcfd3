/** A way to a retransmission server that takes its time. */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';

/** UDP there and back, each datagram half of the round trip later; for one client. */
export class Distance {
  readonly #near: Socket;
  readonly #far: Socket;
  #open = true;

  private constructor(near: Socket, far: Socket) {
    this.#near = near;
    this.#far = far;
  }

  /** From `port` of loopback to the server. */
  static async open(port: number, server: { address: string; port: number }, roundTripMs: number): Promise<Distance> {
    const [near, far] = [createSocket('udp4'), createSocket({ type: 'udp4', recvBufferSize: 2 ** 20 })];
    const distance = new Distance(near, far);
    let client = 0;
    const later = (send: () => void): void => {
      setTimeout(() => distance.#open && send(), roundTripMs / 2);
    };
    near.on('message', (bytes, from) => {
      client = from.port;
      later(() => far.send(bytes, server.port, server.address));
    });
    far.on('message', (bytes) => later(() => near.send(bytes, client, '127.0.0.1')));
    near.bind(port, '127.0.0.1');
    far.bind(0);
    await Promise.all([once(near, 'listening'), once(far, 'listening')]);
    return distance;
  }

  close(): void {
    this.#open = false;
    this.#near.close();
    this.#far.close();
  }
}
