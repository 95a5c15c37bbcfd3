// HLS over https from nginx, with a redirect to another host: the whole way from the URL to the ring.
import { type ChildProcess, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { which } from '../lab/lib/tools.js';
import { Certificates } from '../plane/certificates.js';
import { Edge, until } from './edge.js';
import { LiveOrigin } from './live-origin.js';

t.setTimeout(120_000);

const certificates = new Certificates();
t.teardown(() => certificates.close());
const first = certificates.make('first', 'DNS:localhost');
const second = certificates.make('second', 'IP:127.0.0.2');
const authorities = `${first.cert}\n${second.cert}`;

/** A port that was free a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return port;
}

interface Nginx {
  readonly port: number;
  readonly other: number;
}

/** `localhost` redirects playlists to 127.0.0.2, which hands on to the origin; `/direct/` is handed on without that. */
async function nginx(t: Test, origin: LiveOrigin): Promise<Nginx> {
  const [port, other] = [await freePort(), await freePort()];
  const { folder } = certificates;
  const server = (listen: string, name: string, locations: string): string =>
    `server { listen ${listen} ssl; ssl_certificate ${name}.pem; ssl_certificate_key ${name}.key; ${locations} }`;
  const config = join(folder, 'nginx.conf');
  writeFileSync(
    config,
    `daemon off; master_process off; pid ${folder}/nginx.pid; error_log stderr;
    events {}
    http {
      access_log off;
      client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy; fastcgi_temp_path ${folder}/fastcgi;
      uwsgi_temp_path ${folder}/uwsgi; scgi_temp_path ${folder}/scgi;
      ${server(`127.0.0.1:${port}`, 'first', `location /direct/ { proxy_pass ${origin.base}/live/; } location /round/ { return 302 /round/; } location / { return 302 https://127.0.0.2:${other}$request_uri; }`)}
      ${server(`127.0.0.2:${other}`, 'second', `location /down/ { return 301 http://127.0.0.1:${port}/; } location / { proxy_pass ${origin.base}; }`)}
    }`,
  );
  const child: ChildProcess = spawn(which('nginx') ?? '', ['-p', folder, '-c', config], { stdio: 'pipe' });
  let output = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    output += chunk.toString();
  });
  t.teardown(async () => {
    if (child.exitCode !== null) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    await gone;
  });
  await until('nginx listens', async () => {
    if (child.exitCode !== null) throw new Error(`nginx ended: ${output}`);
    return await fetch(`http://127.0.0.1:${port}/`).then(
      () => true,
      () => false,
    );
  });
  return { port, other };
}

async function edge(t: Test, url: string, upstream: unknown): Promise<Edge> {
  const rendition = { id: 'high', buffer: { memory: '4MiB' }, url };
  const it = new Edge([{ id: 'news', hls: { segment: '1s' }, renditions: [rendition] }], undefined, {
    authorities,
    upstream,
  });
  t.teardown(() => it.close());
  await it.service.start();
  return it;
}

const skip = which('nginx') === undefined ? 'nginx-light is not installed' : false;

t.test('https and redirects', { skip }, async (t) => {
  const origin = new LiveOrigin();
  await origin.listen();
  t.teardown(() => origin.kill());
  const { port, other } = await nginx(t, origin);

  t.test('HLS over https flows, over one connection', async (t) => {
    const it = await edge(t, `https://localhost:${port}/direct/index.m3u8`, {});
    await until('pictures', () => it.rendition().ready && it.rendition().source.requests.segment > 2);
    t.match(it.rendition(), { state: 'flowing', source: { connects: 1, connections: 1 } });
    const [asked] = origin.requests;
    t.match(asked?.headers['via'], /^1\.1 sluice-[0-9a-f]{8}$/);
    t.equal(asked?.headers['accept-encoding'], 'gzip', 'for playlists');
    const segment = origin.requests.find(({ path }) => path.endsWith('.ts'));
    t.equal(segment?.headers['accept-encoding'], 'identity', 'for media');
  });

  t.test('a redirect to another host is followed where that is allowed', async (t) => {
    const it = await edge(t, `https://localhost:${port}/live/index.m3u8`, { allow: ['127.0.0.2'] });
    await until('pictures', () => it.rendition().state === 'flowing');
    t.ok(origin.requests.some(({ path }) => path === '/live/index.m3u8'));
  });

  const refused = async (path: string, upstream: unknown, host = `localhost:${port}`): Promise<unknown> => {
    const it = await edge(t, `https://${host}${path}`, upstream);
    await until('an error', () => it.rendition().code !== null);
    return it.rendition();
  };

  t.test('it is not where it is not, and what goes wrong is named', async (t) => {
    t.match(await refused('/live/index.m3u8', {}), {
      code: 'UPSTREAM_ADDRESS_REFUSED',
      reason: /https:\/\/127\.0\.0\.2:\d+\/live\/index\.m3u8 \(127\.0\.0\.2\): the address is loopback/,
    });
    t.match(await refused('/round/', {}), {
      code: 'UPSTREAM_REDIRECTS',
      reason: /go round: .*\/round\/ -> .*\/round\//,
    });
    t.match(await refused('/live/index.m3u8', { redirects: 0, allow: ['127.0.0.2'] }), {
      code: 'UPSTREAM_REDIRECTS',
      reason: /at most 0 redirects/,
    });
    t.match(await refused('/down/index.m3u8', {}, `127.0.0.2:${other}`), {
      code: 'UPSTREAM_REDIRECTS',
      reason: /expected https:\/\/ after the redirect/,
    });
    t.match(await refused('/direct/index.m3u8', {}, `127.0.0.1:${port}`), {
      code: 'UPSTREAM_TLS',
      reason: /host name mismatch: expected a certificate for 127\.0\.0\.1, got one for localhost/,
    });
  });

  t.test('insecure only where it says so', async (t) => {
    const it = await edge(t, `https://127.0.0.1:${port}/direct/index.m3u8`, { tls: { insecure: ['127.0.0.1'] } });
    await until('pictures', () => it.rendition().state === 'flowing');
  });
});
