import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import t from 'tap';
import { SluiceError } from '../../daemon/base/errors.js';
import { loadAddon } from '../../daemon/plane/addon.js';
import {
  ACCESS_LOG_COUNTERS,
  CAPTURE_COUNTERS,
  FETCH_COUNTERS,
  FLOW_COUNTERS,
  INPUT_COUNTERS,
  LISTENER_COUNTERS,
  LOOP_COUNTERS,
  OBJECT_COUNTERS,
  PORT_COUNTERS,
  RELAY_COUNTERS,
  REPLAY_COUNTERS,
  SENDER_COUNTERS,
  SITE_COUNTERS,
  STREAM_COUNTERS,
  type StreamHandle,
  UPSTREAM_COUNTERS,
} from '../../daemon/plane/contract.js';
import { createPlane } from '../../daemon/plane/plane.js';
import { INPUT, listener, SENDER, STREAM, UPSTREAM } from './options.js';

const BUSY = fileURLToPath(new URL('busy.js', import.meta.url));
const MIB = 2 ** 20;

/** `bytes_in` as `bytesIn`. */
function camel(name: string): string {
  return name.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

function codeOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    return error instanceof SluiceError ? error.code : String(error);
  }
  return 'nothing was thrown';
}

t.test('the counters have one order on both sides', async (t) => {
  const native = loadAddon().counterNames;
  const lists = {
    stream: STREAM_COUNTERS,
    port: PORT_COUNTERS,
    flow: FLOW_COUNTERS,
    capture: CAPTURE_COUNTERS,
    replay: REPLAY_COUNTERS,
    upstream: UPSTREAM_COUNTERS,
    input: INPUT_COUNTERS,
    sender: SENDER_COUNTERS,
    listener: LISTENER_COUNTERS,
    loop: LOOP_COUNTERS,
    object: OBJECT_COUNTERS,
    fetch: FETCH_COUNTERS,
    site: SITE_COUNTERS,
    accessLog: ACCESS_LOG_COUNTERS,
    relay: RELAY_COUNTERS,
  };
  t.same(Object.keys(native).toSorted(), Object.keys(lists).toSorted());
  for (const [kind, names] of Object.entries(lists)) t.same(native[kind]?.map(camel), names, kind);
});

t.test('streams are counted against the memory budget and give it back', async (t) => {
  const plane = createPlane({ memoryBytes: 8 * MIB });
  t.teardown(() => plane.close());
  const first = plane.addStream({ ...STREAM, ringBytes: 4 * MIB });
  plane.addStream({ ...STREAM, name: 'test/second', ringBytes: 2 * MIB });
  t.equal(
    codeOf(() => plane.addStream({ ...STREAM, name: 'test/third', ringBytes: 4 * MIB })),
    'MEMORY_BUDGET',
  );
  plane.removeStream(first);
  t.equal(
    plane.streamCounters(plane.addStream({ ...STREAM, name: 'test/third', ringBytes: 4 * MIB })).ringSizeBytes,
    4 * MIB,
  );
});

t.test('handles that are gone are refused by name; removing twice is not an error', async (t) => {
  const plane = createPlane({ memoryBytes: 8 * MIB });
  t.teardown(() => plane.close());
  const stream = plane.addStream(STREAM);
  const sender = plane.addSender(stream, SENDER);
  const upstream = plane.openUpstream(stream, UPSTREAM);
  plane.removeStream(stream);
  plane.removeStream(stream);
  plane.removeSender(sender);
  plane.closeUpstream(upstream);
  t.equal(
    codeOf(() => plane.addSender(stream, SENDER)),
    'HANDLE_UNKNOWN',
  );
  t.equal(
    codeOf(() => plane.streamCounters(99_999 as StreamHandle)),
    'HANDLE_UNKNOWN',
  );
  t.not(plane.addStream(STREAM), stream, 'handles are not used again');
});

t.test('options are checked before they cross', async (t) => {
  const plane = createPlane({ memoryBytes: 8 * MIB });
  t.teardown(() => plane.close());
  const stream = plane.addStream(STREAM);
  const wrong: (() => unknown)[] = [
    () => plane.addStream({ ...STREAM, ringBytes: 3 * MIB }),
    () => plane.addStream({ ...STREAM, ringBytes: Number.NaN }),
    () => plane.addStream({ ...STREAM, ssrc: -1 }),
    () => plane.addStream({ ...STREAM, delayMs: 1e9 }),
    () => plane.addSender(stream, { ...SENDER, dscp: 64 }),
    () => plane.addSender(stream, { ...SENDER, ttl: 256 }),
    () => plane.addSender(stream, { ...SENDER, port: 70_000 }),
    () => plane.addSender(stream, { ...SENDER, address: 'localhost' }),
    () => plane.addInput(stream, { ...INPUT, address: '1.2.3', port: 5000 }),
    () => plane.listen({ ...listener(), address: 'example.com' }),
    () => plane.setRoute('no-slash', { kind: 'continuous', stream }),
    () => plane.setRoute('/segments', { kind: 'segments', stream }),
  ];
  for (const work of wrong) t.match(codeOf(work), /^(USAGE|ADDRESS_INVALID)$/, String(work));
});

t.test('errors of the kernel come with their code', async (t) => {
  const plane = createPlane({ memoryBytes: 8 * MIB });
  t.teardown(() => plane.close());
  const stream = plane.addStream(STREAM);
  const { port } = plane.listen(listener());
  t.equal(
    codeOf(() => plane.listen({ ...listener(), port })),
    'ADDRESS_IN_USE',
  );
  t.equal(
    codeOf(() => plane.addSender(stream, { ...SENDER, address: '239.1.2.3', interfaceName: 'nosuch0' })),
    'INTERFACE_UNKNOWN',
  );
});

t.test('two planes in one process do not know of each other', async (t) => {
  const [a, b] = [createPlane({ memoryBytes: 8 * MIB }), createPlane({ memoryBytes: 8 * MIB })];
  t.teardown(async () => {
    await a.close();
    await b.close();
  });
  const [first, second] = [a.listen(listener()), b.listen(listener())];
  a.setRoute('/x', { kind: 'static', contentType: 'text/plain', body: 'from a', cacheControl: 'no-store' });
  const get = (port: number): Promise<Response> => fetch(`http://127.0.0.1:${port}/x`);
  t.equal(await (await get(first.port)).text(), 'from a');
  const other = await get(second.port);
  await other.text();
  t.equal(other.status, 404);
  await a.close();
  t.equal((await get(second.port)).status, 404);
});

t.test('closing rejects what is under way and refuses what comes after', async (t) => {
  const plane = createPlane({ memoryBytes: 8 * MIB });
  const stream = plane.addStream(STREAM);
  const upstream = plane.openUpstream(stream, UPSTREAM);
  const request = plane.request(upstream, {
    // A documentation address: nobody answers.
    ...{ address: '192.0.2.1', port: 80, host: 'x', target: '/', headers: {} },
    ...{ tls: null, totalTimeoutMs: 0, sink: 'memory', maxBytes: 1000, skipBytes: 0, discontinuity: false, seal: null },
  });
  const ended = t.rejects(request, { name: 'SluiceError' });
  await plane.close();
  await plane.close();
  await ended;
  t.not(
    codeOf(() => plane.addStream(STREAM)),
    'nothing was thrown',
  );
});

/** Runs busy.ts to its end. */
function runBusy(
  how: string,
): Promise<{ readonly code: number | null; readonly signal: string | null; readonly output: string }> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [BUSY, how], { stdio: ['ignore', 'pipe', 'pipe'], timeout: 30_000 });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => (output += text));
    child.on('close', (code, signal) => resolve({ code, signal, output }));
    if (how === 'SIGTERM') child.stdout.once('data', () => child.kill('SIGTERM'));
  });
}

t.test('a busy process ends cleanly, however it ends', async (t) => {
  for (let round = 0; round < 3; round++) {
    for (const how of ['exit', 'close']) {
      const { code, signal, output } = await runBusy(how);
      t.same({ code, signal }, { code: 0, signal: null }, `${how}: ${output}`);
    }
  }
  const thrown = await runBusy('throw');
  t.same({ code: thrown.code, signal: thrown.signal }, { code: 1, signal: null });
  t.match(thrown.output, 'on purpose');
  const ended = await runBusy('SIGTERM');
  t.equal(ended.signal, 'SIGTERM');
});

t.test('worker threads have planes of their own and may be terminated while they are busy', async (t) => {
  for (let round = 0; round < 3; round++) {
    const workers = ['wait', 'close'].map((how) => new Worker(BUSY, { workerData: how }));
    await Promise.all(workers.map((worker) => new Promise((resolve) => worker.once('message', resolve))));
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
  const plane = createPlane({ memoryBytes: 8 * MIB });
  t.ok(plane.addStream(STREAM) > 0, 'the main thread’s addon still works');
  await plane.close();
});
