/** Runs in a network namespace of its own (see ipv6.test.ts): IPv6 multicast on a veth pair, told as one JSON line. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createPlane } from '../../daemon/plane/plane.js';
import { TsMaker } from '../streams/ts-maker.js';
import { rtpPackets } from './rtp-sender.js';

const PORT = 5000;
const WITHIN_MS = 5000;

const plane = createPlane({ memoryBytes: 1 << 20 });
const receive = (address: string, source: string | null) =>
  plane.addReceiver({ address, port: PORT, source, interfaceName: 'd0', reorderMs: 50, outputFd: null });
const any = receive('ff15::1:1', null);
const linkLocal = receive('ff12::1:2', null);
const specific = receive('ff35::8000:1', 'fd00::1');
const other = receive('ff35::8000:1', 'fd00::9');

const socket = createSocket('udp6');
socket.bind(0, 'fd00::1');
await once(socket, 'listening');
socket.setMulticastInterface('::%d0');
const packets = rtpPackets(new TsMaker().frames(0, 5), 7, 65_530);
for (const group of ['ff15::1:1', 'ff12::1:2%d0', 'ff35::8000:1']) {
  for (const packet of packets) {
    await new Promise<void>((resolve, reject) => {
      socket.send(packet, PORT, group, (error) => (error === null ? resolve() : reject(error)));
    });
  }
}
const got = () => [any, linkLocal, specific, other].map((receiver) => plane.inputCounters(receiver));
const deadline = Date.now() + WITHIN_MS;
while (
  got()
    .slice(0, 3)
    .some(({ packets: count }) => count < packets.length) &&
  Date.now() < deadline
) {
  await new Promise((resolve) => setTimeout(resolve, 20));
}
process.stdout.write(`${JSON.stringify({ sent: packets.length, got: got() })}\n`);
socket.close();
await plane.close();
