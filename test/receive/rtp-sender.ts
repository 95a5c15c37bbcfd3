import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import type { Test } from 'tap';

/** MPEG-TS packets of an RTP packet (RFC 2250 section 2: a whole number of them). */
const PACKETS = 7;
const TS_PACKET = 188;

/** Cuts MPEG-TS into RTP packets, PT 33, one a millisecond. */
export function rtpPackets(ts: Buffer, ssrc: number, firstSequence: number): Buffer[] {
  const packets: Buffer[] = [];
  for (let at = 0; at < ts.length; at += PACKETS * TS_PACKET) {
    const header = Buffer.alloc(12);
    header.writeUInt8(0x80, 0);
    header.writeUInt8(33, 1);
    header.writeUInt16BE((firstSequence + packets.length) & 0xffff, 2);
    header.writeUInt32BE((packets.length * 90) >>> 0, 4);
    header.writeUInt32BE(ssrc, 8);
    packets.push(Buffer.concat([header, ts.subarray(at, at + PACKETS * TS_PACKET)]));
  }
  return packets;
}

/** Sends datagrams on the loopback interface, one a millisecond or slower. */
export class LoopbackSender {
  readonly #socket: Socket;

  private constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** @param source address of the loopback network to send from */
  static async open(t: Test, source = '127.0.0.1'): Promise<LoopbackSender> {
    const socket = createSocket('udp4');
    socket.bind(0, source);
    await once(socket, 'listening');
    socket.setMulticastInterface('127.0.0.1');
    t.teardown(() => void socket.close());
    return new LoopbackSender(socket);
  }

  async send(datagrams: readonly Buffer[], port: number, address: string): Promise<void> {
    for (const datagram of datagrams) {
      await new Promise<void>((resolve, reject) => {
        this.#socket.send(datagram, port, address, (error) => (error === null ? resolve() : reject(error)));
      });
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }
}
