// Rapid acquisition (RFC 6285) at our server, with a receiver written here from the RFC.
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import t, { type Test } from 'tap';
import type { PlaneApi, SenderHandle } from '../../daemon/plane/contract.js';
import { createPlane } from '../../daemon/plane/plane.js';
import { LoopbackSender, rtpPackets } from '../receive/rtp-sender.js';
import { FRAME_RATE, TsMaker } from '../streams/ts-maker.js';
import { INPUT, SENDER, STREAM } from './options.js';
import {
  feedback,
  half,
  INFORMATION,
  isRtcp,
  long,
  type Rams,
  REQUEST,
  read,
  TERMINATION,
  TLV,
  word,
  write,
} from './rams.js';

const HOST = '127.0.0.1';
const STRANGER = '127.0.0.2';
const SSRC = 7;
const TS_PACKET = 188;
/** Of what the source sends. */
const SECONDS = 40;
const PICTURE = 8000;
/** Bits a second, roughly: what is no burst's rate. */
const STREAM_RATE = PICTURE * 8 * FRAME_RATE;

interface Said {
  readonly bytes: Buffer;
  /** performance.now(). */
  readonly at: number;
}

/** A socket that keeps what comes. */
class Ear {
  readonly heard: Said[] = [];

  private constructor(readonly socket: Socket) {
    socket.on('message', (bytes) => this.heard.push({ bytes, at: performance.now() }));
  }

  static async open(t: Test, host = HOST): Promise<Ear> {
    const socket = createSocket('udp4');
    socket.bind(0, host);
    await once(socket, 'listening');
    socket.setRecvBufferSize(2 ** 21);
    t.teardown(() => socket.close());
    return new Ear(socket);
  }

  get port(): number {
    return this.socket.address().port;
  }

  get media(): Buffer[] {
    return this.heard.map(({ bytes }) => bytes).filter((bytes) => !isRtcp(bytes));
  }

  get told(): Rams[] {
    return this.heard.flatMap(({ bytes }) => (isRtcp(bytes) ? (read(bytes).rams ?? []) : []));
  }
}

async function until(done: () => boolean): Promise<void> {
  while (!done()) await new Promise((resolve) => setTimeout(resolve, 5));
}

/** Sends packets in as much time as they take, until the test ends. */
async function live(t: Test, packets: readonly Buffer[], port: number): Promise<void> {
  const sender = await LoopbackSender.open(t);
  const began = performance.now();
  const ending = new AbortController();
  t.teardown(() => ending.abort());
  const play = async (): Promise<void> => {
    for (let sent = 0; !ending.signal.aborted && sent < packets.length; ) {
      const due = Math.ceil(((performance.now() - began) / 1000 / SECONDS) * packets.length);
      await sender.send(packets.slice(sent, due), port, HOST);
      sent = Math.max(sent, due);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  void play().catch(() => undefined);
}

interface Scene {
  readonly plane: PlaneApi;
  readonly sender: SenderHandle;
  /** Where the stream goes. */
  readonly group: Ear;
  /** Of the server. */
  readonly port: number;
}

async function scene(t: Test): Promise<Scene> {
  const plane = createPlane({ memoryBytes: 2 ** 24 });
  t.teardown(() => plane.close());
  const [group, free, input] = [await Ear.open(t), createSocket('udp4'), createSocket('udp4')];
  for (const socket of [free, input]) await once(socket.bind(0, HOST), 'listening');
  const [port, from] = [free.address().port, input.address().port];
  for (const socket of [free, input]) await once(socket.close(), 'close');
  const stream = plane.addStream({ ...STREAM, ringBytes: 2 ** 22 });
  plane.addInput(stream, { ...INPUT, port: from });
  const acquisition = { ratePercent: 300, bursts: 4, rate: 1_000_000_000, overlapMs: 5_000 };
  const retransmission = {
    address: HOST,
    port,
    plain: false,
    payloadType: 97,
    dscp: 0,
    depthMs: 5000,
    sharePercent: 100,
    rate: 100_000_000,
    allow: [`${HOST}/32`],
    tokenLifetimeMs: null,
    acquisition,
  };
  const sender = plane.addSender(stream, { ...SENDER, port: group.port, retransmission });
  const ts = new TsMaker(1, PICTURE).frames(0, SECONDS * FRAME_RATE, 2 * FRAME_RATE);
  await live(t, rtpPackets(ts, 1, 1), from);
  // More than one access point has gone out.
  await until(() => group.heard.length > 700);
  return { plane, sender, group, port };
}

function request(...elements: [number, Buffer][]): Buffer {
  const head = { sender: SSRC, media: SSRC, kind: REQUEST, number: 0, response: 0 };
  return write({ ...head, elements: new Map(elements) });
}

function termination(first: number): Buffer {
  const head = { sender: SSRC, media: STREAM.ssrc, kind: TERMINATION, number: 0, response: 0 };
  return write({ ...head, elements: new Map([[TLV.multicast, word(first)]]) });
}

function sequence(bytes: Buffer): number {
  return bytes.readUInt16BE(2);
}

function original(bytes: Buffer): number {
  return bytes.readUInt16BE(12);
}

function value(rams: Rams, type: number): number {
  const bytes = rams.elements.get(type) ?? Buffer.alloc(0);
  return bytes.length > 0 ? Number(`0x${bytes.toString('hex')}`) : Number.NaN;
}

/** Whether one of the TS packets of a payload is of the PAT. */
function hasTables(payload: Buffer): boolean {
  for (let at = 0; at < payload.length; at += TS_PACKET) if ((payload.readUInt16BE(at + 1) & 0x1fff) === 0) return true;
  return false;
}

t.test('a burst: told, from the tables before an access point on, no faster than told, ended as asked', async (t) => {
  const { plane, sender, group, port } = await scene(t);
  const receiver = await Ear.open(t);
  const asked = performance.now();
  receiver.socket.send(request([TLV.sources, Buffer.alloc(0)]), port, HOST);
  await until(() => receiver.told.length > 0);
  const told = receiver.told[0];
  if (told === undefined) return;
  const ours = { sender: STREAM.ssrc, media: STREAM.ssrc, kind: INFORMATION, number: 0, response: 200 };
  t.match(told, ours, 'both SSRCs are those of the stream');
  t.equal(value(told, TLV.source), STREAM.ssrc, 'which was not known when it was asked for');
  t.ok(value(told, TLV.join) > 0 && value(told, TLV.join) < 4_000, `joined after ${value(told, TLV.join)} ms`);
  t.equal(value(told, TLV.duration), value(told, TLV.join) + 5_000);
  t.ok(value(told, TLV.rate) > STREAM_RATE, `${value(told, TLV.rate)} bits a second`);

  // As if it had joined now: the fifth packet from here is the first that it receives.
  await until(() => performance.now() > asked + value(told, TLV.join));
  const first = sequence(group.media.at(-1) ?? Buffer.alloc(4)) + 5;
  receiver.socket.send(termination(first), port, HOST);
  await until(() => receiver.told.some(({ response }) => response === 201));
  const took = performance.now() - asked;
  t.equal(receiver.told.at(-1)?.number, 1, 'it is told anew');

  const burst = receiver.media;
  const numbers = burst.map(original);
  t.equal(numbers[0], value(told, TLV.first));
  const expected = Array.from({ length: first - value(told, TLV.first) }, (_, n) => value(told, TLV.first) + n);
  t.same(numbers, expected, 'each, in order, up to the one before the first by multicast');
  t.same(
    burst.map(sequence),
    expected.map((_, n) => (sequence(burst[0] ?? Buffer.alloc(4)) + n) & 0xffff),
    'numbers of its own without a gap',
  );
  t.ok(hasTables(burst[0]?.subarray(14) ?? Buffer.alloc(0)), 'begins with the tables');
  await until(() => sequence(group.media.at(-1) ?? Buffer.alloc(4)) >= first);
  const sent = new Map(group.media.map((bytes) => [sequence(bytes), bytes]));
  const changed = burst.filter((bytes) => {
    const packet = sent.get(original(bytes)) ?? Buffer.alloc(12);
    return !packet.subarray(4).equals(Buffer.concat([bytes.subarray(4, 12), bytes.subarray(14)]));
  });
  t.equal(changed.length, 0, 'each is what was sent to the group');
  const bits = burst.reduce((sum, { length }) => sum + 8 * length, 0);
  t.ok(bits <= value(told, TLV.rate) * (1.2 * (took / 1000) + 0.1), `${bits} bits in ${took} ms`);

  const after = receiver.heard.length;
  const more = group.heard.length + 100;
  await until(() => group.heard.length > more);
  t.equal(receiver.heard.length, after, 'nothing comes any more');
  t.match(plane.senderCounters(sender), { acquisitions: 1, acquisitionsRefused: 0, burstPackets: burst.length });
});

t.test('what cannot be: told why, and nothing else comes', async (t) => {
  const { plane, sender, port } = await scene(t);
  const receiver = await Ear.open(t);
  const sources: [number, Buffer] = [TLV.sources, Buffer.alloc(0)];
  const beyond = feedback(SSRC, SSRC, Buffer.from('0100000001000008', 'hex'));
  const refusals: [string, Buffer, number][] = [
    ['receives less than the stream', request(sources, [TLV.maxRate, long(1000n)]), 403],
    ['wants more than there is', request(sources, [TLV.minFill, word(100_000)]), 507],
    ['names no sources', request(), 400],
    ['names half a source', request([TLV.sources, half(1)]), 400],
    ['an element reaches past the end', beyond, 400],
    ['a rate of four bytes', request(sources, [TLV.maxRate, word(1)]), 400],
  ];
  for (const [what, bytes, response] of refusals) {
    const before = receiver.heard.length;
    receiver.socket.send(bytes, port, HOST);
    await until(() => receiver.heard.length > before);
    const told = receiver.told.at(-1);
    t.match(told, { sender: STREAM.ssrc, media: STREAM.ssrc, kind: INFORMATION, response }, what);
    t.equal(told === undefined ? Number.NaN : value(told, TLV.join), 0, 'the group may be joined at once');
  }
  const end = feedback(SSRC, STREAM.ssrc, Buffer.from('030000003d000008', 'hex'));
  receiver.socket.send(end, port, HOST);
  await until(() => receiver.told.at(-1)?.response === 404);
  t.equal(receiver.media.length, 0);
  t.match(plane.senderCounters(sender), { acquisitions: 0, acquisitionsRefused: refusals.length });
});

t.test('who may not ask hears nothing, and takes nothing from who may', async (t) => {
  const { plane, sender, group, port } = await scene(t);
  const [receiver, stranger] = [await Ear.open(t), await Ear.open(t, STRANGER)];
  const asks = request([TLV.sources, Buffer.alloc(0)]);
  receiver.socket.send(asks, port, HOST);
  await until(() => receiver.media.length > 0);
  const flood = 500;
  for (let n = 0; n < flood; n++) stranger.socket.send(n % 2 === 0 ? asks : termination(0), port, HOST);
  await until(() => plane.senderCounters(sender).feedbackRefused === flood);
  // The other one's burst goes on, with the stream.
  const now = sequence(group.media.at(-1) ?? Buffer.alloc(4)) + 50;
  await until(() => original(receiver.media.at(-1) ?? Buffer.alloc(14)) >= now);
  const numbers = receiver.media.map(original);
  const gaps = numbers.filter((number, n) => n > 0 && number !== (numbers[n - 1] ?? 0) + 1);
  t.same(gaps, []);
  t.equal(stranger.heard.length, 0);
  t.match(plane.senderCounters(sender), { acquisitions: 1, acquisitionsRefused: 0 });
});
