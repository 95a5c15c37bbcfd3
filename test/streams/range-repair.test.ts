// Two daemons and a path that loses: what one sends by multicast the other repairs by HTTP alone.
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import t, { type Test } from 'tap';
import { readMulticast } from '../../daemon/protocols/sdp/read.js';
import { freePorts, HOST } from '../plane/repair-scene.js';
import { LoopbackSender, rtpPackets } from '../receive/rtp-sender.js';
import { channel, edge } from './bed.js';
import { until } from './edge.js';
import { TsMaker } from './ts-maker.js';

t.setTimeout(120_000);

const GROUP = '239.255.78.1';

/** Hands on what comes to the group, but for every tenth packet. */
async function lossyPath(t: Test, port: number, to: number): Promise<void> {
  const socket = createSocket({ type: 'udp4', reuseAddr: true });
  t.teardown(() => socket.close());
  socket.bind(port, GROUP);
  await once(socket, 'listening');
  socket.addMembership(GROUP, HOST);
  let n = 0;
  socket.on('message', (bytes) => {
    if (n++ % 10 !== 3) socket.send(bytes, to, HOST);
  });
}

t.test('a channel gives its packets by HTTP, and another daemon repairs its source with them', async (t) => {
  const [source, group, box] = [await freePorts(), await freePorts(), await freePorts()];
  const multicast = { address: GROUP, port: group, interface: 'lo', ttl: 0, range_repair: {} };
  const sender = await edge(t, channel({ url: `rtp://${HOST}:${source}`, multicast }));
  const range = `${sender.base}/live/news/high.rtp`;
  await lossyPath(t, group, box);
  const receiver = await edge(t, channel({ url: `rtp://${HOST}:${box}`, repair: { range, playout: '400ms' } }));

  const without = await fetch(range);
  t.equal(without.status, 400);
  t.equal(without.headers.get('accept-ranges'), 'rtp');
  t.match(await without.text(), 'expected Range: rtp=FIRST-LAST');
  const described = await (await fetch(`${sender.base}/live/news/high.repair.sdp`)).text();
  t.match(readMulticast(described), { range, fec: false, feedback: null });
  t.equal((await fetch(`${receiver.base}/live/news/high.rtp`)).status, 404, 'only where it is switched on');

  const loopback = await LoopbackSender.open(t);
  const sending = loopback.send(rtpPackets(new TsMaker(1, 8000).frames(0, 150), 1, 1), source, HOST);
  await until('packets repaired by HTTP', () => (receiver.rendition().repair?.byFetch ?? 0) > 30, 30_000);
  await sending;
  const repair = receiver.rendition().repair;
  t.match(repair, { lost: 0, byParity: 0, byRetransmission: 0, fetchErrors: 0, residualLoss: 0 });
  t.ok((sender.rendition().multicast?.repair?.fetched ?? 0) >= (repair?.byFetch ?? 0));
  t.equal(receiver.rendition().input.continuityErrors, 0);
  t.match(receiver.service.why('news')?.renditions[0]?.steps.find(({ step }) => step === 'input')?.says, /\d+ by HTTP/);
  const [given, taken] = [await sender.metrics.text(), await receiver.metrics.text()];
  t.match(given, /^sluice_range_repair_requests_total\{stream="news\/high",result="served"\} [1-9]/m);
  t.match(given, /^sluice_range_repair_requests_total\{stream="news\/high",result="malformed"\} 1/m);
  t.match(given, /^sluice_range_repair_packets_total\{stream="news\/high"\} [1-9]/m);
  t.match(taken, /^sluice_source_repaired_packets_total\{stream="news\/high",means="fetch"\} [1-9]/m);
  t.match(taken, /^sluice_source_fetches_total\{stream="news\/high",result="answered"\} [1-9]/m);
});

t.test('a source plays although nobody knows where to fetch from', async (t) => {
  const port = await freePorts();
  const range = 'http://nobody.invalid/live/news/main.rtp';
  const it = await edge(t, channel({ url: `rtp://${HOST}:${port}`, repair: { range } }));
  const loopback = await LoopbackSender.open(t);
  await until('that it is told', () => it.lines.some((line) => line.includes('packets cannot be fetched by HTTP')));
  await loopback.send(rtpPackets(new TsMaker(1, 8000).frames(0, 50), 1, 1), port, HOST);
  await until('packets', () => it.rendition().input.bytes > 100_000);
});
