/** A stream, a path over loopback that loses, and a receiver that repairs. */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import type {
  FecOptions,
  InputCounters,
  Numbering,
  PlaneApi,
  RangeSource,
  ReceiverHandle,
  RepairOptions,
  RetransmissionOptions,
  SenderCounters,
  SenderHandle,
  StreamCounters,
  StreamHandle,
} from '../../daemon/plane/contract.js';
import { createPlane } from '../../daemon/plane/plane.js';
import { temporaryFolder } from '../cli/lib/program.js';
import { LoopbackSender, rtpPackets } from '../receive/rtp-sender.js';
import { TsMaker } from '../streams/ts-maker.js';
import type { Certificate } from './certificates.js';
import { INPUT, listener, SENDER, STREAM } from './options.js';

export const HOST = '127.0.0.1';
/** Media, RTCP, columns, rows, blocks. */
const STEPS = [0, 1, 2, 4, 6];

export const REPAIR: RepairOptions = {
  fec: true,
  feedback: null,
  tokens: false,
  playoutMs: 400,
  leastPlayoutMs: 0,
  ditherMs: 0,
};
export const SERVER: RetransmissionOptions = {
  address: HOST,
  port: 0,
  plain: false,
  payloadType: 97,
  dscp: 0,
  depthMs: 2000,
  sharePercent: 1000,
  rate: 100_000_000,
  allow: ['127.0.0.0/8'],
  multicastAfter: 3,
  holdMs: 100,
  tokenLifetimeMs: null,
};

/** A socket that is closed at the end of the test. */
export async function bound(t: Test, port = 0, host = HOST): Promise<Socket> {
  const socket = createSocket('udp4');
  socket.bind(port, host);
  await once(socket, 'listening');
  t.teardown(() => socket.close());
  return socket;
}

/** Test files run beside each other: each looks for ports in a part of its own, most times. */
const LANE = 16_000 + 2_000 * (process.pid % 8);
const BLOCK = 16;
const BLOCKS = 125;
let blocks = Math.floor(Math.random() * BLOCKS);

/** The first of eight ports that are free, even; others each time. */
export async function freePorts(): Promise<number> {
  for (;;) {
    const first = LANE + BLOCK * (blocks++ % BLOCKS);
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

export async function until(done: () => boolean): Promise<void> {
  while (!done()) await new Promise((resolve) => setTimeout(resolve, 5));
}

export interface Scene {
  readonly numbering?: Numbering;
  readonly fec?: FecOptions;
  readonly retransmission?: Partial<RetransmissionOptions>;
  readonly repair?: Partial<RepairOptions>;
  /** Packets by HTTP: as the front gives them, at so many bits a second, or from another server. */
  readonly range?: number | RangeSource;
  /** What becomes of the way to the front. */
  readonly through?: (direct: RangeSource) => RangeSource;
  /** Of the front; whom the receiver trusts. */
  readonly certificate?: Certificate;
  readonly loses: (step: number, n: number) => boolean;
}

export interface Outcome {
  readonly received: InputCounters;
  readonly sent: SenderCounters;
  readonly ring: StreamCounters;
  /** Whether what was written is what was sent, without a gap. */
  readonly whole: boolean;
}

/** Some seconds of pictures through a sender, a path that loses, and a receiver that repairs. */
export async function play(
  t: Test,
  { numbering = 'rtp', fec, retransmission, repair, range, through, certificate, loses }: Scene,
): Promise<Outcome> {
  const plane = createPlane({
    memoryBytes: 2 ** 24,
    ...(certificate === undefined ? {} : { authorities: certificate.cert }),
  });
  t.teardown(() => plane.close());
  const [source, path, ear] = [await freePorts(), await freePorts(), await freePorts()];
  await lossyPath(t, path, ear, loses);
  const stream = plane.addStream(STREAM);
  plane.addInput(stream, { ...INPUT, port: source });
  const server = retransmission === undefined ? null : { ...SERVER, port: path + 8, ...retransmission };
  const sender = plane.addSender(stream, {
    ...SENDER,
    port: path,
    numbering,
    fec: fec ?? null,
    retransmission: server,
  });
  const direct = typeof range === 'number' ? front(plane, stream, range, certificate) : (range ?? null);
  const from = direct === null || through === undefined ? direct : through(direct);
  const file = join(temporaryFolder(t), 'out.ts');
  const fd = openSync(file, 'w');
  t.teardown(() => closeSync(fd));
  const feedback = server === null ? null : { address: HOST, port: server.port };
  const receiver = plane.addReceiver({
    ...INPUT,
    port: ear,
    numbering,
    repair: { ...REPAIR, feedback, range: from, ...repair },
    outputFd: fd,
    recording: null,
  });
  const ts = new TsMaker(1, 8000).frames(0, 60);
  const loopback = await LoopbackSender.open(t);
  await loopback.send(rtpPackets(ts, 1, 1), source, HOST);
  const received = await settled(plane, sender, receiver);
  plane.removeReceiver(receiver);
  const written = readFileSync(file);
  return {
    received,
    sent: plane.senderCounters(sender),
    ring: plane.streamCounters(stream),
    whole: written.length > ts.length / 2 && ts.includes(written),
  };
}

/** Where a front gives the packets of a stream by ranges. */
export function front(plane: PlaneApi, stream: StreamHandle, rate: number, certificate?: Certificate): RangeSource {
  const tls = certificate === undefined ? [] : [{ chain: certificate.cert, key: certificate.key }];
  const { port } = plane.listen({ ...listener(), tls });
  plane.setRoute('/live/test/main.rtp', { kind: 'packets', stream, rate });
  const source = rangeSource(port);
  return certificate === undefined ? source : { ...source, tls: { serverName: HOST, insecure: false } };
}

export function rangeSource(port: number): RangeSource {
  return { address: HOST, port, tls: null, host: `${HOST}:${port}`, target: '/live/test/main.rtp', headers: {} };
}

/** Until everything that left has been delivered, or given up. */
async function settled(plane: PlaneApi, sender: SenderHandle, receiver: ReceiverHandle): Promise<InputCounters> {
  let last = plane.inputCounters(receiver);
  let before = -1;
  for (let still = 0; still < 100; ) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    last = plane.inputCounters(receiver);
    const now = plane.senderCounters(sender).packets + last.tsPackets + last.rtpLost;
    still = now === before && now > 0 ? still + 1 : 0;
    before = now;
  }
  return last;
}
