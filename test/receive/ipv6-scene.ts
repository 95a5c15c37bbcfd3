/** Runs in a network namespace of its own (see ipv6.test.ts): IPv6 multicast on a veth pair, told as one JSON line. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createPlane } from '../../daemon/plane/plane.js';
import { TsMaker } from '../streams/ts-maker.js';
import { rtpPackets } from './rtp-sender.js';

const PORT = 5000;
const WITHIN_MS = 5000;

const FEED_PORT = 5002;
const DATAGRAM = 7 * 188;
const RTP_HEADER = 12;

const plane = createPlane({ memoryBytes: 1 << 20 });
const receive = (address: string, source: string | null) =>
  plane.addReceiver({
    address,
    port: PORT,
    source,
    interfaceName: 'd0',
    reorderMs: 50,
    outputFd: null,
    recording: null,
  });
const any = receive('ff15::1:1', null);
const linkLocal = receive('ff12::1:2', null);
const specific = receive('ff35::8000:1', 'fd00::1');
const other = receive('ff35::8000:1', 'fd00::9');
const relayed = receive('ff35::8000:2', 'fd00::1');

/** A stream of ours that takes plain datagrams and sends them on to an IPv6 group. */
const stream = plane.addStream({
  name: 'ipv6/relayed',
  ringBytes: 1 << 20,
  delayMs: 50,
  spreadMs: 0,
  smoothing: null,
  program: null,
  segmentMs: 2000,
  windowSegments: 3,
  ssrc: 6,
  loop: null,
});
plane.addInput(stream, { address: '::1', port: FEED_PORT, source: null, interfaceName: null, reorderMs: 0 });
plane.addSender(stream, {
  address: 'ff35::8000:2',
  port: PORT,
  interfaceName: 'd0',
  sourceAddress: 'fd00::1',
  sourcePort: 0,
  rtcp: null,
  ttl: 4,
  dscp: 34,
  loop: true,
  batching: 'auto',
});

const socket = createSocket('udp6');
socket.bind(0, 'fd00::1');
await once(socket, 'listening');
socket.setMulticastInterface('::%d0');
const send = (bytes: Uint8Array, port: number, to: string) =>
  new Promise<void>((resolve, reject) => {
    socket.send(bytes, port, to, (error) => (error === null ? resolve() : reject(error)));
  });
const ts = new TsMaker().frames(0, 5);
const packets = rtpPackets(ts, 7, 65_530);
for (const group of ['ff15::1:1', 'ff12::1:2%d0', 'ff35::8000:1']) {
  for (const packet of packets) await send(packet, PORT, group);
}
for (let at = 0; at < ts.length; at += DATAGRAM) await send(ts.subarray(at, at + DATAGRAM), FEED_PORT, '::1');
const relayedAll = () => {
  const { packets: count, bytes } = plane.inputCounters(relayed);
  return bytes === ts.length + RTP_HEADER * count;
};
const got = () => [any, linkLocal, specific, other].map((receiver) => plane.inputCounters(receiver));
const deadline = Date.now() + WITHIN_MS;
const missing = () =>
  got()
    .slice(0, 3)
    .some(({ packets: count }) => count < packets.length);
while ((missing() || !relayedAll()) && Date.now() < deadline) {
  await new Promise((resolve) => setTimeout(resolve, 20));
}
process.stdout.write(
  `${JSON.stringify({ sent: packets.length, got: got(), bytes: ts.length, relayed: plane.inputCounters(relayed) })}\n`,
);
socket.close();
await plane.close();
