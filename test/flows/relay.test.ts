// Whole daemons with flows, on loopback: what senders send, and what receivers get.
import { buildCompound, buildRR, buildSDES, buildSR, parseRTCPCompound, serialize } from 'rtp-packet';
import t, { type Test } from 'tap';
import type { FlowStatus, ReceiverStatus } from '../../daemon/flows/status.js';
import { type Answer, ask, json } from '../admin/client.js';
import { Bed, loopbackGroup } from '../reload/bed.js';
import { until } from '../streams/edge.js';
import { LiveOrigin } from '../streams/live-origin.js';
import { freePort, inSequence, Peer, Talker } from './udp.js';

t.setTimeout(280_000);

function post(bed: Bed, path: string, body: unknown, method = 'POST'): Promise<Answer> {
  const headers = { 'content-type': 'application/json' };
  return ask(`${bed.daemon.adminUrl}/v1/${path}`, { method, headers, body: JSON.stringify(body) });
}

async function get<T>(bed: Bed, path: string): Promise<T> {
  return json<T>(await ask(`${bed.daemon.adminUrl}/v1/${path}`));
}

/** A daemon with one flow of RTP on loopback, and who talks to it. */
async function relay(t: Test, receivers: readonly object[], more: object = {}) {
  const port = await freePort();
  const flow = { id: 'a', input: `rtp://127.0.0.1:${port}`, clock_rate: 8000, ...more, receivers };
  const bed = await Bed.start(t, { flows: [flow] });
  const sender = await Peer.open(t);
  const talker = new Talker(sender, { port }, 'a', { ssrc: 0xaaaa, first: 65_530, timestamp: 0xffff_ff00 });
  return { bed, port, flow, sender, talker };
}

t.test('every receiver sees the headers that it is configured with, and the rest as it came', async (t) => {
  const [plain, changed, bound] = [await Peer.open(t), await Peer.open(t), await Peer.open(t)];
  const ownPort = await freePort();
  const { port, sender, bed } = await relay(t, [
    { id: 'plain', to: plain.place },
    {
      id: 'changed',
      to: changed.place,
      from: '127.0.0.3',
      ssrc: 0x1234_5678,
      payload_type: 97,
      sequence_offset: 100,
      timestamp_offset: -1000,
    },
    { id: 'bound', to: bound.place, from: `127.0.0.2:${ownPort}`, dscp: 'EF' },
  ]);
  const fields = {
    payloadType: 96,
    sequenceNumber: 65_500,
    timestamp: 500,
    ssrc: 0xdead_beef,
    marker: true,
    csrc: [1, 2],
    extensions: { 3: Buffer.from('abc') },
    payload: Buffer.from('as it came'),
  };
  const datagram = serialize(fields);
  await sender.send(datagram, port);
  for (const peer of [plain, changed, bound]) await until('a packet', () => peer.heard.length === 1);
  t.same(plain.heard[0]?.data, datagram, 'byte by byte');
  const rest = { marker: true, csrc: [1, 2], extensions: fields.extensions, payload: fields.payload };
  t.match(changed.packets()[0], {
    ...rest,
    payloadType: 97,
    sequenceNumber: 64,
    timestamp: 0xffff_ffff - 499,
    ssrc: 0x1234_5678,
  });
  t.equal(changed.heard[0]?.address, '127.0.0.3');
  t.match(bound.heard[0], { address: '127.0.0.2', port: ownPort });
  t.same(bound.heard[0]?.data, datagram);
  const { receivers } = await get<{ receivers: ReceiverStatus[] }>(bed, 'flows/a/receivers');
  t.match(receivers, [
    { id: 'plain', packets: 1 },
    { id: 'changed', packets: 1 },
    { id: 'bound', dscp: 'EF' },
  ]);
});

t.test('receivers come and go, by the API and by the file, and the others miss nothing', async (t) => {
  const steady = await Peer.open(t);
  const guests = [await Peer.open(t), await Peer.open(t)] as const;
  const { bed, talker, flow } = await relay(t, [{ id: 'steady', to: steady.place }]);
  const talking = async (what: string, check: () => boolean): Promise<void> => {
    await until(what, async () => {
      await talker.say();
      return check();
    });
  };
  for (let round = 0; round < 10; round++) {
    for (const [at, peer] of guests.entries())
      t.equal((await post(bed, 'flows/a/receivers', { id: `g${at}`, to: peer.place })).status, 201);
    const before = guests.map((peer) => peer.heard.length);
    await talking('guests get packets', () => guests.every((peer, at) => peer.heard.length > (before[at] ?? 0) + 5));
    for (const at of guests.keys())
      t.equal((await ask(`${bed.daemon.adminUrl}/v1/flows/a/receivers/g${at}`, { method: 'DELETE' })).status, 200);
  }
  const left = guests.map((peer) => peer.heard.length);
  const file = { ...flow, receivers: [...flow.receivers, { id: 'file', to: guests[0].place }] };
  t.match(await bed.reload({ flows: [file] }), { steps: [/receivers begin: file; nothing else/] });
  await talking('the new one of the file', () => guests[0].heard.length > (left[0] ?? 0) + 5);
  t.match(await bed.reload({ flows: [flow] }), { steps: [/receivers end: file; nothing else/] });
  await talker.say(5);
  await until('all of it', () => steady.heard.length === talker.sent);
  t.ok(inSequence(steady.packets()), 'over the wrap, too');
  t.same(
    steady.texts(),
    Array.from({ length: talker.sent }, (_, n) => `a ${n}`),
  );
  t.equal(guests[1].heard.length, left[1], 'who has gone gets nothing');
  t.match(await get<FlowStatus>(bed, 'flows/a'), { receivers: 1, counters: { packetsIn: talker.sent, sendErrors: 0 } });
});

t.test('a gate opens, closes and changes its source; numbers go on as if there were one', async (t) => {
  const ear = await Peer.open(t);
  const port = await freePort();
  const input = `rtp://127.0.0.1:${port}`;
  const flow = (id: string, ssrc: number, receivers: object[] = []): object => ({
    id,
    input,
    ssrc,
    clock_rate: 8000,
    loop: 0,
    receivers,
  });
  const bed = await Bed.start(t, {
    flows: [flow('a', 0xa, [{ id: 'ear', to: ear.place, ssrc: 0x777, gate: 'closed' }]), flow('b', 0xb)],
  });
  const mouth = await Peer.open(t);
  const a = new Talker(mouth, { port }, 'a', { ssrc: 0xa, first: 1000, timestamp: 5000 });
  const b = new Talker(mouth, { port }, 'b', { ssrc: 0xb, first: 40_000, timestamp: 0x8000_0000 });
  const both = async (): Promise<void> => {
    const before = [a.sent, b.sent];
    await a.say(3);
    await b.say(3);
    await until('both came in', async () => {
      const { flows } = await get<{ flows: FlowStatus[] }>(bed, 'flows');
      return flows.every(({ counters }, at) => counters.packetsIn === (before[at] ?? 0) + 3);
    });
  };
  const gate = (order: object): Promise<Answer> => post(bed, 'flows/a/receivers/ear', order, 'PATCH');
  await both();
  t.match(json(await gate({ gate: 'open' })), { gate: 'open', source: 'a' });
  await both();
  t.match(json(await gate({ source: 'b' })), { gate: 'open', source: 'b' });
  await both();
  t.equal((await gate({ gate: 'closed' })).status, 200);
  await both();
  t.equal((await gate({ gate: 'open', source: 'a' })).status, 200);
  await both();
  await until('all that passed', () => ear.heard.length === 9);
  t.same(ear.texts(), ['a 3', 'a 4', 'a 5', 'b 6', 'b 7', 'b 8', 'a 12', 'a 13', 'a 14']);
  const packets = ear.packets();
  t.ok(inSequence(packets), 'sequence numbers');
  t.ok(packets.every(({ ssrc }) => ssrc === 0x777));
  const steps = packets.slice(1).map(({ timestamp }, at) => (timestamp - (packets[at]?.timestamp ?? 0)) >>> 0);
  t.ok(
    steps.every((step) => step > 0 && step < 8000 * 60),
    `timestamps advance: ${steps.join(' ')}`,
  );
  t.match(await get<ReceiverStatus>(bed, 'flows/a/receivers/ear'), { packets: 9, switches: 3 });
  t.equal((await post(bed, 'gates', { changes: [{ receiver: 'a/ear', gate: 'closed' }] })).status, 200);
  t.match(await get<FlowStatus>(bed, 'flows/a'), { receiversOpen: 0 });
});

t.test('one step moves the gates of many at the same packet', async (t) => {
  const ears = await Promise.all(Array.from({ length: 20 }, () => Peer.open(t)));
  const receivers = ears.map(({ place }, n) => ({ id: `e${n}`, to: place, gate: n < 10 ? 'open' : 'closed' }));
  const { bed, talker } = await relay(t, receivers);
  const [first, second] = [ears.slice(0, 10), ears.slice(10)];
  const speech = { over: false };
  const stream = (async () => {
    while (!speech.over) await talker.say();
  })();
  await until('it flows', () => first.every(({ heard }) => heard.length > 20));
  const changes = ears.map((_, n) => ({ receiver: `a/e${n}`, gate: n < 10 ? 'closed' : 'open' }));
  t.match(json(await post(bed, 'gates', { changes })), { changed: 20 });
  await until('it flows elsewhere', () => second.every(({ heard }) => heard.length > 20));
  speech.over = true;
  await stream;
  const last = new Set(first.map((ear) => ear.texts().at(-1)));
  const next = new Set(second.map((ear) => ear.texts()[0]));
  t.equal(last.size, 1, 'all of the first end with one packet');
  t.equal(next.size, 1);
  const number = (text: string | undefined): number => Number(text?.slice(2));
  t.equal(number([...next][0]), number([...last][0]) + 1, 'the others begin with the one behind it');
});

t.test('a gate may begin in the past', async (t) => {
  const ear = await Peer.open(t);
  const receiver = { id: 'ear', to: ear.place, ssrc: 5, gate: 'closed' };
  const { bed, talker } = await relay(t, [receiver], { history: '64KiB' });
  await talker.say(20);
  await until('they came', async () => (await get<FlowStatus>(bed, 'flows/a')).counters.packetsIn === 20);
  await post(bed, 'flows/a/receivers/ear', { gate: 'open', prebuffer: '60s' }, 'PATCH');
  await until('the past', () => ear.heard.length === 20);
  await talker.say(5);
  await until('and what comes', () => ear.heard.length === 25);
  t.same(
    ear.texts(),
    Array.from({ length: 25 }, (_, n) => `a ${n}`),
  );
  t.ok(inSequence(ear.packets()));
});

t.test('a thousand receivers by one call', async (t) => {
  const { bed, talker } = await relay(t, []);
  const crowd = await Peer.open(t, '0.0.0.0');
  const receivers = Array.from({ length: 1000 }, (_, n) => ({
    id: `n${n}`,
    to: `127.1.${n >> 8}.${n & 255}:${crowd.port}`,
    ssrc: n,
  }));
  t.match(json(await post(bed, 'flows/a/receivers', receivers)), { added: 1000 });
  await talker.say(3);
  await until('all of them', () => crowd.heard.length === 3000);
  const bySource = new Map<number, string[]>();
  for (const { ssrc, payload } of crowd.packets())
    bySource.set(ssrc, [...(bySource.get(ssrc) ?? []), payload.toString()]);
  t.equal(bySource.size, 1000);
  t.ok([...bySource.values()].every((texts) => texts.join() === 'a 0,a 1,a 2'));
  t.match(await get<FlowStatus>(bed, 'flows/a'), {
    receivers: 1000,
    receiversOpen: 1000,
    counters: { packetsOut: 3000 },
  });
  t.equal(
    (await post(bed, 'flows/a/receivers', [{ id: 'more', to: `127.2.0.1:${crowd.port}` }, receivers[5]])).status,
    409,
  );
  t.match(await get<FlowStatus>(bed, 'flows/a'), { receivers: 1000 }, 'all or none');
});

t.test('IPv6 in, IPv6 and IPv4 out', async (t) => {
  const [six, four] = [await Peer.open(t, '::1'), await Peer.open(t)];
  const port = await freePort();
  await Bed.start(t, {
    flows: [
      {
        id: 'a',
        input: `rtp://[::1]:${port}`,
        receivers: [
          { id: 'six', to: six.place, from: '::1', ssrc: 6 },
          { id: 'four', to: four.place, ssrc: 4 },
        ],
      },
    ],
  });
  const talker = new Talker(await Peer.open(t, '::1'), { port, address: '::1' }, 'a', { ssrc: 1 });
  await talker.say(3);
  await until('both', () => six.heard.length === 3 && four.heard.length === 3);
  t.same(six.texts(), ['a 0', 'a 1', 'a 2']);
  t.equal(six.packets()[0]?.ssrc, 6);
  t.equal(four.packets()[0]?.ssrc, 4);
});

t.test('unicast to a group, and a group to unicast', async (t) => {
  const [{ address, port: groupPort }, port] = [loopbackGroup(), await freePort()];
  const group = `${address}:${groupPort}`;
  const [member, host] = [
    await Peer.open(t, address, groupPort, { group: address, interfaceAddress: '127.0.0.1' }),
    await Peer.open(t),
  ];
  const bed = await Bed.start(t, {
    flows: [
      {
        id: 'up',
        input: `udp://127.0.0.1:${port}`,
        receivers: [{ id: 'lan', to: group, interface: 'lo', ttl: 1, from: '127.0.0.1' }],
      },
      { id: 'down', input: `udp://${group}`, interface: 'lo', receivers: [{ id: 'host', to: host.place }] },
    ],
  });
  const sender = await Peer.open(t);
  for (const text of ['bytes', 'as', 'they are']) await sender.send(Buffer.from(text), port);
  await until('the group', () => member.heard.length === 3);
  await until('the host', () => host.heard.length === 3);
  for (const peer of [member, host])
    t.same(
      peer.heard.map(({ data }) => data.toString()),
      ['bytes', 'as', 'they are'],
    );
  t.match(await get<FlowStatus>(bed, 'flows/down'), { input: `udp://${group}`, interface: 'lo', receivers: 1 });
});

t.test(
  'RTCP on the ports above: reports go on in the numbers of a receiver, and what it reports is shown',
  async (t) => {
    const [port, earPort] = [await freePort(), await freePort()];
    const [media, control] = [await Peer.open(t, '127.0.0.1', earPort), await Peer.open(t, '127.0.0.1', earPort + 1)];
    const receivers = [{ id: 'ear', to: media.place, ssrc: 0x777 }];
    const bed = await Bed.start(t, {
      flows: [{ id: 'a', input: `rtp://127.0.0.1:${port}`, rtcp: 'port', clock_rate: 8000, receivers }],
    });
    const sender = await Peer.open(t);
    const talker = new Talker(sender, { port }, 'a', { ssrc: 0xa });
    await talker.say(5);
    await until('media', () => media.heard.length === 5);
    const report = { ssrc: 0xa, ntpTimestamp: [1, 2], rtpTimestamp: 800, packetCount: 5, octetCount: 20 } as const;
    await sender.send(buildCompound([buildSR(report), buildSDES(0xa, 'studio')]), port + 1);
    await until('its report', () => control.heard.length > 0);
    const [first] = control.heard;
    const told = parseRTCPCompound(first?.data ?? Buffer.alloc(0));
    t.match(told[0], { name: 'SR', ssrc: 0x777, packetCount: 5, octetCount: 15 }, 'as it was really sent');
    const loss = { fractionLost: 64, totalLost: 1, highestSeq: 4, jitter: 16, lastSR: 0, delaySinceLastSR: 0 };
    const answer = buildCompound([buildRR({ ssrc: 9, mediaSsrc: 0x777, ...loss }), buildSDES(9, 'ear')]);
    await control.send(answer, first?.port ?? 0);
    const seen = (): Promise<ReceiverStatus> => get<ReceiverStatus>(bed, 'flows/a/receivers/ear');
    await until('what it reports', async () => (await seen()).report !== null);
    t.match((await seen()).report, { fractionLost: 0.25, lost: 1, jitterMs: 2 });
    const { sentences } = await get<{ sentences: string[] }>(bed, 'why/flow/a');
    t.match(sentences.join('\n'), /reports: BROKEN: 1 of 1 report; 1 lose more than 1 %, most of all ear: 25\.0 %/);
  },
);

t.test('the RTP of a channel', async (t) => {
  const origin = new LiveOrigin();
  await origin.listen();
  t.teardown(() => origin.kill());
  const ear = await Peer.open(t);
  const rendition = { id: 'one', url: `${origin.base}/live/index.m3u8`, buffer: { memory: '1MiB', delay: '100ms' } };
  await Bed.start(t, {
    channels: [{ id: 'news', hls: { segment: '1s' }, renditions: [rendition] }],
    flows: [{ id: 'a', channel: 'news/one', receivers: [{ id: 'ear', to: ear.place, ssrc: 9, payload_type: 100 }] }],
  });
  await until('RTP', () => ear.heard.length > 50, 20_000);
  const packets = ear.packets();
  t.ok(inSequence(packets));
  t.ok(packets.every(({ ssrc, payloadType, payload }) => ssrc === 9 && payloadType === 100 && payload[0] === 0x47));
});

t.test('who is not asked for is counted, and told', async (t) => {
  const ear = await Peer.open(t);
  const { bed, port, talker } = await relay(t, [{ id: 'ear', to: ear.place }], { ssrc: 0xaaaa });
  const stranger = new Talker(await Peer.open(t), { port }, 'x', { ssrc: 0xffff });
  await stranger.say(5);
  const why = async (): Promise<string> => (await get<{ sentences: string[] }>(bed, 'why/flow/a')).sentences.join('\n');
  await until('unmatched', async () => (await why()).includes('5 of them asked for by no flow'));
  t.match(await why(), /the cause is at the port/);
  await talker.say(5);
  await until('its own', () => ear.heard.length === 5);
  await until('it flows', async () => {
    await talker.say();
    return /flow a is flowing: every step works/.test(await why());
  });
  const table = await get<{ rows: object[] }>(bed, 'show/flows');
  t.match(table.rows, [{ flow: 'a', state: 'flowing', open: '1/1', rtcp: 'off' }]);
  t.match((await get<{ rows: object[] }>(bed, 'show/receivers?id=a')).rows, [{ receiver: 'a/ear', to: ear.place }]);
  const metrics = await bed.metrics();
  t.match(metrics, new RegExp(`^sluice_flow_packets_total\\{flow="a",direction="in"\\} ${talker.sent}$`, 'm'));
  t.match(metrics, new RegExp(`^sluice_flow_packets_total\\{flow="a",direction="out"\\} ${talker.sent}$`, 'm'));
});

t.test('a taken port refuses a reload and a call, and is waited for at a start', async (t) => {
  const taken = await Peer.open(t);
  const flow = { id: 'a', input: `rtp://${taken.place}` };
  const bed = await Bed.start(t, { flows: [flow] });
  t.match(await get<FlowStatus>(bed, 'flows/a'), { state: 'failed', code: 'ADDRESS_IN_USE' });
  const other = { id: 'b', input: `udp://127.0.0.1:${taken.port}` };
  t.match(json(await post(bed, 'flows', { id: 'c', input: `udp://127.0.0.2:${await freePort()}`, loop: 63 })), {
    code: 'LOOP_UNKNOWN',
  });
  await t.rejects(bed.reload({ flows: [other] }), { code: 'ADDRESS_IN_USE' });
  t.match(await get<{ flows: FlowStatus[] }>(bed, 'flows'), { flows: [{ id: 'a' }] });
  t.equal((await ask(`${bed.daemon.adminUrl}/readyz`)).status, 503);
  taken.close();
  await until('the port is free', async () => (await get<FlowStatus>(bed, 'flows/a')).state === 'silent');
  t.equal((await ask(`${bed.daemon.adminUrl}/readyz`)).status, 200);
});
