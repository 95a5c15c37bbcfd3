/** Groups on the loopback interface, what is sent to them, and who of this machine is in them. */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { Test } from 'tap';
import { rtpPackets } from '../receive/rtp-sender.js';
import { TsMaker } from '../streams/ts-maker.js';

const FRAME_MS = 40;
/** Pictures from one access point to the next. */
const GOP = 10;
const SSRC = 0x1234abcd;

export interface Group {
  readonly address: string;
  readonly port: number;
}

/** What a live channel sends: a picture every 40 ms, an access point every tenth, until the test ends. */
export class LiveGroup {
  #sequence = 65_500;
  #frame = 1;
  readonly #maker = new TsMaker();
  readonly #socket: Socket;
  #timer: NodeJS.Timeout | undefined;
  /** Whether there are places where a picture can be entered. */
  entries = true;

  private constructor(family: 'udp4' | 'udp6') {
    this.#socket = createSocket(family);
  }

  /** @param rtp whether MPEG-TS is sent in RTP, or plainly; @param source address of the loopback network */
  static async start(t: Test, group: Group, rtp = true, source = '127.0.0.1'): Promise<LiveGroup> {
    const live = await LiveGroup.open(group, rtp, source, '127.0.0.1');
    t.teardown(() => live.end());
    return live;
  }

  /** @param by address of the interface, or `::%NAME` */
  static async open(group: Group, rtp: boolean, source: string, by: string): Promise<LiveGroup> {
    const live = new LiveGroup(group.address.includes(':') ? 'udp6' : 'udp4');
    live.#socket.bind(0, source);
    await once(live.#socket, 'listening');
    live.#socket.setMulticastInterface(by);
    live.#timer = setInterval(() => live.#send(group, rtp), FRAME_MS);
    return live;
  }

  /** Falls silent. */
  end(): void {
    if (this.#timer === undefined) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#socket.close();
  }

  #send({ address, port }: Group, rtp: boolean): void {
    const gop = this.entries ? GOP : Number.POSITIVE_INFINITY;
    const packets = rtpPackets(this.#maker.frames(this.#frame, this.#frame + 1, gop), SSRC, this.#sequence);
    this.#frame += 1;
    this.#sequence += packets.length;
    for (const packet of packets) this.#socket.send(rtp ? packet : packet.subarray(12), port, address);
  }
}

/** How many sockets of this machine's have joined an IPv4 group on the loopback interface. */
export function members(address: string): number {
  // Little-endian as the kernel keeps it; each interface is followed by its groups.
  const wanted = Buffer.from(address.split('.').map(Number)).reverse().toString('hex').toUpperCase();
  const [, inside = ''] = readFileSync('/proc/net/igmp', 'utf8').split(/^\d+\tlo .*$/m);
  const [own = ''] = inside.split(/^\d+\t/m);
  const line = own.split('\n').find((text) => text.trim().startsWith(wanted));
  return Number(line?.trim().split(/\s+/)[1] ?? 0);
}
