// What a reload and the API ask of the plane, and what they leave alone.
import t from 'tap';
import { checkedFlow, flow, receiversAt, ServiceBed } from './recorder.js';

t.test('a start opens one port for all who can share it, and a stop closes everything', async (t) => {
  const bed = new ServiceBed([
    flow('a', 5004, [6000, 6001], { ssrc: 1 }),
    flow('b', 5004, [6002], { ssrc: 2 }),
    flow('c', 5006, [{ id: 'own', to: '192.0.2.7:6003', from: '192.0.2.1:7000' }]),
  ]);
  t.same(bed.plane.calls(), [
    '+port 239.1.1.1:5004',
    '+flow a',
    '+port 0.0.0.0:0',
    '+receivers 6000 6001',
    '+flow b',
    '+receivers 6002',
    '+port 239.1.1.1:5006',
    '+flow c',
    '+port 192.0.2.1:7000',
    '+receivers 6003',
  ]);
  t.same(bed.plane.heard('a'), ['6000 open', '6001 open']);
  bed.service.stop();
  t.equal(bed.plane.ports.size + bed.plane.flows.size + bed.plane.receivers.size, 0);
  bed.service.stop();
  t.equal(bed.clock.pending, 0);
});

t.test('nothing changed: nothing is asked', async (t) => {
  const flows = [flow('a', 5004, [6000]), flow('b', 5006, [6001])];
  const bed = new ServiceBed(flows);
  bed.plane.calls();
  t.same(await bed.reload(flows.toReversed()), []);
  t.same(bed.plane.calls(), []);
});

t.test('one receiver more, one less: nothing else is touched', async (t) => {
  const bed = new ServiceBed([flow('a', 5004, [6000, 6001]), flow('b', 5006, [6002])]);
  bed.plane.calls();
  t.same(await bed.reload([flow('a', 5004, [6000, 6001, 6003]), flow('b', 5006, [6002])]), [
    'flow a: receivers begin: r6003; nothing else of it is touched',
  ]);
  t.same(bed.plane.calls(), ['+receivers 6003', 'gates 6003 open a']);
  await bed.reload([flow('a', 5004, [6000, 6003]), flow('b', 5006, [6002])]);
  t.same(bed.plane.calls(), ['-receivers 6001']);
});

t.test('a gate moves; what else changes of a receiver makes it anew', async (t) => {
  const one = (more: object): object => flow('a', 5004, [{ id: 'r', to: '192.0.2.7:6000', ...more }, 6001]);
  const bed = new ServiceBed([one({})]);
  bed.plane.calls();
  await bed.reload([one({ gate: 'closed' })]);
  t.same(bed.plane.calls(), ['gates 6000 closed a']);
  await bed.reload([one({ gate: 'closed', dscp: 'EF' })]);
  t.same(bed.plane.calls(), ['+receivers 6000', '-receivers 6000', 'gates 6000 closed a']);
  bed.service.setGates([{ receiver: 'a/r', gate: 'open' }]);
  t.same(bed.plane.calls(), ['gates 6000 open a']);
  await bed.reload([one({ gate: 'closed', dscp: 'CS5' })]);
  t.same(bed.plane.calls(), ['+receivers 6000', '-receivers 6000', 'gates 6000 open a'], 'as the API has left it');
});

t.test('another input is another flow; one that stays on its port takes it over', async (t) => {
  const bed = new ServiceBed([flow('a', 5004, [6000]), flow('b', 5006, [6001])]);
  bed.plane.calls();
  t.same(await bed.reload([flow('a', 5008, [6000]), flow('b', 5006, [6001])]), ['flow a: begins anew']);
  t.same(bed.plane.calls(), [
    '+port 239.1.1.1:5008',
    '+flow a',
    '+receivers 6000',
    '-receivers 6000',
    '-flow a',
    '-port 239.1.1.1:5004',
    'gates 6000 open a',
  ]);
  await bed.reload([flow('a', 5008, [6000], { priority: 7 }), flow('b', 5006, [6001])]);
  t.same(
    bed.plane.calls(),
    ['-receivers 6000', '-flow a', '+flow a', '+receivers 6000'],
    'the packets cannot be had twice',
  );
  await bed.reload([flow('b', 5008, [6001])]);
  t.same(bed.plane.calls(), [
    '-receivers 6000',
    '-flow a',
    '-receivers 6001',
    '-flow b',
    '-port 239.1.1.1:5006',
    '+flow b',
    '+receivers 6001',
  ]);
  t.equal(bed.plane.ports.size, 2);
});

t.test('what cannot be had refuses the whole reload, and nothing is kept of it', async (t) => {
  const running = [flow('a', 5004, [6000])];
  const bed = new ServiceBed(running);
  bed.plane.calls();
  const refused: [string, object[]][] = [
    ['+port 239.1.1.1:5006', [flow('a', 5004, [6000, 6001]), flow('b', 5006, [6002])]],
    ['+receiver 6001', [flow('b', 5006, [6002]), flow('a', 5004, [6000, 6001])]],
    ['+port 192.0.2.1:7000', [flow('a', 5004, [6000, { id: 'x', to: '192.0.2.7:6009', from: '192.0.2.1:7000' }])]],
    ['+flow b', [flow('b', 5006, [])]],
  ];
  for (const [call, next] of refused) {
    bed.plane.refuses.set(call, 'ADDRESS_INVALID');
    await t.rejects(bed.reload(next), { code: 'ADDRESS_INVALID' }, call);
    bed.plane.refuses.clear();
    bed.plane.calls();
    t.equal(bed.plane.ports.size, 2, call);
    t.same(bed.plane.heard('a'), ['6000 open'], call);
    t.same(await bed.reload(running), [], call);
  }
});

t.test('at a start what cannot be had is waited for, and keeps nobody else down', async (t) => {
  const bed = new ServiceBed([flow('b', 5006, []), flow('a', 5004, [6000, 6001, 6002])], {
    refuses: { '+receiver 6001': 'ADDRESS_INVALID', '+port 239.1.1.1:5006': 'INTERFACE_UNKNOWN' },
  });
  t.match(bed.service.flow('b'), { state: 'failed', code: 'INTERFACE_UNKNOWN' });
  t.match(bed.service.flow('a'), { state: 'silent', receivers: 3, receiversOpen: 2, receiversFailed: 1 });
  t.match(bed.service.receiver('a', 'r6001'), { code: 'ADDRESS_INVALID', gate: 'open' });
  t.match(await bed.registry.why('flow', 'b'), [
    /is failed: the cause is at the setup/,
    /INTERFACE_UNKNOWN.*every 2 s/,
  ]);
  bed.plane.refuses.clear();
  await bed.clock.advance(2000);
  t.match(bed.service.flow('b'), { state: 'silent', code: null });
  t.match(bed.service.flow('a'), { receiversOpen: 3, receiversFailed: 0 });
  t.same(bed.plane.heard('a'), ['6000 open', '6001 open', '6002 open']);
});

t.test('what the API makes survives reloads', async (t) => {
  const bed = new ServiceBed([flow('a', 5004, [6000])]);
  bed.service.create(checkedFlow(flow('live', 5010, [6100])));
  bed.service.addReceivers('a', receiversAt(6001));
  bed.plane.calls();
  t.same(await bed.reload([flow('a', 5004, [6000]), flow('b', 5006, [])]), ['flow b: begins']);
  t.same(bed.plane.calls(), ['+port 239.1.1.1:5006', '+flow b']);
  await bed.reload([flow('a', 5020, [6000, 6002])]);
  t.same(bed.plane.heard('a'), ['6000 open', '6001 open', '6002 open'], 'over a new beginning of its flow, too');
  t.match(bed.service.receivers('a'), [{ origin: 'file' }, { origin: 'file' }, { origin: 'api' }]);
  t.match(bed.service.flow('live'), { origin: 'api', state: 'silent' });
  const conflicts: [object[], string][] = [
    [[flow('a', 5020, []), flow('live', 5030, [])], 'ID_TAKEN'],
    [[flow('a', 5020, [6001])], 'ID_TAKEN'],
    [[flow('a', 5020, []), flow('b', 5010, [])], 'MATCH_TAKEN'],
  ];
  for (const [next, code] of conflicts) await t.rejects(bed.reload(next), { code });
  t.throws(() => bed.service.remove('a'), { code: 'IN_FILE' });
  t.throws(() => bed.service.removeReceiver('a', 'r6000'), { code: 'IN_FILE' });
  bed.service.removeReceiver('a', 'r6001');
  t.equal(bed.service.remove('live'), 1);
  t.throws(() => bed.service.remove('live'), { code: 'NOT_FOUND' });
  t.same(bed.plane.heard('a'), ['6000 open', '6002 open']);
});

t.test('what the API may not make', async (t) => {
  const bed = new ServiceBed([flow('a', 5004, [6000]), { id: 'bytes', input: 'udp://127.0.0.1:5100' }]);
  bed.plane.calls();
  t.throws(() => bed.service.create(checkedFlow(flow('a', 5006, []))), { code: 'ID_TAKEN' });
  t.throws(() => bed.service.create(checkedFlow(flow('b', 5004, []))), { code: 'MATCH_TAKEN' });
  t.throws(() => bed.service.addReceivers('a', receiversAt(6000)), { code: 'ID_TAKEN' });
  t.throws(() => bed.service.addReceivers('b', receiversAt(6000)), { code: 'NOT_FOUND' });
  const back = { id: 'back', to: '127.0.0.1:5100' };
  t.throws(() => bed.service.addReceivers('bytes', checkedFlow(flow('x', 1, [back])).receivers), {
    code: 'FLOW_CYCLE',
  });
  const own = { id: 'own', to: '192.0.2.7:1', ssrc: 5 };
  t.throws(() => bed.service.addReceivers('bytes', checkedFlow(flow('x', 1, [own])).receivers), {
    code: 'REQUEST_INVALID',
  });
  bed.plane.refuses.set('+receiver 6003', 'ADDRESS_INVALID');
  t.throws(() => bed.service.addReceivers('a', receiversAt(6002, 6003)), { code: 'ADDRESS_INVALID' });
  t.throws(() => bed.service.create(checkedFlow(flow('b', 5006, [6003]))), { code: 'ADDRESS_INVALID' });
  t.same(bed.plane.heard('a'), ['6000 open']);
  t.equal(bed.plane.ports.size, 3);
  t.equal(bed.service.flow('a').receivers, 1);
});

t.test('gates move in one step, and follow their sources', async (t) => {
  const closed = { id: 'talk', to: '192.0.2.7:6000', gate: 'closed' };
  const bed = new ServiceBed([flow('a', 5004, [closed, 6001]), flow('b', 5006, []), flow('c', 5008, [6002])]);
  bed.plane.calls();
  bed.service.setGates([
    { receiver: 'a/talk', gate: 'open', source: 'b', prebuffer: 500 },
    { receiver: 'c/r6002', gate: 'closed' },
  ]);
  t.same(bed.plane.calls(), ['gates 6000 open b 500ms, 6002 closed c']);
  t.match(bed.service.receiver('a', 'talk'), { gate: 'open', source: 'b' });
  await bed.reload([flow('a', 5004, [closed, 6001]), flow('b', 5006, [], { priority: 1 }), flow('c', 5008, [6002])]);
  t.same(bed.plane.heard('b'), ['6000 open'], 'its source began anew');
  await bed.reload([flow('a', 5004, [closed, 6001], { priority: 1 }), flow('b', 5006, [], { priority: 1 })]);
  t.same(bed.plane.heard('b'), ['6000 open'], 'its own flow began anew');
  t.same(bed.plane.heard('a'), ['6001 open']);
  await bed.reload([flow('a', 5004, [closed, 6001], { priority: 1 })]);
  t.same(bed.plane.heard('a'), ['6000 closed', '6001 open'], 'its source is gone: as it is configured');
  t.match(bed.service.receiver('a', 'talk'), { gate: 'closed', source: 'a' });
  const wrong: [object, string][] = [
    [{ receiver: 'a/nobody' }, 'NOT_FOUND'],
    [{ receiver: 'a/talk', source: 'nobody' }, 'NOT_FOUND'],
  ];
  bed.plane.calls();
  for (const [order, code] of wrong)
    t.throws(() => bed.service.setGates([{ receiver: 'a/r6001', gate: 'closed' }, order as never]), { code });
  const twice = { receiver: 'a/talk', gate: 'open' } as const;
  t.throws(() => bed.service.setGates([twice, twice]), { code: 'REQUEST_INVALID' });
  t.same(bed.plane.calls(), [], 'all or nothing');
});

t.test('a gate never leads back to where its packets come from', async (t) => {
  const bed = new ServiceBed([
    { id: 'a', input: 'rtp://127.0.0.1:5000', receivers: [{ id: 'r', to: '127.0.0.1:5002' }] },
    { id: 'b', input: 'rtp://127.0.0.1:5002' },
  ]);
  t.throws(() => bed.service.setGates([{ receiver: 'a/r', source: 'b' }]), { code: 'FLOW_CYCLE' });
});

t.test('the stream of a channel comes, changes and goes', async (t) => {
  let stream: number | null = null;
  const flows = [{ id: 'a', channel: 'news/high', receivers: [{ id: 'r', to: '192.0.2.7:6000' }] }];
  const bed = new ServiceBed(flows, {
    findStream: () => (stream === null ? null : { stream: stream as never, loop: 1 }),
  });
  t.match(bed.service.flow('a'), { state: 'failed', code: 'FLOW_DOWN', input: 'news/high' });
  stream = 900;
  await bed.clock.advance(2000);
  t.match([...bed.plane.flows.values()], [{ input: { kind: 'stream', stream: 900 }, media: 'rtp' }]);
  t.match([...bed.plane.ports.values()], [{ loop: 1 }], 'sent from its loop');
  bed.plane.calls();
  stream = 901;
  await bed.clock.advance(1000);
  t.same(bed.plane.calls(), [
    '-receivers 6000',
    '-flow a',
    '-port 0.0.0.0:0',
    '+flow a',
    '+port 0.0.0.0:0',
    '+receivers 6000',
  ]);
  stream = null;
  t.equal(bed.service.flow('a').counters.packetsIn, 0, 'what went with its stream is not asked any more');
  await bed.clock.advance(1000);
  t.equal(bed.plane.flows.size, 0);
  t.match(bed.service.flow('a'), { state: 'failed', code: 'FLOW_DOWN' });
  t.same(
    await bed.reload([...flows, { id: 'b', channel: 'news/low' }]),
    ['flow b: begins'],
    'its channel may be new, too',
  );
});

t.test('who listened to the flow of a channel comes back when that goes', async (t) => {
  let stream: number | null = 900;
  const flows = [{ id: 'news', channel: 'news/high' }, flow('a', 5004, [6000])];
  const bed = new ServiceBed(flows, {
    findStream: () => (stream === null ? null : { stream: stream as never, loop: 0 }),
  });
  bed.service.setGates([{ receiver: 'a/r6000', source: 'news' }]);
  t.same(bed.plane.heard('news'), ['6000 open']);
  bed.plane.removeStream(900);
  t.equal(bed.plane.receivers.size, 0);
  stream = null;
  await bed.clock.advance(2000);
  t.same(bed.plane.heard('a'), ['6000 closed'], 'it waits for its source');
  stream = 901;
  await bed.clock.advance(3000);
  t.same(bed.plane.heard('news'), ['6000 open']);
});

t.test('metrics, tables', async (t) => {
  const bed = new ServiceBed([flow('a', 5004, [6000]), flow('b', 5006, [])]);
  bed.metrics.counter({
    name: 'sluice_receiver_drops_total',
    help: 'of streams',
    labels: ['stream', 'reason'],
    read: () => [{ labels: { stream: 'news/high', reason: 'multicast' }, value: 3 }],
  });
  const text = await bed.metrics.text();
  for (const line of [
    'sluice_flow_packets_total{flow="a",direction="in"} 0',
    'sluice_flow_bytes_total{flow="b",direction="out"} 0',
    'sluice_receiver_drops_total{stream="a",reason="shed-late"} 0',
    'sluice_receiver_drops_total{stream="news/high",reason="multicast"} 3',
    'sluice_flow_up{flow="a"} 1',
  ])
    t.ok(text.includes(line), line);
  t.match((await bed.registry.read('flows')).rows, [
    { flow: 'a', open: '1/1' },
    { flow: 'b', open: '0/0' },
  ]);
  t.match((await bed.registry.read('receivers')).rows, [{ receiver: 'a/r6000', to: '192.0.2.7:6000', gate: 'open' }]);
  t.equal((await bed.registry.read('receivers', 'b')).rows.length, 0);
  await t.rejects(bed.registry.read('receivers', 'c'), { code: 'NOT_FOUND' });
  await t.rejects(bed.registry.read('flows', 'a'), { code: 'USAGE' });
  bed.service.stop();
  t.notMatch(await bed.metrics.text(), /sluice_flow_/);
  t.match(await bed.metrics.text(), /stream="news\/high"/, 'the other offers of a family stay');
  t.same(bed.registry.nouns(), []);
});
