// Lossy paths over loopback: parity and retransmission end to end, and each side alone with rtp-packet as the other.
import type { RemoteInfo } from 'node:dgram';
import { buildCompound, buildNACK, buildRR, type ParsedRtcp, parse, parseRTCPCompound } from 'rtp-packet';
import t from 'tap';
import type { FecOptions, InputCounters, ReceiverHandle } from '../../daemon/plane/contract.js';
import { createPlane } from '../../daemon/plane/plane.js';
import { LoopbackSender, rtpPackets } from '../receive/rtp-sender.js';
import { TsMaker } from '../streams/ts-maker.js';
import { INPUT, SENDER, STREAM } from './options.js';
import { bound, freePorts, HOST, play, REPAIR, SERVER, until } from './repair-scene.js';

const TS_PACKET = 188;

const PARITY: FecOptions = {
  parity: { columns: 5, rows: 5, rowParity: true },
  block: null,
  payloadType: 96,
};
const BLOCKS: FecOptions = { parity: null, block: { source: 20, repair: 5 }, payloadType: 96 };

t.test('columns and rows repair what they can, and it is what was sent', async (t) => {
  const { received, sent, whole } = await play(t, {
    fec: PARITY,
    loses: (step, n) => step === 0 && n < 300 && n % 13 === 7,
  });
  t.ok(received.missing > 10, `${received.missing} missing`);
  // Parity may be there before a packet that it protects: that is repaired, and was never missing.
  t.ok(received.byParity >= received.missing, `${received.byParity} repaired`);
  t.equal(received.rtpLost, 0);
  t.ok(sent.parityColumns > 0 && sent.parityRows > 0 && sent.parityBlocks === 0 && sent.parityErrors === 0);
  t.ok(whole);
});

t.test('blocks repair as many losses in a row as they have repair packets', async (t) => {
  const loses = (step: number, n: number): boolean => step === 0 && n < 300 && n % 40 >= 20 && n % 40 < 25;
  const { received, sent, whole } = await play(t, { fec: BLOCKS, loses });
  t.ok(received.missing > 10, `${received.missing} missing`);
  t.equal(received.byBlock, received.missing);
  t.equal(received.rtpLost, 0);
  t.ok(sent.parityBlocks > 0 && sent.parityColumns === 0);
  t.ok(whole);
});

for (const plain of [false, true]) {
  t.test(`what is lost is asked for and sent again, ${plain ? 'as it was' : 'by RFC 4588'}`, async (t) => {
    const loses = (step: number, n: number): boolean => step === 0 && n < 300 && (n % 10 === 3 || (n > 40 && n < 60));
    const { received, sent, whole } = await play(t, { retransmission: { plain }, loses });
    t.ok(received.missing > 20, `${received.missing} missing`);
    t.equal(received.byRetransmission, received.missing);
    t.equal(received.rtpLost, 0);
    t.equal(sent.resent, sent.nacked);
    t.match(sent, { feedbackMalformed: 0, feedbackRefused: 0, resendGone: 0, resendShed: 0, resendErrors: 0 });
    t.ok(whole);
  });
}

for (const numbering of ['rtp-extension', 'field'] as const) {
  t.test(`numbers in ${numbering}: parity and retransmission go by them`, async (t) => {
    const loses = (step: number, n: number): boolean => step === 0 && n < 300 && (n % 10 === 3 || (n > 40 && n < 60));
    const fec = { parity: { columns: 5, rows: 5, rowParity: true }, block: { source: 20, repair: 5 }, payloadType: 96 };
    for (const plain of [false, true]) {
      const { received, whole } = await play(t, { numbering, fec, retransmission: { plain }, loses });
      t.ok(received.missing > 20, `${received.missing} missing`);
      t.ok(received.byParity > 0 && received.byRetransmission > 0);
      t.match(received, { rtpLost: 0, malformed: 0, damaged: 0 });
      t.ok(whole);
    }
  });
}

for (const address of ['127.0.0.1', '::1']) {
  const skip = process.getuid?.() === 0 ? false : 'numbers in IP options need CAP_NET_RAW';
  t.test(`numbers in options of the IP header, ${address}`, { skip }, async (t) => {
    const plane = createPlane({ memoryBytes: 2 ** 24 });
    t.teardown(() => plane.close());
    const [source, ...to] = [await freePorts(), await freePorts(), await freePorts(), await freePorts()] as const;
    const stream = plane.addStream(STREAM);
    plane.addInput(stream, { ...INPUT, port: source });
    const input = { ...INPUT, address, outputFd: null, recording: null, numbering: 'ip-option' } as const;
    const receivers = [
      plane.addReceiver({ ...input, port: to[0] }),
      plane.addReceiver({ ...input, port: to[1], repair: REPAIR }),
      plane.addReceiver({ ...input, port: to[2] }),
    ];
    to.forEach((port, n) => {
      plane.addSender(stream, { ...SENDER, address, port, numbering: n < 2 ? 'ip-option' : 'rtp' });
    });
    const loopback = await LoopbackSender.open(t);
    await loopback.send(rtpPackets(new TsMaker(1, 8000).frames(0, 50), 1, 1), source, HOST);
    const counters = (n: number): InputCounters => plane.inputCounters(receivers[n] as ReceiverHandle);
    await until(() => counters(0).tsPackets > 1000 && counters(1).tsPackets > 1000 && counters(2).packets > 100);
    for (const n of [0, 1]) t.match(counters(n), { rtpLost: 0, malformed: 0, continuityErrors: 0, rtpDuplicates: 0 });
    t.equal(counters(2).malformed, counters(2).packets, 'without the option there is no number');
  });
}

t.test('only what parity cannot repair is asked for', async (t) => {
  // A second loss in one column of five rows, and none beside it in its rows, is beyond columns alone.
  const fec = { ...PARITY, parity: { columns: 5, rows: 5, rowParity: false } };
  const loses = (step: number, n: number): boolean => step === 0 && n < 300 && (n % 50 === 30 || n === 62 || n === 67);
  const { received, whole } = await play(t, { fec, retransmission: {}, loses });
  t.equal(received.rtpLost, 0);
  t.ok(received.byParity > 0);
  t.ok(received.byRetransmission <= 2, `${received.byRetransmission} sent again`);
  t.ok(whole);
});

t.test('nobody who is not allowed is answered', async (t) => {
  const loses = (step: number, n: number): boolean => step === 0 && n < 300 && n % 10 === 3;
  const { received, sent, whole } = await play(t, { retransmission: { allow: ['192.0.2.0/24'] }, loses });
  t.equal(received.byRetransmission, 0);
  t.equal(received.rtpLost, received.missing);
  t.ok(sent.feedbackRefused > 0);
  t.match(sent, { nacks: 0, nacked: 0, resent: 0 });
  t.notOk(whole);
});

t.test('who is not allowed proves its address by a token, and is answered', async (t) => {
  const loses = (step: number, n: number): boolean => step === 0 && n < 300 && n % 10 === 3;
  const { received, sent, whole } = await play(t, {
    retransmission: { allow: [], tokenLifetimeMs: 60_000 },
    repair: { tokens: true },
    loses,
  });
  t.ok(received.missing > 10, `${received.missing} missing`);
  t.equal(received.byRetransmission, received.missing);
  t.equal(received.rtpLost, 0);
  t.match(received, { tokensGranted: 1, tokensRefused: 0 });
  t.match(sent, { tokensRefused: 0, feedbackRefused: 0 });
  t.ok(whole);
});

t.test('rtp-packet reads our NACKs', async (t) => {
  const plane = createPlane({ memoryBytes: 2 ** 20 });
  t.teardown(() => plane.close());
  const ear = await freePorts();
  const server = await bound(t);
  const receiver = plane.addReceiver({
    ...INPUT,
    port: ear,
    repair: { ...REPAIR, feedback: { address: HOST, port: server.address().port } },
    outputFd: null,
    recording: null,
  });
  const packets = rtpPackets(new TsMaker().frames(0, 100), 0xcafebabe, 65_520);
  const loopback = await LoopbackSender.open(t);
  const asked = new Set<number>();
  const compounds: ParsedRtcp[][] = [];
  server.on('message', (bytes) => compounds.push(parseRTCPCompound(bytes)));
  await loopback.send(
    packets.filter((_, n) => n < 10 || n > 30),
    ear,
    HOST,
  );
  await until(() => compounds.length > 0);
  for (const compound of compounds) {
    // It does not wrap the numbers that a bit mask stands for.
    t.match(compound, [{ type: 201 }, { type: 202 }, { type: 205, mediaSsrc: 0xcafebabe }]);
    const nack = compound.at(-1);
    if (nack?.lostSequenceNumbers !== undefined) for (const n of nack.lostSequenceNumbers) asked.add(n & 0xffff);
  }
  t.strictSame(
    [...asked],
    Array.from({ length: 21 }, (_, n) => (65_530 + n) & 0xffff),
    'also where the numbers begin anew',
  );
  t.ok(plane.inputCounters(receiver).nacked >= 21);
});

t.test('rtp-packet reads what we send again, and asks for it', async (t) => {
  const plane = createPlane({ memoryBytes: 2 ** 24 });
  t.teardown(() => plane.close());
  const [source, to] = [await freePorts(), await freePorts()];
  const media = await bound(t, to);
  const sent = new Map<number, Buffer>();
  media.on('message', (bytes) => sent.set(bytes.readUInt16BE(2), bytes));
  const stream = plane.addStream(STREAM);
  plane.addInput(stream, { ...INPUT, port: source });
  const sender = plane.addSender(stream, { ...SENDER, port: to, retransmission: { ...SERVER, port: to + 8 } });
  const loopback = await LoopbackSender.open(t);
  await loopback.send(rtpPackets(new TsMaker().frames(0, 100), 1, 1), source, HOST);
  await until(() => sent.size > 30);
  const asking = await bound(t);
  const answers: { bytes: Buffer; from: RemoteInfo }[] = [];
  asking.on('message', (bytes, from) => answers.push({ bytes, from }));
  const wanted = [...sent.keys()].slice(5, 10);
  const nothing = { fractionLost: 0, totalLost: 0, highestSeq: 1, jitter: 0, lastSR: 0, delaySinceLastSR: 0 };
  const ask = (mediaSsrc: number): Buffer =>
    buildCompound([buildRR({ ssrc: 7, mediaSsrc, ...nothing }), buildNACK(7, mediaSsrc, wanted)]);
  asking.send(ask(STREAM.ssrc + 1), to + 8, HOST);
  asking.send(Buffer.from('neither RTCP nor anything'), to + 8, HOST);
  asking.send(ask(STREAM.ssrc), to + 8, HOST);
  await until(() => answers.length === wanted.length);
  answers.forEach(({ bytes, from }, n) => {
    const packet = parse(bytes);
    const original = sent.get(wanted[n] ?? 0) ?? Buffer.alloc(0);
    t.match(packet, { payloadType: 97, ssrc: STREAM.ssrc, timestamp: original.readUInt32BE(4) });
    t.equal(packet?.payload.readUInt16BE(0), wanted[n], 'the original sequence number');
    t.ok(packet?.payload.subarray(2).equals(original.subarray(12)));
    t.equal(from.port, to + 8, 'from where it was asked for');
    const first = answers[0]?.bytes.readUInt16BE(2) ?? 0;
    t.equal(packet?.sequenceNumber, (first + n) & 0xffff, 'in a sequence of their own');
  });
  t.equal(answers.length * (TS_PACKET * 7 + 14), plane.senderCounters(sender).resentBytes);
  t.match(plane.senderCounters(sender), { feedbackIn: 3, feedbackMalformed: 1, nacks: 1, nacked: 5, resent: 5 });

  // What another one is sent leaves no gap for the first (RFC 4588 section 4).
  const other = await bound(t, 0, '127.0.0.2');
  other.send(ask(STREAM.ssrc), to + 8, HOST);
  await until(() => plane.senderCounters(sender).resent === 10);
  asking.send(ask(STREAM.ssrc), to + 8, HOST);
  await until(() => answers.length === 2 * wanted.length);
  const numbers = answers.map(({ bytes }) => bytes.readUInt16BE(2));
  t.ok(
    numbers.every((number, n) => number === (((numbers[0] ?? 0) + n) & 0xffff)),
    numbers.join(' '),
  );
});

t.test('a budget is not exceeded, however much is asked for', async (t) => {
  const plane = createPlane({ memoryBytes: 2 ** 24 });
  t.teardown(() => plane.close());
  const [source, to] = [await freePorts(), await freePorts()];
  const media = await bound(t, to);
  const sent = new Set<number>();
  media.on('message', (bytes) => sent.add(bytes.readUInt16BE(2)));
  const stream = plane.addStream(STREAM);
  plane.addInput(stream, { ...INPUT, port: source });
  const rate = 800_000;
  const sender = plane.addSender(stream, { ...SENDER, port: to, retransmission: { ...SERVER, rate, port: to + 8 } });
  const loopback = await LoopbackSender.open(t);
  await loopback.send(rtpPackets(new TsMaker(1, 8000).frames(0, 50), 1, 1), source, HOST);
  const asking = await bound(t);
  const began = performance.now();
  await until(() => sent.size >= 100);
  const numbers = [...sent].slice(-90);
  for (let i = 0; i < 200; i++) asking.send(buildNACK(7, STREAM.ssrc, numbers), to + 8, HOST);
  await until(() => plane.senderCounters(sender).nacks === 200);
  const { resentBytes, resendShed } = plane.senderCounters(sender);
  const burst = 64 * 1500;
  t.ok(resentBytes > 0);
  t.ok(resentBytes <= burst + (rate / 8) * ((performance.now() - began) / 1000), `${resentBytes} bytes`);
  t.ok(resendShed > 0);
});
