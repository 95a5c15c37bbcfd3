// RTCP of senders and of flows over loopback, with rtp-packet as the other side.
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { buildCompound, buildNACK, buildRR, buildSDES, buildSR, type ParsedRtcp, parseRTCPCompound } from 'rtp-packet';
import t, { type Test } from 'tap';
import type { FlowReceiverOptions, PortOptions } from '../../daemon/plane/contract-flows.js';
import { createPlane } from '../../daemon/plane/plane.js';
import { SENDER, STREAM } from './options.js';

const SOURCE = 0xcafebabe;
const OURS = 0x11111111;
const NTP = [0xe8a1b2c3, 0x80000000] as const;

const PORT: PortOptions = {
  address: '127.0.0.1',
  port: 0,
  source: null,
  interfaceName: null,
  ttl: 1,
  multicastLoop: false,
  receiveBufferBytes: 65_536,
  batching: 'auto',
  loop: null,
};

/** A socket that keeps what comes and has not been asked for. */
class Peer {
  readonly socket: Socket = createSocket('udp4');
  readonly #came: { bytes: Buffer; from: RemoteInfo }[] = [];

  static async at(t: Test, port = 0): Promise<Peer> {
    const peer = new Peer();
    peer.socket.on('message', (bytes, from) => peer.#came.push({ bytes, from }));
    t.teardown(() => peer.socket.close());
    peer.socket.bind(port, '127.0.0.1');
    await once(peer.socket, 'listening');
    return peer;
  }

  get port(): number {
    return this.socket.address().port;
  }

  send(bytes: Buffer, port: number): void {
    this.socket.send(bytes, port, '127.0.0.1');
  }

  /** The next RTCP; RTP is passed over. */
  async rtcp(): Promise<{ packets: ParsedRtcp[]; from: RemoteInfo }> {
    for (;;) {
      for (let one = this.#came.shift(); one !== undefined; one = this.#came.shift()) {
        const type = one.bytes[1] ?? 0;
        if (type >= 192 && type <= 223) return { packets: parseRTCPCompound(one.bytes), from: one.from };
      }
      await once(this.socket, 'message');
    }
  }
}

/** Sockets on a port and the one above it. */
async function pair(t: Test): Promise<{ media: Peer; control: Peer }> {
  for (;;) {
    const media = await Peer.at(t);
    try {
      return { media, control: await Peer.at(t, media.port + 1) };
    } catch {
      // The one above is taken: another pair.
    }
  }
}

async function until(done: () => boolean): Promise<void> {
  while (!done()) await new Promise((resolve) => setTimeout(resolve, 5));
}

function rtp(sequence: number, ssrc: number): Buffer {
  const bytes = Buffer.alloc(172);
  bytes.writeUInt16BE(0x8008, 0);
  bytes.writeUInt16BE(sequence & 0xffff, 2);
  bytes.writeUInt32BE(160 * sequence, 4);
  bytes.writeUInt32BE(ssrc, 8);
  return bytes;
}

function answer(mediaSsrc: number, highestSeq: number): Buffer {
  const options = { fractionLost: 64, totalLost: 2, jitter: 80, lastSR: 0xb2c38000, delaySinceLastSR: 0 };
  return buildRR({ ssrc: 7, mediaSsrc, highestSeq, ...options });
}

t.test('the sender of a stream reports to the port above, and counts what is answered', async (t) => {
  const plane = createPlane({ memoryBytes: 2 ** 23 });
  t.teardown(() => plane.close());
  const { media, control } = await pair(t);
  const stream = plane.addStream(STREAM);
  const sender = plane.addSender(stream, { ...SENDER, port: media.port, rtcp: { cname: 'news/main@here' } });
  const { packets, from } = await control.rtcp();
  t.match(packets, [{ type: 201 }, { name: 'SDES', ssrc: STREAM.ssrc, cname: 'news/main@here' }]);
  control.send(answer(STREAM.ssrc, 9), from.port);
  await until(() => plane.senderCounters(sender).reports === 1);
  t.match(plane.senderCounters(sender), { rtcpIn: 1, rtcpMalformed: 0, reportedLostPpm: 250_000 });
  t.equal(plane.senderCounters(sender).roundTripUs, 0, 'it named no report of ours');
});

t.test('a flow relays reports and requests between the numbers of its source and of a receiver', async (t) => {
  const plane = createPlane({ memoryBytes: 2 ** 23 });
  t.teardown(() => plane.close());
  const source = await Peer.at(t);
  const viewer = await Peer.at(t);
  const { handle: port, port: number } = plane.flows.addPort(PORT);
  const flow = plane.flows.addFlow({
    name: 'test',
    input: { kind: 'port', port, match: { remote: '127.0.0.1', remotePort: source.port, ssrc: null } },
    media: 'rtp',
    clockRate: 8000,
    historyBytes: 0,
    waitUs: 0,
    priority: 4,
    smoothing: null,
    rtcp: { port: null, cname: 'relay@here', bandwidth: 64_000 },
  });
  const receiver: FlowReceiverOptions = {
    port,
    address: '127.0.0.1',
    destinationPort: viewer.port,
    rtcpPort: 0,
    sourceAddress: null,
    dscp: 0,
    ssrc: OURS,
    payloadType: null,
    sequenceOffset: 1000,
    timestampOffset: 500,
    open: true,
  };
  plane.flows.addFlowReceivers(flow, [receiver]);
  for (let i = 0; i < 10; i++) source.send(rtp(i, SOURCE), number);
  await until(() => plane.flows.flowCounters(flow).packetsOut === 10);

  const report = { ssrc: SOURCE, ntpTimestamp: NTP, rtpTimestamp: 1600, packetCount: 999, octetCount: 9 };
  source.send(buildCompound([buildSR(report), buildSDES(SOURCE, 'phone')]), number);
  t.match((await viewer.rtcp()).packets, [
    { name: 'SR', ssrc: OURS, ntpTimestampMsw: NTP[0], rtpTimestamp: 2100, packetCount: 10, octetCount: 1600 },
    { name: 'SDES', ssrc: OURS, cname: 'phone' },
  ]);
  t.equal(plane.flows.flowReceivers(flow, 0, 1)[0]?.report, null);
  viewer.send(buildCompound([answer(OURS, 1009), buildNACK(7, OURS, [1003, 1005])]), number);
  t.match((await source.rtcp()).packets, [
    { name: 'RR', ssrc: 7, mediaSsrc: SOURCE, highestSeq: 9, fractionLost: 64, lastSR: 0xb2c38000 },
    { name: 'NACK', mediaSsrc: SOURCE, lostSequenceNumbers: [3, 5] },
  ]);
  const kept = plane.flows.flowReceivers(flow, 0, 1)[0]?.report;
  t.match(kept, { fractionLost: 0.25, lost: 2, jitterMs: 10 });
  t.type(kept?.roundTripMs, 'number');
  const { packets } = await source.rtcp();
  t.match(packets[0], { name: 'RR', mediaSsrc: SOURCE, highestSeq: 9, lastSR: 0xb2c38000 }, 'what we received');
  t.match(packets[1], { name: 'SDES', cname: 'relay@here' });
  t.match(packets[2], { name: 'RR', ssrc: 7, mediaSsrc: SOURCE, highestSeq: 9 }, 'what the receiver did');
  t.match(plane.flows.flowCounters(flow), { rtcpIn: 2, rtcpMalformed: 0, rtpLost: 0 });
});

t.test('what RTCP cannot be set up with is refused', async (t) => {
  const plane = createPlane({ memoryBytes: 2 ** 23 });
  t.teardown(() => plane.close());
  const stream = plane.addStream(STREAM);
  for (const cname of ['', 'two words', 'x'.repeat(256), 'käse'])
    t.throws(() => plane.addSender(stream, { ...SENDER, rtcp: { cname } }), { code: 'ADDRESS_INVALID' }, cname);
  t.throws(() => plane.addSender(stream, { ...SENDER, port: 65_535, rtcp: { cname: 'a@b' } }), {
    code: 'ADDRESS_INVALID',
  });
});
