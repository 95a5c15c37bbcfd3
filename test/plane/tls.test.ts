// Requests over TLS to servers of Node's, whose TLS is not ours.
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { createServer as createTcpServer } from 'node:net';
import type { TLSSocket } from 'node:tls';
import t, { type Test } from 'tap';
import { SluiceError } from '../../daemon/base/errors.js';
import type { PlaneApi, UpstreamResponse, UpstreamTls } from '../../daemon/plane/contract.js';
import { createPlane } from '../../daemon/plane/plane.js';
import { Certificates } from './certificates.js';
import { STREAM, UPSTREAM } from './options.js';

const certificates = new Certificates();
t.teardown(() => certificates.close());
const own = certificates.make('own', 'DNS:origin.example,DNS:*.cdn.example,IP:127.0.0.1');
const stranger = certificates.make('stranger', 'DNS:origin.example');

const KNOWN: UpstreamTls = { serverName: 'origin.example', insecure: false };

interface Seen {
  readonly name: string | false;
  readonly protocol: string | null;
  readonly alpn: string | false | null;
  readonly resumed: boolean;
}

async function serve(t: Test, options: object): Promise<{ port: number; seen: Seen[] }> {
  const seen: Seen[] = [];
  const server: Server = createServer({ ...own, ...options }, (request, response) => {
    const socket = request.socket as TLSSocket & { servername: string | false };
    const resumed = socket.isSessionReused();
    seen.push({ name: socket.servername, protocol: socket.getProtocol(), alpn: socket.alpnProtocol, resumed });
    if (request.headers['x-close'] !== undefined) response.setHeader('connection', 'close');
    response.end(`${request.headers.host} ${request.url}`);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, seen };
}

type Ask = (port: number, tls: UpstreamTls, headers?: Record<string, string>) => Promise<UpstreamResponse>;

function client(t: Test, authorities?: string): Ask {
  const plane: PlaneApi = createPlane({ memoryBytes: 8 * 2 ** 20, authorities });
  t.teardown(() => plane.close());
  const upstream = plane.openUpstream(plane.addStream(STREAM), UPSTREAM);
  return (port, tls, headers = {}) =>
    plane.request(upstream, {
      ...{ address: '127.0.0.1', port, tls, host: 'origin.example', target: '/x', headers },
      ...{ sink: 'memory', maxBytes: 1000, totalTimeoutMs: 10_000, skipBytes: 0, discontinuity: false, seal: null },
    });
}

async function failure(request: Promise<unknown>): Promise<string> {
  try {
    await request;
  } catch (error) {
    if (error instanceof SluiceError) return `${error.code}: ${error.message.replace(/\(127\.0\.0\.1:\d+\)/, '(…)')}`;
    throw error;
  }
  throw new Error('the request was answered');
}

for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
  t.test(`${version}: names are asked for, connections kept, sessions resumed`, async (t) => {
    const { port, seen } = await serve(t, {
      minVersion: version,
      maxVersion: version,
      ALPNProtocols: ['h2', 'http/1.1'],
    });
    const ask = client(t, own.cert);
    for (let i = 0; i < 2; i++) t.equal(Buffer.from((await ask(port, KNOWN)).body).toString(), 'origin.example /x');
    await ask(port, KNOWN, { 'x-close': '1' });
    await ask(port, KNOWN);
    await ask(port, { ...KNOWN, serverName: 'a.cdn.example' });
    await ask(port, { ...KNOWN, serverName: '127.0.0.1' });
    t.strictSame(
      seen.map(({ resumed }) => resumed),
      [false, false, false, true, false, false],
    );
    t.match(seen[0], { name: 'origin.example', protocol: version, alpn: 'http/1.1' });
    t.match(seen[4], { name: 'a.cdn.example' });
    t.equal(seen[5]?.name, false, 'no name is asked for where it is an address');
  });
}

t.test('who is not known is refused for a reason, and not asked anything', async (t) => {
  const { port, seen } = await serve(t, stranger);
  const none = 'UPSTREAM_TLS: no TLS with origin.example (…): ';
  t.equal(await failure(client(t, own.cert)(port, KNOWN)), `${none}self-signed certificate`);
  t.equal(await failure(client(t)(port, KNOWN)), `${none}self-signed certificate`, 'nor by those that Node brings');
  const trusting = client(t, stranger.cert);
  t.equal(
    await failure(trusting(port, { ...KNOWN, serverName: 'b.example' })),
    'UPSTREAM_TLS: no TLS with b.example (…): host name mismatch: expected a certificate for b.example, got one for origin.example',
  );
  t.equal(seen.length, 0);
  t.equal((await trusting(port, KNOWN)).status, 200);
  t.equal((await client(t, own.cert)(port, { serverName: 'b.example', insecure: true })).status, 200);
});

t.test('versions that are too old, and ports that speak something else', async (t) => {
  const old = await serve(t, { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' });
  t.match(await failure(client(t, own.cert)(old.port, KNOWN)), /^UPSTREAM_TLS: .*(protocol version|wrong version)/);
  const echo = createTcpServer((socket) => socket.pipe(socket).on('error', () => undefined));
  await new Promise<void>((resolve) => echo.listen(0, '127.0.0.1', resolve));
  t.teardown(() => echo.close());
  const { port } = echo.address() as AddressInfo;
  t.match(await failure(client(t, own.cert)(port, KNOWN)), /^UPSTREAM_TLS: /);
});

t.test('objects are fetched over TLS, too', async (t) => {
  const { port, seen } = await serve(t, {});
  const plane = createPlane({ memoryBytes: 2 ** 20, authorities: own.cert });
  t.teardown(() => plane.close());
  const get = (serverName: string): Promise<UpstreamResponse> =>
    plane.fetch({
      ...{ address: '127.0.0.1', port, tls: { serverName, insecure: false }, host: 'origin.example', target: '/o' },
      ...{ headers: {}, timeouts: UPSTREAM, fill: null, maxBytes: 100 },
    });
  for (let i = 0; i < 3; i++) t.equal(Buffer.from((await get('origin.example')).body).toString(), 'origin.example /o');
  t.equal(plane.fetchCounters().connects, 1);
  await get('b.cdn.example');
  t.equal(seen.at(-1)?.name, 'b.cdn.example', 'another name is another connection');
  t.equal(plane.fetchCounters().connects, 2);
  t.match(await failure(get('b.example')), /^UPSTREAM_TLS: .*host name mismatch/);
});

t.test('authorities that cannot be read', async (t) => {
  t.throws(() => createPlane({ memoryBytes: 2 ** 20, authorities: 'no certificates' }), { code: 'TLS_CERTIFICATE' });
});
