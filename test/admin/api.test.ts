import t from 'tap';
import type { DaemonStatus } from '../../daemon/admin/model.js';
import { readinessOf } from '../../daemon/admin/routes/health.js';
import type { ChannelStatus } from '../../daemon/streams/status.js';
import { ask, json, until } from './client.js';
import { PlannedSource, startHarness, TWO_CHANNELS } from './fixture.js';

const down: ConstructorParameters<typeof PlannedSource>[0] = [
  { id: 'news', name: 'News', renditions: [{ id: 'high', state: 'retrying', reason: 'no route to the origin' }] },
];

t.test('healthz answers as long as the daemon lives', async (t) => {
  const { admin, close } = await startHarness(new PlannedSource(down));
  t.teardown(close);
  const answer = await ask(`${admin.url}/healthz`);
  t.equal(answer.status, 200);
  t.same(json(answer), { status: 'ok' });
});

t.test('readyz is 503 while a channel has nothing to show, and names what does not flow', async (t) => {
  const { admin, source, close } = await startHarness(new PlannedSource(down));
  t.teardown(close);
  const before = await ask(`${admin.url}/readyz`);
  t.equal(before.status, 503);
  t.same(json(before), {
    ready: false,
    reasons: [{ stream: 'news/high', state: 'retrying', reason: 'no route to the origin' }],
  });
  source.plans = TWO_CHANNELS;
  const after = await ask(`${admin.url}/readyz`);
  t.equal(after.status, 200, 'one dead rendition of a channel that flows does not make the daemon unready');
  t.match(json(after), { ready: true, reasons: [{ stream: 'sport/alt', state: 'retrying' }] });
});

t.test('readiness of no channel at all', async (t) => t.same(readinessOf([]), { ready: true, reasons: [] }));

t.test('a flow that could not be set up is named, one that nobody sends to is not', async (t) => {
  const failed = { id: 'a', state: 'failed', reason: 'the port is taken' } as const;
  t.same(readinessOf([], [failed, { id: 'b', state: 'silent', reason: null }]), {
    ready: false,
    reasons: [{ stream: 'a', state: 'failed', reason: 'the port is taken' }],
  });
});

t.test('status, channels and one channel', async (t) => {
  const { admin, source, close } = await startHarness();
  t.teardown(close);
  await until(
    'a second snapshot',
    async () => json<DaemonStatus>(await ask(`${admin.url}/v1/status`)).uptimeSeconds > 0.5,
  );
  const status = json<DaemonStatus>(await ask(`${admin.url}/v1/status`));
  t.match(status, { version: '0.0.0-test', pid: process.pid, totals: { connections: 3, viewers: 64, drops: 2 } });
  t.ok(status.totals.bitsOutPerSecond > status.totals.bitsInPerSecond, 'more goes out than comes in');
  t.ok(status.memory.ringBytes === 4 * 32 * 2 ** 20, 'all rings');
  const { channels } = json<{ channels: ChannelStatus[] }>(await ask(`${admin.url}/v1/channels`));
  t.same(
    channels.map((channel) => [channel.id, channel.state]),
    [
      ['news', 'flowing'],
      ['sport', 'degraded'],
    ],
  );
  const one = json<ChannelStatus>(await ask(`${admin.url}/v1/channels/news`));
  t.same(Object.keys(one).sort(), Object.keys(source.channels()[0] ?? {}).sort(), 'the schema drops no field');
  const [asked, told] = [one.renditions[0], source.channels()[0]?.renditions[0]];
  t.same(Object.keys(asked ?? {}).sort(), Object.keys(told ?? {}).sort(), 'nor of a rendition');
  t.same(Object.keys(asked?.multicast ?? {}).sort(), Object.keys(told?.multicast ?? {}).sort());
  t.same(Object.keys(asked?.source ?? {}).sort(), Object.keys(told?.source ?? {}).sort());
});

t.test('history grows by one point a second', async (t) => {
  const { admin, close } = await startHarness();
  t.teardown(close);
  const read = async () =>
    json<{ history: { bitsIn: number; bitsOut: number }[] }>(await ask(`${admin.url}/v1/history`)).history;
  await until('two points', async () => (await read()).length >= 2);
  for (const point of await read()) t.ok(point.bitsOut > point.bitsIn && point.bitsIn > 0);
});

t.test('why, viewers, show', async (t) => {
  const { admin, registry, close } = await startHarness();
  t.teardown(close);
  t.match(json(await ask(`${admin.url}/v1/channels/sport/why`)), { channel: 'sport', state: 'degraded' });
  const { viewers } = json<{ viewers: { stream: string }[] }>(await ask(`${admin.url}/v1/viewers`));
  t.equal(viewers.filter((viewer) => viewer.stream === 'news/high').length, 6);
  registry.offer('things', { columns: ['name', 'size'], rows: () => [{ name: 'a', size: 1, more: ['x'] }] });
  registry.explain('thing', (id) => (id === 'a/b' ? ['it is so', 'because it is'] : undefined));
  t.same(json(await ask(`${admin.url}/v1/show/things`)), {
    noun: 'things',
    columns: ['name', 'size'],
    rows: [{ name: 'a', size: 1, more: ['x'] }],
  });
  t.same(json(await ask(`${admin.url}/v1/why/thing/a/b`)), {
    noun: 'thing',
    id: 'a/b',
    sentences: ['it is so', 'because it is'],
  });
  t.same(json(await ask(`${admin.url}/v1/show`)), { show: ['loops', 'things'], why: ['thing'] });
});

t.test('loops of the plane, with the streams and viewers that are on them', async (t) => {
  const { admin, source, close } = await startHarness();
  t.teardown(close);
  const renditions = source.channels().flatMap((channel) => channel.renditions);
  const viewers = renditions.reduce((sum, one) => sum + one.viewers.continuous + one.viewers.hls, 0);
  const figures = { wakeupsPerSecond: 900, busyRatio: 0.02, lateMs: 0.18 };
  t.same(json(await ask(`${admin.url}/v1/loops`)), {
    loops: [{ loop: 0, thread: 'sluice-loop0', cpu: null, streams: renditions.length, viewers, ...figures }],
  });
});

t.test('what is not there is named, with what is', async (t) => {
  const { admin, registry, close } = await startHarness();
  t.teardown(close);
  registry.offer('things', { columns: [], rows: () => [] });
  registry.explain('thing', () => undefined);
  const cases = [
    ['/v1/channels/nope', { code: 'NOT_FOUND', details: { id: 'nope', known: ['news', 'sport'] } }],
    ['/v1/channels/nope/why', { code: 'NOT_FOUND', details: { id: 'nope' } }],
    ['/v1/show/nope', { code: 'NOT_FOUND', details: { noun: 'nope', known: ['loops', 'things'] } }],
    ['/v1/why/nope/x', { code: 'NOT_FOUND', details: { noun: 'nope', known: ['thing'] } }],
    ['/v1/why/thing/x', { code: 'NOT_FOUND', details: { noun: 'thing', id: 'x' } }],
    ['/v1/nothing?x=1', { code: 'NOT_FOUND', details: { path: '/v1/nothing' } }],
    ['/page/../../../etc/passwd', { code: 'NOT_FOUND' }],
    ['/page/%2e%2e/page.js', { code: 'NOT_FOUND' }],
  ] as const;
  for (const [path, expected] of cases) {
    const answer = await ask(`${admin.url}${path}`);
    t.equal(answer.status, 404, path);
    t.match(json(answer), expected, path);
    t.same(Object.keys(json(answer)).sort(), ['code', 'details', 'message'], path);
  }
});

t.test('a path that exists for another method is 405 with Allow', async (t) => {
  const { admin, close } = await startHarness();
  t.teardown(close);
  for (const [method, path, allow] of [
    ['GET', '/v1/stop', 'POST'],
    ['POST', '/v1/status', 'GET, HEAD'],
    ['DELETE', '/v1/channels/news', 'GET, HEAD'],
    ['PUT', '/healthz', 'GET, HEAD'],
    ['OPTIONS', '/v1/stop', 'POST'],
  ] as const) {
    const answer = await ask(`${admin.url}${path}`, { method });
    t.equal(answer.status, 405, `${method} ${path}`);
    t.equal(answer.headers.allow, allow);
    t.equal(json<{ code: string }>(answer).code, 'METHOD_NOT_ALLOWED');
  }
  const head = await ask(`${admin.url}/v1/status`, { method: 'HEAD' });
  t.equal(head.status, 200);
  t.equal(head.text, '');
});

t.test('bad requests are refused with a code, whatever is wrong', async (t) => {
  const { admin, stops, close } = await startHarness();
  t.teardown(close);
  const type = { 'content-type': 'application/json' };
  const post = (body: string | Buffer, headers: Record<string, string> = type) =>
    ask(`${admin.url}/v1/stop`, { method: 'POST', body, headers });
  const cases: [string, Promise<{ status: number; text: string }>, number][] = [
    ['not JSON', post('{'), 400],
    ['unknown key', post('{"withdrwa":true}'), 400],
    ['wrong type', post('{"withdraw":"yes"}'), 400],
    ['an array', post('[]'), 400],
    ['not declared as JSON', post('withdraw=true', { 'content-type': 'application/x-www-form-urlencoded' }), 415],
    [
      'plain text, which a foreign page may send unasked',
      post('{"withdraw":true}', { 'content-type': 'text/plain' }),
      415,
    ],
    ['too large', post(Buffer.alloc(17 * 1024, 0x20)), 413],
    ['a broken escape', ask(`${admin.url}/v1/channels/%zz`), 400],
    ['an endless id', ask(`${admin.url}/v1/channels/${'x'.repeat(150)}`), 400],
    ['a prototype', post('{"__proto__":{"withdraw":true}}'), 400],
  ];
  for (const [what, answer, status] of cases) {
    const { status: got, text } = await answer;
    t.equal(got, status, what);
    t.equal((JSON.parse(text) as { code: string }).code, 'REQUEST_INVALID', what);
  }
  t.same(stops, [], 'none of them stopped the daemon');
});

t.test('stop is answered before it is done', async (t) => {
  const { admin, stops, close } = await startHarness();
  t.teardown(close);
  const bare = await ask(`${admin.url}/v1/stop`, { method: 'POST' });
  t.equal(bare.status, 202);
  t.same(json(bare), { stopping: true, withdraw: false });
  const type = { 'content-type': 'application/json' };
  const full = await ask(`${admin.url}/v1/stop`, { method: 'POST', headers: type, body: '{"withdraw":true}' });
  t.same(json(full), { stopping: true, withdraw: true });
  await until('both orders', () => stops.length === 2);
  t.same(stops, [false, true]);
});

t.test('a part that fails is a 500 that tells nothing of the inside', async (t) => {
  const { admin, registry, close } = await startHarness();
  t.teardown(close);
  registry.offer('broken', {
    columns: [],
    rows: () => {
      throw new Error('secret detail');
    },
  });
  const answer = await ask(`${admin.url}/v1/show/broken`);
  t.equal(answer.status, 500);
  t.equal(json<{ code: string }>(answer).code, 'INTERNAL');
  t.notMatch(answer.text, /secret/);
});
