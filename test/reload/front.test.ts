// The viewers' front across reloads: listeners by their address, limits in place.
import { once } from 'node:events';
import { Agent, get, type IncomingMessage } from 'node:http';
import t from 'tap';
import { until } from '../streams/edge.js';
import { Bed, channel } from './bed.js';

t.setTimeout(60_000);

const channels = [channel('dark', { url: 'http://127.0.0.1:9/x.ts' })];

async function ask(url: string, agent: Agent): Promise<number> {
  const [response] = (await once(get(`${url}/channels.m3u`, { agent }), 'response')) as [IncomingMessage];
  response.resume();
  await once(response, 'end');
  return response.statusCode ?? 0;
}

t.test('listeners are added and removed; one that is kept keeps its connections, with new limits', async (t) => {
  const bed = await Bed.start(t, { channels });
  const url = bed.daemon.viewersUrl;
  const first = new Agent({ keepAlive: true, maxSockets: 1 });
  const sockets = new Set<unknown>();
  first.on('free', (socket) => sockets.add(socket));
  t.teardown(() => first.destroy());
  t.equal(await ask(url, first), 200);

  const both = ['127.0.0.1:0', '[::1]:0'];
  t.match(await bed.reload({ channels, http: { listen: both, max_connections: 1 } }), {
    changes: [{ key: 'http.listen' }, { key: 'http.max_connections', old: 4096, new: 1 }],
    steps: [
      'http.listen: opens [::1]:0',
      'http.listen: URLs name the first address',
      'http: new limits for 127.0.0.1:0',
    ],
  });
  const listened = bed.lines.map((line) => /"listen":"(\[::1\]:\d+)"/.exec(line)?.[1]).find((one) => one !== undefined);
  const second = `http://${listened}`;
  const fresh = (): Promise<number> => ask(url, new Agent());
  await until('the limit of the kept listener holds', async () => (await fresh()) === 503);
  t.equal(await ask(second, new Agent()), 200, 'the new listener serves the same');
  t.equal(await ask(url, first), 200, 'the connection of before is served');
  t.equal(sockets.size, 1, 'and is the same');

  t.match(await bed.reload({ channels, http: { listen: ['[::1]:0'] } }), {
    steps: [
      'http.listen: URLs name the first address',
      'http: new limits for [::1]:0',
      'http.listen: closes 127.0.0.1:0, viewers there are disconnected',
    ],
  });
  await t.rejects(fresh(), { code: 'ECONNREFUSED' });
  t.equal(await ask(second, new Agent()), 200);
  t.match(bed.daemon.channels(), [{ hls: `${second}/live/dark/index.m3u8` }], 'URLs name the first listener');
});

t.test('the level of the log changes in every part', async (t) => {
  const bed = await Bed.start(t, { channels });
  t.match(await bed.reload({ channels, log: { level: 'error' } }), { steps: ['log: level error'] });
  const quiet = bed.lines.length;
  await bed.reload({
    channels: [...channels, channel('more', { url: 'http://127.0.0.1:9/y.ts' })],
    log: { level: 'error' },
  });
  await until('a source has failed', () => bed.rendition('more').state === 'retrying');
  t.equal(bed.lines.length, quiet, 'neither the reload nor the warning of the source');
  await bed.reload({ channels, log: { level: 'info' } });
  t.match(bed.lines.at(-1), /configuration reloaded/);
});
