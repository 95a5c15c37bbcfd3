// A daemon with two loops, and viewers who ask for what is on both by one connection.
import { Agent, get } from 'node:http';
import t, { type Test } from 'tap';
import { SluiceError } from '../../daemon/base/errors.js';
import { createPlane } from '../../daemon/plane/plane.js';
import { parseSettings } from '../../daemon/settings.js';
import { STREAM } from '../plane/options.js';
import { LiveGroup } from '../relay/groups.js';
import { Bed, channel, loopbackGroup } from '../reload/bed.js';
import { until, Viewer } from './edge.js';
import { LiveOrigin } from './live-origin.js';
import { continuityErrors, FRAME_RATE, frameNumbers } from './ts-maker.js';

t.setTimeout(120_000);

async function origin(t: Test): Promise<LiveOrigin> {
  const it = new LiveOrigin();
  await it.listen();
  t.teardown(() => it.kill());
  return it;
}

interface Answer {
  readonly status: number;
  readonly body: Buffer;
  /** Of the viewer's end: the same one for requests of one connection. */
  readonly port: number;
}

function ask(agent: Agent, url: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    get(url, { agent }, (response) => {
      const chunks: Buffer[] = [];
      const port = response.socket.localPort ?? 0;
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks), port }));
      response.on('error', reject);
    }).on('error', reject);
  });
}

const text = ({ body }: Answer): string => body.toString('utf8');

/** Pictures of a continuous stream: each once, in order. */
function whole(bytes: Buffer): boolean {
  const numbers = frameNumbers(bytes);
  return continuityErrors(bytes) === 0 && numbers.every((n, at) => at === 0 || n === (numbers[at - 1] ?? 0) + 1);
}

async function twoLoops(t: Test): Promise<Bed> {
  const playlist = async (): Promise<object> => ({ url: `${(await origin(t)).base}/live/index.m3u8` });
  const bed = await Bed.start(t, {
    plane: { loops: 2 },
    channels: [
      channel('a', await playlist(), { loop: 0 }),
      channel('b', await playlist(), { loop: 1 }),
      channel('c', await playlist()),
      channel('d', await playlist()),
    ],
  });
  await until('all ready', () => ['a', 'b', 'c', 'd'].every((id) => bed.rendition(id).ready), 20_000);
  return bed;
}

t.test('one kept connection asks for channels on both loops; nothing is lost or doubled', async (t) => {
  const bed = await twoLoops(t);
  t.same(
    ['a', 'b', 'c', 'd'].map((id) => bed.rendition(id).loop),
    [0, 1, 0, 1],
    'where they were told to be, then where least is',
  );
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  t.teardown(() => agent.destroy());
  const live = `${bed.daemon.viewersUrl}/live`;
  await until(
    'segments of both',
    async () =>
      (await ask(agent, `${live}/a/one/index.m3u8`)).status === 200 &&
      (await ask(agent, `${live}/b/one/index.m3u8`)).status === 200,
  );
  const ports = new Set<number>();
  for (let round = 0; round < 10; round++) {
    for (const id of ['a', 'b']) {
      const list = await ask(agent, `${live}/${id}/one/index.m3u8`);
      const name = /^\d+\.ts$/m.exec(text(list))?.[0];
      const segment = await ask(agent, `${live}/${id}/one/${name}`);
      t.equal(segment.status, 200);
      t.ok(whole(segment.body), `${id}/${name}`);
      const nothing = await ask(agent, `${bed.daemon.viewersUrl}/nothing`);
      t.equal(nothing.status, 404);
      const names = await ask(agent, `${bed.daemon.viewersUrl}/channels.m3u`);
      t.match(text(names), /live\/a\/index\.m3u8/);
      for (const { port } of [list, segment, nothing, names]) ports.add(port);
    }
  }
  t.equal(ports.size, 1, 'all by one connection');

  const viewers = ['a', 'b', 'c', 'd'].map((id) => new Viewer(`${live}/${id}/one.ts`));
  t.teardown(() => {
    for (const viewer of viewers) viewer.close();
  });
  await until(
    'pictures of all',
    () => viewers.every(({ bytes }) => frameNumbers(bytes).length > 2 * FRAME_RATE),
    20_000,
  );
  for (const viewer of viewers) t.ok(whole(viewer.bytes));

  interface Loops {
    readonly loops: readonly { loop: number; thread: string; cpu: number | null; streams: number; viewers: number }[];
  }
  const loops = async (): Promise<Loops> => (await (await fetch(`${bed.daemon.adminUrl}/v1/loops`)).json()) as Loops;
  await until('viewers of both loops', async () => (await loops()).loops.every((loop) => loop.viewers >= 2));
  t.match((await loops()).loops, [
    { loop: 0, thread: 'sluice-loop0', cpu: null, streams: 2 },
    { loop: 1, thread: 'sluice-loop1', cpu: null, streams: 2 },
  ]);
  const table = await (await fetch(`${bed.daemon.adminUrl}/v1/show/loops`)).json();
  t.match(table, {
    columns: ['loop', 'cpu', 'streams', 'viewers', 'wakeups_s', 'busy_percent', 'late_ms'],
    rows: [{ loop: 0 }, { loop: 1 }],
  });
  const metrics = await (await fetch(`${bed.daemon.adminUrl}/metrics`)).text();
  for (const loop of [0, 1])
    t.match(metrics, new RegExp(`sluice_plane_loop_seconds\\{loop="${loop}",quantile="1"\\} `));
  t.match(metrics, /sluice_http_connections\{listen="[^"]*"\} 5\n/, 'the listener counts those of all loops');
});

t.test('viewers who wait for a group get its stream where that is, and so do those who come later', async (t) => {
  const bed = await Bed.start(t, {
    plane: { loops: 2 },
    http: { listen: ['127.0.0.1:0'], relay: { allow: ['239.255.0.0/16'], interface: 'lo' } },
    channels: [channel('dark', { url: 'http://127.0.0.1:9/x.ts' }, { loop: 0 })],
  });
  const group = loopbackGroup();
  await LiveGroup.start(t, group);
  const url = `${bed.daemon.viewersUrl}/udp/${group.address}:${group.port}`;
  const viewers = Array.from({ length: 20 }, () => new Viewer(url));
  t.teardown(() => {
    for (const viewer of viewers) viewer.close();
  });
  await until(
    'those who waited are served',
    () => viewers.every(({ bytes }) => frameNumbers(bytes).length > 0),
    20_000,
  );
  viewers.push(...Array.from({ length: 5 }, () => new Viewer(url)));
  await until('all are', () => viewers.every(({ bytes }) => frameNumbers(bytes).length > FRAME_RATE), 20_000);
  for (const viewer of viewers) t.ok(whole(viewer.bytes));
  const { viewers: told } = (await (await fetch(`${bed.daemon.adminUrl}/v1/viewers`)).json()) as { viewers: unknown[] };
  t.equal(told.length, viewers.length);
  t.match(await bed.metrics(), /^sluice_relay_begun_total 1$/m);
  // One without a stream has an event a second.
  await until('the other loop has it', async () => {
    const events = /^sluice_plane_loop_events_total\{loop="1"\} (\d+)$/m.exec(await bed.metrics());
    return Number(events?.[1]) > 50;
  });
});

t.test('another number of loops needs a restart; another loop of a channel does not', async (t) => {
  const dark = (more: object): object => channel('dark', { url: 'http://127.0.0.1:9/x.ts' }, more);
  const bed = await Bed.start(t, { plane: { loops: 2 }, channels: [dark({ loop: 0 })] });
  await bed.reload({ plane: { loops: 2 }, channels: [dark({ loop: 1 })] });
  t.equal(bed.rendition('dark').loop, 1);
  await t.rejects(bed.reload({ plane: { loops: 3 }, channels: [dark({ loop: 1 })] }), {
    code: 'RELOAD_NEEDS_RESTART',
    message: /plane\.loops/,
  });
});

t.test('loops and CPUs that there are not are refused with their place', async (t) => {
  const channels = (loop: number): string =>
    `channels: [{ id: a, loop: ${loop}, renditions: [{ id: b, url: http://x.example/y.ts }] }]`;
  const says = (text: string): string => {
    try {
      parseSettings(text, 'f.yaml');
      return '';
    } catch (error) {
      return error instanceof SluiceError ? error.message : String(error);
    }
  };
  t.equal(says(`plane: { loops: 2 }\n${channels(1)}`), '');
  t.equal(says(`plane: { loops: [0, 1, 0] }\n${channels(2)}`), '');
  t.match(
    says(`plane: { loops: 2 }\n${channels(2)}`),
    /^f\.yaml:2:\d+: channels\[0\]\.loop: there is no such loop .*got 2/,
  );
  t.match(says(channels(1)), /channels\[0\]\.loop: there is no such loop \(expected one of the 1 of plane\.loops/);
  t.match(says(`plane: { loops: 65 }\n${channels(0)}`), /f\.yaml:1:\d+: plane\.loops: /);
  t.match(says(`plane: { loops: [] }\n${channels(0)}`), /f\.yaml:1:\d+: plane\.loops: /);

  const dark = channel('dark', { url: 'http://127.0.0.1:9/x.ts' });
  await t.rejects(Bed.start(t, { plane: { loops: [0, 1023] }, channels: [dark] }), {
    code: 'CPU_UNKNOWN',
    message: /CPU 1023/,
  });
});

t.test('the plane tells on which loop a stream is', async (t) => {
  const plane = createPlane({ memoryBytes: 16 * 2 ** 20, loops: [0, 0] });
  t.teardown(() => plane.close());
  t.same(plane.loops, [
    { name: 'sluice-loop0', cpu: 0 },
    { name: 'sluice-loop1', cpu: 0 },
  ]);
  t.equal(plane.loopOf(plane.addStream({ ...STREAM, loop: 1 })), 1);
  t.equal(plane.loopOf(plane.addStream(STREAM)), 0);
  t.throws(() => plane.addStream({ ...STREAM, loop: 2 }), { code: 'LOOP_UNKNOWN' });
  t.equal(plane.loopCounters().length, 2);
});
