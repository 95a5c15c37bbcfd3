// Files and states of the machine that a reload is refused for: nothing may have changed then.
import { once } from 'node:events';
import { connect, createServer, type Server } from 'node:net';
import t, { type Test } from 'tap';
import { SluiceError } from '../../daemon/base/errors.js';
import { until, Viewer } from '../streams/edge.js';
import { LiveOrigin } from '../streams/live-origin.js';
import { frameNumbers } from '../streams/ts-maker.js';
import { Bed, channel, loopbackGroup, openDescriptors, Receivers } from './bed.js';

t.setTimeout(120_000);

/** The refusal of a reload. */
async function refusal(bed: Bed, settings?: object): Promise<SluiceError> {
  try {
    await bed.reload(settings);
  } catch (error) {
    if (error instanceof SluiceError) return error;
    throw error;
  }
  throw new Error('the reload was not refused');
}

async function taken(t: Test): Promise<{ readonly server: Server; readonly port: number }> {
  const server = createServer((socket) => socket.destroy());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => void server.close());
  const address = server.address();
  return { server, port: typeof address === 'object' && address !== null ? address.port : 0 };
}

/** A port that is free now. */
async function freePort(t: Test): Promise<number> {
  const { server, port } = await taken(t);
  server.close();
  await once(server, 'close');
  return port;
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}

const dark = (id: string, more: object = {}): object => channel(id, { url: 'http://127.0.0.1:9/x.ts', ...more });

t.test('whatever refuses a reload: the daemon is as it was, and says why', async (t) => {
  const origin = new LiveOrigin();
  await origin.listen();
  t.teardown(() => origin.kill());
  const group = loopbackGroup();
  const news = (more: object = {}): object =>
    channel('news', { url: `${origin.base}/live/index.m3u8`, multicast: { ...group, ...more } });
  const good = { channels: [news(), dark('dark')] };
  const bed = await Bed.start(t, good);
  const rtp = new Receivers(t).join(group);
  await until('ready', () => bed.rendition('news').ready, 15_000);
  const viewer = new Viewer(`${bed.daemon.viewersUrl}/live/news/one.ts`);
  t.teardown(() => viewer.close());
  await until('packets', () => rtp().packets > 0);
  const { ssrc } = rtp();
  const { port } = await taken(t);
  const free = await freePort(t);
  const config = await (await fetch(`${bed.daemon.adminUrl}/v1/config`)).text();
  const descriptors = openDescriptors();
  const unknown = { ...loopbackGroup(), interface: 'nowhere7' };

  const cases: readonly (readonly [what: string, settings: object | string, code: string, message: RegExp])[] = [
    ['YAML', 'channels: [', 'CONFIG_INVALID', /sluice\.yaml:1:12: not valid YAML: /],
    [
      'schema',
      'channels:\n  - id: News\n',
      'CONFIG_INVALID',
      /sluice\.yaml:2:5: .*renditions.*\n.*sluice\.yaml:2:9: channels\[0\]\.id: /,
    ],
    ['ids', { channels: [news(), news()] }, 'CONFIG_INVALID', /sluice\.yaml:\d+:\d+: channels\[1\]\.id: .*in use/],
    [
      'ports',
      { ...good, http: { listen: ['127.0.0.1:8081', '127.0.0.1:8081'] } },
      'CONFIG_INVALID',
      /http\.listen\[1\]: the port is already used by http\.listen\.0/,
    ],
    [
      'interface of a new sender, after another stream was set up',
      { channels: [dark('first', { multicast: loopbackGroup() }), news(), dark('second', { multicast: unknown })] },
      'INTERFACE_UNKNOWN',
      /nowhere7/,
    ],
    [
      'interface of a sender that is changed',
      { channels: [dark('first'), news(), dark('dark', { multicast: unknown })] },
      'INTERFACE_UNKNOWN',
      /nowhere7/,
    ],
    [
      'interface of a source, after a sender on the air was changed',
      { channels: [news({ dscp: 1 }), channel('dark', { url: 'rtp://239.255.9.9:5000?iface=nowhere7' })] },
      'INTERFACE_UNKNOWN',
      /nowhere7/,
    ],
    [
      'memory',
      { channels: [news(), { ...dark('huge'), renditions: Array.from({ length: 2 }, (_, n) => huge(n)) }] },
      'MEMORY_BUDGET',
      /budget|memory/i,
    ],
    [
      'a taken port, after another was opened',
      { channels: [news(), dark('more')], http: { listen: ['127.0.0.1:0', `127.0.0.1:${free}`, `127.0.0.1:${port}`] } },
      'ADDRESS_IN_USE',
      new RegExp(String(port)),
    ],
    ['an address of nobody', { ...good, http: { listen: ['192.0.2.1:8080'] } }, 'SYSTEM_CALL', /192\.0\.2\.1/],
  ];
  for (const [what, settings, code, message] of cases) {
    if (typeof settings === 'string') bed.writeText(settings);
    else bed.write(settings);
    const error = await refusal(bed);
    t.equal(error.code, code, what);
    t.match(error.message, message, what);
    t.equal(await (await fetch(`${bed.daemon.adminUrl}/v1/config`)).text(), config, `${what}: the same configuration`);
    t.strictSame(
      bed.daemon.channels().map(({ id }) => id),
      ['news', 'dark'],
    );
    t.notOk(await listens(free), `${what}: no listener is left`);
    await until(`${what}: every descriptor is given back`, () => openDescriptors() <= descriptors);
  }
  const seen = frameNumbers(viewer.bytes).length;
  await until('pictures go on', () => frameNumbers(viewer.bytes).length > seen + 10);
  t.equal(viewer.closed, false);
  t.equal(bed.rendition('news').source.connects, 1);
  t.match(rtp(), { ssrc, rtpLost: 0 });
  t.match(bed.lines.join(''), /"code":"INTERFACE_UNKNOWN".*reload refused: nothing was changed/);
  const metrics = await bed.metrics();
  t.match(metrics, /^sluice_config_reloads_total\{result="refused"\} 4$/m);
  t.match(metrics, /^sluice_config_reloads_total\{result="failed"\} 6$/m);
  t.equal((await bed.reload(good)).outcome, 'unchanged', 'the good file is what runs');
});

function huge(n: number): object {
  return { id: `r${n}`, url: 'http://127.0.0.1:9/x.ts', buffer: { memory: '1GiB' } };
}

t.test('keys that are read at the start only: all are named, none is applied, nor is what could be', async (t) => {
  const bed = await Bed.start(t, { channels: [dark('a')] });
  const error = await refusal(bed, {
    channels: [dark('a'), dark('b')],
    plane: { memory: '2GiB' },
    admin: { listen: '127.0.0.1:0', socket: '/run/elsewhere.sock' },
  });
  t.equal(error.code, 'RELOAD_NEEDS_RESTART');
  t.match(error.message, /nothing was changed: .*admin\.socket.*plane\.memory/);
  t.strictSame(error.details['keys'], ['admin.socket', 'plane.memory']);
  t.strictSame(
    bed.daemon.channels().map(({ id }) => id),
    ['a'],
  );
});

t.test('a listener whose port another address of its family has until then needs a restart', async (t) => {
  const port = await freePort(t);
  const bed = await Bed.start(t, { channels: [dark('a')], http: { listen: [`127.0.0.1:${port}`] } });
  const error = await refusal(bed, { channels: [dark('a')], http: { listen: [`0.0.0.0:${port}`] } });
  t.equal(error.code, 'RELOAD_NEEDS_RESTART');
  t.strictSame(error.details['keys'], ['http.listen']);
  t.match(error.message, new RegExp(`0\\.0\\.0\\.0:${port} can be opened only after`));
  t.ok(await listens(port));
});

t.test('a daemon that ends is not reloaded', async (t) => {
  const bed = await Bed.start(t, { channels: [dark('a')] });
  const [under, behind] = [bed.reload(), bed.reload()];
  t.match(await under, { outcome: 'unchanged' });
  t.match(await behind, { outcome: 'unchanged' });
  const late = bed.daemon.close();
  t.match(await refusal(bed), { code: 'RELOAD_UNAVAILABLE', details: { state: 'ending' } });
  await late;
});
