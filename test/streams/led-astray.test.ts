// What an upstream names is not asked for when it is on this machine, or in this network.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import t, { type Test } from 'tap';
import { Edge, until } from './edge.js';
import { LiveOrigin } from './live-origin.js';

t.setTimeout(60_000);

interface Bed {
  readonly it: Edge;
  /** What the server was asked that nobody should be led to. */
  readonly inside: string[];
  readonly origin: LiveOrigin;
}

/** An origin on 127.0.0.1, configured, whose playlist names segments on 127.0.0.3, which is not. */
async function bed(t: Test, upstream: unknown): Promise<Bed> {
  const inside: string[] = [];
  const origin = new LiveOrigin();
  const server = createServer((request, response) => {
    inside.push(request.url ?? '');
    response.end(origin.segment(Number(/\d+/.exec(request.url ?? '')?.[0])));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.3', resolve));
  const { port } = server.address() as AddressInfo;
  await origin.listen();
  origin.intercept = (request, response) => {
    if (request.url !== '/x.m3u8') return false;
    response.end(origin.playlist().replaceAll('seg', `http://127.0.0.3:${port}/seg`));
    return true;
  };
  const rendition = { id: 'high', buffer: { memory: '4MiB' }, url: `${origin.base}/x.m3u8` };
  const channels = [{ id: 'news', hls: { segment: '1s' }, renditions: [rendition] }];
  const it = new Edge(channels, undefined, { upstream });
  t.teardown(async () => {
    await it.close();
    await origin.kill();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  await it.service.start();
  return { it, inside, origin };
}

t.test('segments on an address of this machine are refused by name', async (t) => {
  const { it, inside, origin } = await bed(t, {});
  await until('a reason', () => it.rendition().code !== null);
  t.match(it.rendition(), { code: 'UPSTREAM_ADDRESS_REFUSED', reason: /127\.0\.0\.3.*the address is loopback/ });
  const asked = origin.requests.length;
  await until('another attempt', () => origin.requests.length > asked);
  t.strictSame(inside, []);
});

t.test('where the configuration allows it they are taken', async (t) => {
  const { it, inside } = await bed(t, { allow: ['127.0.0.0/29'] });
  await until('pictures', () => it.rendition().state === 'flowing');
  t.match(inside[0], /^\/seg\d+\.ts$/);
});
