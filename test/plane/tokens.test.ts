// Port mapping (RFC 6284) with a peer written here from the RFC, each of our sides alone; tshark reads what both send.
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { join } from 'node:path';
import { buildNACK } from 'rtp-packet';
import t, { type Test } from 'tap';
import { createPlane } from '../../daemon/plane/plane.js';
import { temporaryFolder } from '../cli/lib/program.js';
import { LoopbackSender, rtpPackets } from '../receive/rtp-sender.js';
import { writePcap } from '../replay/pcap-maker.js';
import { has, must } from '../replay/tshark.js';
import { TsMaker } from '../streams/ts-maker.js';
import { INPUT, SENDER, STREAM } from './options.js';

const HOST = '127.0.0.1';
const TOKEN = 210;
const RAW_IP = 101;
const SSRC = 7;
const NONCE = Buffer.from('0102030405060708', 'hex');

interface RtcpPart {
  readonly type: number;
  readonly count: number;
  /** Behind the first four bytes. */
  readonly body: Buffer;
}

function parts(datagram: Buffer): RtcpPart[] {
  const found: RtcpPart[] = [];
  for (let at = 0; at < datagram.length; ) {
    const end = at + 4 * (1 + datagram.readUInt16BE(at + 2));
    const [first = 0, type = 0] = datagram.subarray(at);
    found.push({ type, count: first & 31, body: datagram.subarray(at + 4, end) });
    at = end;
  }
  return found;
}

function tokenPacket(subtype: number, ...pieces: readonly Buffer[]): Buffer {
  const body = Buffer.concat(pieces);
  const header = Buffer.from([0x80 | subtype, TOKEN, 0, 0]);
  header.writeUInt16BE(body.length / 4, 2);
  return Buffer.concat([header, body]);
}

function word(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** A length, the token, and zeros up to whole words (section 4.2). */
function element(token: Buffer): Buffer {
  const bytes = Buffer.alloc(Math.ceil((2 + token.length) / 4) * 4);
  bytes.writeUInt16BE(token.length, 0);
  token.copy(bytes, 2);
  return bytes;
}

/** Packet types that need a token: RTPFB. */
const GUARDED = Buffer.from('01cd0000', 'hex');
/** A generic NACK is what failed (section 4.4). */
const FAILED = Buffer.from('cd080000', 'hex');

/** A receiver report without blocks and a CNAME of 24: what a compound begins with (RFC 3550 section 6.1). */
const BEGIN = Buffer.concat([
  Buffer.from('80c9000100000007', 'hex'),
  Buffer.from('81ca0008000000070118', 'hex'),
  Buffer.from('abcdefghijklmnopqrstuvwx\0\0'),
]);

interface Said {
  readonly bytes: Buffer;
  readonly from: RemoteInfo;
}

async function bound(t: Test, host = HOST): Promise<{ socket: Socket; heard: Said[] }> {
  const socket = createSocket('udp4');
  socket.bind(0, host);
  await once(socket, 'listening');
  t.teardown(() => socket.close());
  const heard: Said[] = [];
  socket.on('message', (bytes, from) => heard.push({ bytes, from }));
  return { socket, heard };
}

/** One that is free just now. */
async function freePort(): Promise<number> {
  const socket = createSocket('udp4');
  socket.bind(0, HOST);
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  await once(socket, 'close');
  return port;
}

async function until(done: () => boolean): Promise<void> {
  while (!done()) await new Promise((resolve) => setTimeout(resolve, 5));
}

/** An IPv4 packet of UDP, without checksums. */
function datagram(payload: Buffer): Buffer {
  const head = Buffer.alloc(28);
  head[0] = 0x45;
  head.writeUInt16BE(28 + payload.length, 2);
  head[8] = 64;
  head[9] = 17;
  head.writeUInt32BE(0x7f000001, 12);
  head.writeUInt32BE(0x7f000001, 16);
  head.writeUInt16BE(5008, 20);
  head.writeUInt16BE(5008, 22);
  head.writeUInt16BE(8 + payload.length, 24);
  return Buffer.concat([head, payload]);
}

/** What tshark makes of datagrams of RTCP: types, sub-types, what it complains of, and whether the lengths fit. */
function dissected(t: Test, datagrams: readonly Buffer[]): string[] {
  const file = join(temporaryFolder(t), 'tokens.pcap');
  writePcap(
    file,
    datagrams.map((bytes, n) => ({ timeNs: n * 1e6, bytes: datagram(bytes) })),
    RAW_IP,
  );
  const fields = ['rtcp.pt', 'rtcp.app.subtype', '_ws.expert.message', 'rtcp.length_check'];
  const wanted = fields.flatMap((field) => ['-e', field]);
  return must('tshark', ['-n', '-r', file, '-d', 'udp.port==5008,rtcp', '-T', 'fields', ...wanted])
    .trimEnd()
    .split('\n');
}

const OURS: Buffer[] = [];

t.test('our receiver gets a token, shows it with its NACKs, and gets another one when it is refused', async (t) => {
  const plane = createPlane({ memoryBytes: 2 ** 20 });
  t.teardown(() => plane.close());
  const server = await bound(t);
  const feedback = { address: HOST, port: server.socket.address().port };
  const repair = { fec: false, feedback, tokens: true, playoutMs: 2000, leastPlayoutMs: 0, ditherMs: 0 };
  const port = await freePort();
  const receiver = plane.addReceiver({ ...INPUT, port, repair, outputFd: null, recording: null });
  await until(() => server.heard.length > 0);

  const asked = server.heard[0];
  if (asked === undefined) return;
  OURS.push(asked.bytes);
  t.match(parts(asked.bytes), [{ type: 201 }, { type: 202 }, { type: TOKEN, count: 1 }]);
  const body = parts(asked.bytes)[2]?.body ?? Buffer.alloc(0);
  t.equal(body.length, 12);
  const [ssrc, nonce] = [body.subarray(0, 4), body.subarray(4)];
  const token = element(Buffer.from('a token of another length'));
  const expiry = Buffer.from('e8d4a51080000000', 'hex');
  const response = (to: Buffer): Buffer => tokenPacket(2, word(1), ssrc, to, token, expiry, word(60), GUARDED);
  server.socket.send(response(Buffer.alloc(8)), asked.from.port, HOST);
  server.socket.send(response(nonce), asked.from.port, HOST);
  await until(() => plane.inputCounters(receiver).tokensGranted === 1);

  const packets = rtpPackets(new TsMaker().frames(0, 100), 0xcafebabe, 1);
  const loopback = await LoopbackSender.open(t);
  await loopback.send(
    packets.filter((_, n) => n < 10 || n > 30),
    port,
    HOST,
  );
  const shown = (): Said | undefined => server.heard.find(({ bytes }) => parts(bytes).length === 4);
  await until(() => shown() !== undefined);
  const bytes = shown()?.bytes ?? Buffer.alloc(0);
  OURS.push(bytes);
  t.match(parts(bytes), [{ type: 201 }, { type: 202 }, { type: TOKEN, count: 3 }, { type: 205, count: 1 }]);
  t.same(parts(bytes)[2]?.body, Buffer.concat([ssrc, nonce, token, expiry]), 'as it was given');
  t.equal(shown()?.from.port, asked.from.port, 'from where it was asked for');

  const before = server.heard.length;
  server.socket.send(tokenPacket(4, word(1), ssrc, FAILED, nonce), asked.from.port, HOST);
  const asks = ({ bytes: said }: Said): boolean => parts(said).at(-1)?.type === TOKEN;
  await until(() => server.heard.slice(before).some(asks));
  const again = server.heard.slice(before).find(asks)?.bytes ?? Buffer.alloc(0);
  t.notMatch(parts(again)[2]?.body.subarray(4), nonce, 'with a nonce of its own');
  t.equal(plane.inputCounters(receiver).tokensRefused, 1);
});

t.test('our server gives tokens, and answers who shows its own', async (t) => {
  const plane = createPlane({ memoryBytes: 2 ** 24 });
  t.teardown(() => plane.close());
  const media = await bound(t);
  const to = media.socket.address().port;
  const [from, port] = [await freePort(), await freePort()];
  const stream = plane.addStream(STREAM);
  plane.addInput(stream, { ...INPUT, port: from });
  const retransmission = {
    address: HOST,
    port,
    plain: false,
    payloadType: 97,
    dscp: 0,
    depthMs: 2000,
    sharePercent: 1000,
    rate: 100_000_000,
    allow: [],
    multicastAfter: 0,
    holdMs: 100,
    tokenLifetimeMs: 60_000,
  };
  const sender = plane.addSender(stream, { ...SENDER, port: to, retransmission });
  const loopback = await LoopbackSender.open(t);
  await loopback.send(rtpPackets(new TsMaker().frames(0, 100), 1, 1), from, HOST);
  await until(() => media.heard.length > 30);
  const wanted = media.heard.slice(5, 10).map(({ bytes }) => bytes.readUInt16BE(2));

  const asking = await bound(t);
  const request = Buffer.concat([BEGIN, tokenPacket(1, word(SSRC), NONCE)]);
  asking.socket.send(request, port, HOST);
  await until(() => asking.heard.length === 1);
  const response = asking.heard[0]?.bytes ?? Buffer.alloc(0);
  OURS.push(response);
  t.ok(response.length <= request.length, 'none longer than what was asked');
  t.match(parts(response), [{ type: TOKEN, count: 2 }]);
  const body = parts(response)[0]?.body ?? Buffer.alloc(0);
  t.same(body.subarray(0, 16), Buffer.concat([word(STREAM.ssrc), word(SSRC), NONCE]));
  const [token, expiry] = [body.subarray(16, -16), body.subarray(-16, -8)];
  t.equal(body.readUInt32BE(body.length - 8), 60);
  t.same(body.subarray(-4), GUARDED);
  const seconds = expiry.readUInt32BE(0) - 2_208_988_800 - Date.now() / 1000;
  t.ok(seconds > 50 && seconds <= 61, `${seconds} s left`);

  const nack = buildNACK(SSRC, STREAM.ssrc, wanted);
  const proved = Buffer.concat([BEGIN, tokenPacket(3, word(SSRC), NONCE, token, expiry), nack]);
  asking.socket.send(proved, port, HOST);
  await until(() => asking.heard.length === 1 + wanted.length);
  t.same(
    asking.heard.slice(1).map(({ bytes }) => bytes.readUInt16BE(12)),
    wanted,
  );

  for (const host of [HOST, '127.0.0.2']) {
    const thief = await bound(t, host);
    thief.socket.send(proved, port, HOST);
    await until(() => thief.heard.length === 1);
    const failure = thief.heard[0]?.bytes ?? Buffer.alloc(0);
    OURS.push(failure);
    t.same(failure, tokenPacket(4, word(STREAM.ssrc), word(SSRC), FAILED, NONCE), `not to ${host} and another port`);
  }
  const counted = { tokensGranted: 1, tokensRefused: 2, nacks: 1, resent: wanted.length, feedbackRefused: 2 };
  t.match(plane.senderCounters(sender), counted);
});

t.test('tshark reads what we send', { skip: has('tshark') ? false : 'tshark is not installed' }, async (t) => {
  t.strictSame(dissected(t, OURS), [
    '201,202,210\t1\t\t1',
    '201,202,210,205\t3\t\t1',
    '210\t2\t\t1',
    '210\t4\t\t1',
    '210\t4\t\t1',
  ]);
});
