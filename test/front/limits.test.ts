// What one client may ask for: refused where it is over, told why, and changed by a reload.
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import { Bed } from '../reload/bed.js';
import { until } from '../streams/edge.js';
import { startOrigin } from './origin.js';

t.setTimeout(60_000);

/** A connection that says what it is told to, and keeps what comes. */
class Viewer {
  got = '';
  closed = false;

  private constructor(private readonly socket: Socket) {
    socket.setEncoding('latin1').on('data', (text: string) => {
      this.got += text;
    });
    socket.on('close', () => {
      this.closed = true;
    });
    socket.on('error', () => {});
  }

  static async connect(t: Test, url: string): Promise<Viewer> {
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port), hostname);
    t.teardown(() => socket.destroy());
    await once(socket, 'connect');
    return new Viewer(socket);
  }

  ask(times: number, fields = ''): void {
    this.got = '';
    this.socket.write(`GET /cdn/a.bin HTTP/1.1\r\nHost: e\r\n${fields}\r\n`.repeat(times));
  }

  /** The statuses of all answers once there are so many. */
  async statuses(count: number): Promise<number[]> {
    const all = (): number[] => [...this.got.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map((match) => Number(match[1]));
    await until(`${count} answers`, () => all().length >= count || this.closed);
    return all();
  }
}

async function start(t: Test, limits: object): Promise<{ bed: Bed; settings: (limits: object) => object }> {
  const origin = await startOrigin(t, { '/a.bin': 'x' });
  const sites = [{ id: 'cdn', origin: origin.url }];
  const settings = (more: object): object => ({ sites, http: { listen: ['127.0.0.1:0'], limits: more } });
  return { bed: await Bed.start(t, settings(limits)), settings };
}

t.test('requests of one address come at a rate; a reload changes it for connections that are there', async (t) => {
  const { bed, settings } = await start(t, { requests_per_address: 1, burst: 3 });
  const viewer = await Viewer.connect(t, bed.daemon.viewersUrl);
  viewer.ask(1);
  t.same(await viewer.statuses(1), [200]);
  // All at once, so that no time passes between them.
  viewer.ask(30);
  const statuses = await viewer.statuses(30);
  t.ok(statuses.filter((status) => status === 429).length >= 25, statuses.join());
  t.match(viewer.got, /\r\nRetry-After: 1\r\n.*there are too many requests from your address\n/s);
  t.match(
    await bed.metrics(),
    /sluice_http_refused_total\{listen="127[^}]*reason="requests_per_address"\} (2[5-9]|30)\n/,
  );

  await bed.reload(settings({ requests_per_address: 1, burst: 1, exempt: ['127.0.0.0/8'] }));
  const exempt = await Viewer.connect(t, bed.daemon.viewersUrl);
  exempt.ask(30);
  t.same(new Set(await exempt.statuses(30)), new Set([200]));
  await bed.reload(settings({ requests: 2 }));
  viewer.ask(30);
  t.ok((await viewer.statuses(30)).includes(503));
  t.match(viewer.got, /there are too many requests\n/);
  await bed.reload(settings({}));
  viewer.ask(30);
  t.same(new Set(await viewer.statuses(30)), new Set([200]), 'the same connection, all along');
});

t.test('connections of one address are counted, those over are told, and places are given back', async (t) => {
  const { bed } = await start(t, { connections_per_address: 2 });
  const two = [await Viewer.connect(t, bed.daemon.viewersUrl), await Viewer.connect(t, bed.daemon.viewersUrl)];
  for (const viewer of two) {
    viewer.ask(1);
    t.same(await viewer.statuses(1), [200]);
  }
  const third = await Viewer.connect(t, bed.daemon.viewersUrl);
  t.same(await third.statuses(1), [429]);
  t.match(third.got, /Retry-After: \d+\r\n.*there are too many connections from your address\n/s);
  two[0]?.ask(1, 'Connection: close\r\n');
  await until('one has gone', () => two[0]?.closed === true);
  await until('there is a place', async () => {
    const next = await Viewer.connect(t, bed.daemon.viewersUrl);
    next.ask(1);
    return (await next.statuses(1))[0] === 200;
  });
  t.match(await bed.metrics(), /reason="connections_per_address"\} [1-9]/);
});

t.test('a head may be as large as is set, and not larger, in however few pieces it comes', async (t) => {
  const { bed } = await start(t, { header_size: '2KiB' });
  const viewer = await Viewer.connect(t, bed.daemon.viewersUrl);
  viewer.ask(1, `X: ${'x'.repeat(1900)}\r\n`);
  t.same(await viewer.statuses(1), [200]);
  viewer.ask(1, `X: ${'x'.repeat(2100)}\r\n`);
  t.same(await viewer.statuses(1), [431]);
});
