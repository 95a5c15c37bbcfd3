// Rapid acquisition (RFC 6285) by our receiver, with servers written here from the RFC: one that keeps to it, and all that do not.
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseRTCPCompound } from 'rtp-packet';
import t, { type Test } from 'tap';
import type { InputCounters } from '../../daemon/plane/contract.js';
import { createPlane } from '../../daemon/plane/plane.js';
import { temporaryFolder } from '../cli/lib/program.js';
import { LoopbackSender, rtpPackets } from '../receive/rtp-sender.js';
import { TsMaker } from '../streams/ts-maker.js';
import { INPUT } from './options.js';
import {
  feedback,
  half,
  INFORMATION,
  type Rams,
  REQUEST,
  read,
  retransmission,
  TERMINATION,
  TLV,
  word,
  write,
} from './rams.js';

const HOST = '127.0.0.1';
const GROUP = '239.255.77.1';
const PORT = 15_300;
const SSRC = 0xcafebabe;
const STRANGER = 0x5ca1ab1e;
const FIRST = 65_000;
const PAYLOAD = 7 * 188;
const PAUSE_MS = 4;
/** Of packets that a burst begins behind the group, and those that it sends in a pause. */
const BEHIND = 200;
const STRIDE = 6;
const JOIN_MS = 150;
/** Packets by the group after which it is seen what came. */
const PLAYED = 200;

/** A group in which a packet leaves every four milliseconds, each of which is no other's like. */
class Channel {
  readonly packets = rtpPackets(new TsMaker(1, 1200).frames(0, 20_000), SSRC, FIRST);
  /** Packets that have left. */
  now = 0;

  async play(t: Test): Promise<void> {
    const sender = await LoopbackSender.open(t);
    const ending = new AbortController();
    t.teardown(() => ending.abort());
    const began = performance.now();
    const send = async (): Promise<void> => {
      while (!ending.signal.aborted && this.now < this.packets.length) {
        const due = (performance.now() - began) / PAUSE_MS;
        while (this.now < due) await sender.send([this.packet(this.now++)], PORT, GROUP);
        await pause();
      }
    };
    void send().catch(() => undefined);
  }

  packet(n: number): Buffer {
    return this.packets[n] ?? Buffer.alloc(0);
  }

  /** Which packet has a number that is told: one about now. */
  at(number: number): number {
    const newest = FIRST + this.now;
    return this.now + (((number - newest) << 16) >> 16);
  }
}

async function pause(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
}

async function until(done: () => boolean): Promise<void> {
  while (!done()) await pause();
}

interface Told {
  readonly response: number;
  readonly ssrc?: number;
  readonly source?: number;
  /** Packet that the burst begins with. */
  readonly first?: number;
  readonly joinMs?: number;
}

/** What a server does when it is asked for a burst, for the first time. */
type Manner = (server: Server, request: Rams) => void | Promise<void>;

class Server {
  readonly requests: { types: number[]; rams: Rams }[] = [];
  readonly ends: { rams: Rams; at: number }[] = [];
  /** When the first packet of the burst left. */
  began = 0;
  /** The first packet of the burst. */
  start = 0;
  answersRequests = true;
  #sequence = 40_000;
  #closed = false;
  #to: RemoteInfo | undefined;

  private constructor(
    readonly channel: Channel,
    readonly socket: Socket,
    private readonly manner: Manner,
  ) {
    socket.on('message', (bytes, from) => this.#take(bytes, from));
  }

  static async open(t: Test, channel: Channel, manner: Manner): Promise<Server> {
    const socket = createSocket('udp4');
    socket.bind(0, HOST);
    await once(socket, 'listening');
    const server = new Server(channel, socket, manner);
    t.teardown(() => {
      server.#closed = true;
      socket.close();
    });
    return server;
  }

  #take(bytes: Buffer, from: RemoteInfo): void {
    const { types, rams } = read(bytes);
    this.#to = from;
    if (rams?.kind === REQUEST) this.requests.push({ types, rams });
    if (rams?.kind === REQUEST && this.requests.length === 1) {
      this.start = this.channel.now - BEHIND;
      void this.manner(this, rams);
    }
    if (rams?.kind === TERMINATION) this.ends.push({ rams, at: performance.now() });
    if (rams === undefined && this.answersRequests) this.#answer(bytes);
  }

  #answer(bytes: Buffer): void {
    for (const part of parseRTCPCompound(bytes))
      for (const number of part.lostSequenceNumbers ?? [])
        this.send(retransmission(this.channel.packet(this.channel.at(number)), SSRC, this.#sequence++));
  }

  send(bytes: Buffer): void {
    if (!this.#closed && this.#to !== undefined) this.socket.send(bytes, this.#to.port, HOST);
  }

  tell({ response, ssrc = SSRC, source, first, joinMs }: Told): void {
    const elements = new Map<number, Buffer>();
    if (source !== undefined) elements.set(TLV.source, word(source));
    if (first !== undefined) elements.set(TLV.first, half(FIRST + first));
    if (joinMs !== undefined) elements.set(TLV.join, word(joinMs));
    this.send(write({ sender: ssrc, media: ssrc, kind: INFORMATION, number: 0, response, elements }));
  }

  /** Faster than the group until it has caught up, then with it, until it is told what comes by the group, or `count` have left. */
  async burst(count = Number.POSITIVE_INFINITY, ssrc = SSRC): Promise<void> {
    const last = (): number => {
      const first = this.ends[0]?.rams.elements.get(TLV.multicast)?.readUInt32BE(0);
      const end = first === undefined ? Number.POSITIVE_INFINITY : this.channel.at(first);
      return Math.min(end, this.start + count);
    };
    this.began = performance.now();
    for (let n = this.start; n < last() && !this.#closed; await pause())
      for (const end = n + STRIDE; n < Math.min(end, last(), this.channel.now); n++)
        this.send(retransmission(this.channel.packet(n), ssrc, this.#sequence++));
  }
}

interface Outcome {
  readonly server: Server;
  readonly counters: InputCounters;
  /** The first packet that was written. */
  readonly first: number;
  /** Those that are not what follows the one before. */
  readonly breaks: number[];
}

const channel = new Channel();

/** A receiver comes, and stays until it has had enough of the group. */
async function come(t: Test, manner: Manner): Promise<Outcome> {
  const plane = createPlane({ memoryBytes: 2 ** 20 });
  t.teardown(() => plane.close());
  const server = await Server.open(t, channel, manner);
  const feedback = { address: HOST, port: server.socket.address().port };
  const repair = { fec: false, feedback, tokens: false, acquisition: true, playoutMs: 200 };
  const file = join(temporaryFolder(t), 'out.ts');
  const fd = openSync(file, 'w');
  t.teardown(() => closeSync(fd));
  const receiver = plane.addReceiver({
    ...INPUT,
    address: GROUP,
    port: PORT,
    interfaceName: 'lo',
    repair: { ...repair, leastPlayoutMs: 0, ditherMs: 0 },
    outputFd: fd,
    recording: null,
  });
  await until(() => plane.inputCounters(receiver).packets >= PLAYED);
  const counters = plane.inputCounters(receiver);
  plane.removeReceiver(receiver);
  return { server, counters, ...written(readFileSync(file)) };
}

function written(bytes: Buffer): Pick<Outcome, 'first' | 'breaks'> {
  const numbers = new Map(channel.packets.slice(0, channel.now).map((packet, n) => [packet.toString('latin1', 12), n]));
  const came: number[] = [];
  for (let at = 0; at + PAYLOAD <= bytes.length; at += PAYLOAD)
    came.push(numbers.get(bytes.toString('latin1', at, at + PAYLOAD)) ?? -1);
  return { first: came[0] ?? -1, breaks: came.filter((n, i) => i > 0 && n !== (came[i - 1] ?? 0) + 1) };
}

function accept(server: Server, told: Partial<Told> = {}): void {
  server.tell({ response: 200, first: server.start, joinMs: JOIN_MS, ...told });
}

/** Began with the burst, and neither gap nor repetition in it, after it, or where it ends. */
function unbroken(t: Test, { server, counters, first, breaks }: Outcome): void {
  t.equal(first, server.start);
  t.same(breaks, []);
  t.ok(counters.acquired > 0, `${counters.acquired} packets of a burst`);
}

/** What came is of the group alone. */
function joined(t: Test, { counters, breaks }: Outcome, response: number): void {
  t.same(breaks, []);
  t.match(counters, { acquired: 0, rtpLost: 0, acquisitionResponse: response });
}

t.before(async () => {
  await channel.play(t);
  await until(() => channel.now > 2 * BEHIND);
});

t.test(
  'a server that keeps to the RFC: asked, heard, joined when it says so, ended with the first of the group',
  async (t) => {
    const outcome = await come(t, (server) => {
      accept(server, { source: SSRC });
      return server.burst();
    });
    unbroken(t, outcome);
    const { server, counters } = outcome;
    t.match(counters, { rtpLost: 0, nacked: 0, acquisitionResponse: 200 });
    const asked = server.requests[0];
    t.same(asked?.types, [201, 202, 205], 'a compound');
    t.equal(asked?.rams.media, asked?.rams.sender, 'both are its own SSRC (section 7.2)');
    t.same([...(asked?.rams.elements ?? [])], [[TLV.sources, Buffer.alloc(0)]], 'all of the session');
    t.equal(server.requests.length, 1);
    const end = server.ends[0];
    t.equal(end?.rams.media, SSRC);
    t.ok((end?.at ?? 0) - server.began >= JOIN_MS - 5, 'not before the earliest join');
    const first = channel.at(end?.rams.elements.get(TLV.multicast)?.readUInt32BE(0) ?? 0);
    t.ok(first > server.start + BEHIND && first <= channel.now - PLAYED, `packet ${first} was the first of the group`);
  },
);

t.test('a server that names no source, but calls itself what we call ourselves', async (t) => {
  const outcome = await come(t, async (server, request) => {
    accept(server, { ssrc: request.sender, joinMs: 0 });
    await server.burst();
    server.tell({ response: 201, ssrc: 0 });
  });
  unbroken(t, outcome);
  t.equal(outcome.counters.rtpLost, 0);
  t.equal(outcome.server.ends[0]?.rams.media, SSRC, 'what is ended is the burst that came');
});

t.test('a burst of which nothing is told', async (t) => {
  const outcome = await come(t, (server) => server.burst());
  unbroken(t, outcome);
  t.equal(outcome.server.ends[0]?.rams.media, SSRC);
});

t.test('no answer: asked again, joined all the same', async (t) => {
  const outcome = await come(t, () => undefined);
  joined(t, outcome, 0);
  t.ok(outcome.server.requests.length > 1);
});

t.test('a refusal', async (t) => {
  const outcome = await come(t, (server) => server.tell({ response: 503, source: SSRC, joinMs: 0 }));
  joined(t, outcome, 503);
  t.equal(outcome.server.ends.length, 0, 'there is nothing to end');
});

t.test('an answer that means nothing is ended at once (section 7.3)', async (t) => {
  const outcome = await come(t, (server) => server.tell({ response: 999 }));
  joined(t, outcome, 999);
  t.equal(outcome.server.ends.length, 1);
});

t.test('accepted, and nothing comes', async (t) => {
  joined(t, await come(t, (server) => accept(server)), 200);
});

t.test('a burst that ends too soon: what it has not brought is asked for', async (t) => {
  const outcome = await come(t, async (server) => {
    accept(server, { joinMs: 50 });
    await server.burst(100);
    server.tell({ response: 201 });
  });
  unbroken(t, outcome);
  t.ok(outcome.counters.byRetransmission > 50, `${outcome.counters.byRetransmission} sent again`);
});

t.test('a burst that falls silent, and no answer any more: one gap, and the group', async (t) => {
  const { counters, breaks } = await come(t, (server) => {
    server.answersRequests = false;
    accept(server);
    return server.burst(100);
  });
  t.equal(breaks.length, 1);
  t.ok(counters.rtpLost > 0);
});

t.test('a burst of another source: one gap at most', async (t) => {
  const { breaks } = await come(t, (server) => {
    accept(server, { source: STRANGER });
    return server.burst(BEHIND, STRANGER);
  });
  t.ok(breaks.length <= 1, breaks.join());
});

for (const { what, by } of [
  { what: 'a little before the burst', by: -50 },
  { what: 'far away from it', by: 30_000 },
])
  t.test(`a first packet is told that never comes, ${what}`, async (t) => {
    const outcome = await come(t, (server) => {
      server.answersRequests = false;
      accept(server, { first: server.start + by });
      return server.burst();
    });
    unbroken(t, outcome);
  });

t.test('garbage', async (t) => {
  const { counters, breaks } = await come(t, (server) => {
    const control = Buffer.from('020000c82000000412345678', 'hex');
    for (let size = 4; size <= control.length; size += 4) server.send(feedback(SSRC, SSRC, control.subarray(0, size)));
    for (let size = 0; size < 40; size++) server.send(Buffer.alloc(size, 0x80 + size));
    server.send(retransmission(channel.packet(server.start).subarray(0, 100), SSRC, 1));
  });
  t.same(breaks, []);
  t.equal(counters.rtpLost, 0);
});
