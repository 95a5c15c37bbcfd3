/** Senders and receivers of flows, on the loopback interface; what arrives is read by rtp-packet, which others wrote. */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { parse, type RtpFields, serialize } from 'rtp-packet';
import type { Test } from 'tap';

/** A datagram as it came. */
export interface Heard {
  readonly data: Buffer;
  readonly address: string;
  readonly port: number;
}

interface Membership {
  readonly group: string;
  readonly interfaceAddress: string;
}

/** A bound socket that keeps what it gets, and can send. */
export class Peer {
  readonly #socket: Socket;
  readonly heard: Heard[] = [];
  #closed = false;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('message', (data, { address, port }) => this.heard.push({ data, address, port }));
  }

  /** @param port a free one unless given */
  static async open(t: Test, address = '127.0.0.1', port = 0, joins?: Membership): Promise<Peer> {
    const socket = createSocket({
      type: address.includes(':') ? 'udp6' : 'udp4',
      reuseAddr: joins !== undefined,
      recvBufferSize: 2 ** 22,
    });
    socket.bind(port, address);
    await once(socket, 'listening');
    if (joins !== undefined) socket.addMembership(joins.group, joins.interfaceAddress);
    if (address === '127.0.0.1') socket.setMulticastInterface('127.0.0.1');
    const peer = new Peer(socket);
    t.teardown(() => peer.close());
    return peer;
  }

  /** Idempotent. */
  close(): void {
    if (!this.#closed) this.#socket.close();
    this.#closed = true;
  }

  get port(): number {
    return this.#socket.address().port;
  }

  /** `ADDRESS:PORT` as flows are configured. */
  get place(): string {
    const { address, port } = this.#socket.address();
    return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
  }

  /** As RTP; throws for what is none. */
  packets(): RtpFields[] {
    return this.heard.map(({ data }) => {
      const packet = parse(data);
      if (packet === null) throw new Error(`not RTP: ${data.toString('hex')}`);
      return packet;
    });
  }

  /** The texts of the payloads. */
  texts(): string[] {
    return this.packets().map(({ payload }) => payload.toString());
  }

  send(data: Buffer, port: number, address = '127.0.0.1'): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#socket.send(data, port, address, (error) => (error === null ? resolve() : reject(error)));
    });
  }
}

/** A port on which nobody listens now. */
export async function freePort(): Promise<number> {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  await new Promise<void>((resolve) => socket.close(() => resolve()));
  // Even, since RTCP may take the one above.
  return port % 2 === 0 ? port : port - 1;
}

/** An RTP source that counts: packet N says `NAME N`. */
export class Talker {
  #sent = 0;

  constructor(
    private readonly peer: Peer,
    private readonly to: { readonly port: number; readonly address?: string },
    private readonly name: string,
    private readonly rtp: { readonly ssrc: number; readonly first?: number; readonly timestamp?: number },
  ) {}

  get sent(): number {
    return this.#sent;
  }

  /** 20 ms of voice each, all at once. Others get their turn before it resolves: a send may be done at once. */
  async say(count = 1): Promise<void> {
    const { ssrc, first = 0, timestamp = 0 } = this.rtp;
    for (let n = 0; n < count; n++) {
      const packet = serialize({
        payloadType: 8,
        sequenceNumber: (first + this.#sent) & 0xffff,
        timestamp: (timestamp + 160 * this.#sent) >>> 0,
        ssrc,
        payload: Buffer.from(`${this.name} ${this.#sent}`),
      });
      this.#sent += 1;
      await this.peer.send(packet, this.to.port, this.to.address);
    }
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}

/** Whether sequence numbers go on by one, over the wrap. */
export function inSequence(packets: readonly RtpFields[]): boolean {
  return packets.every((packet, at) => {
    const before = packets[at - 1];
    return before === undefined || packet.sequenceNumber === ((before.sequenceNumber + 1) & 0xffff);
  });
}
