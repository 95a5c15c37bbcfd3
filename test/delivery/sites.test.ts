// Sites of a whole daemon before a real origin: who is asked how often, whatever happens to viewers and origin.
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { request, type ServerResponse } from 'node:http';
import { gzipSync } from 'node:zlib';
import t, { type Test } from 'tap';
import { sluice } from '../cli/lib/program.js';
import { Certificates } from '../plane/certificates.js';
import { Bed } from '../reload/bed.js';
import { until } from '../streams/edge.js';
import { Origin } from './origin.js';
import { crowd, type Got, Quitter, view } from './viewers.js';

t.setTimeout(120_000);

const MANY = 500;

interface Scene {
  readonly bed: Bed;
  readonly origin: Origin;
  /** Of the site's prefix, with a slash at the end. */
  readonly base: string;
  readonly metric: (name: string) => Promise<number>;
}

async function start(t: Test, site: object = {}, more: object = {}): Promise<Scene> {
  const origin = await Origin.start(t);
  const bed = await Bed.start(t, { sites: [{ id: 'site', origin: origin.url, ...site }], ...more });
  const metric = async (name: string): Promise<number> =>
    Number(new RegExp(`^${name} ([\\d.e+]+)$`, 'm').exec(await bed.metrics())?.[1]);
  return { bed, origin, base: `${bed.daemon.viewersUrl}/site/`, metric };
}

t.test('a miss, hits, an expiry with revalidation, a purge', async (t) => {
  const { bed, origin, base, metric } = await start(t, { cache: { media: '300ms' } });
  let body = 'one';
  origin.on('/a.ts', (response, { headers }) => {
    const etag = `"${body}"`;
    if (headers['if-none-match'] === etag) response.writeHead(304, { etag }).end();
    else
      response
        .writeHead(200, { etag, 'content-type': 'video/mp2t', 'set-cookie': 'a=b', connection: 'x-hop', 'x-hop': '1' })
        .end(body);
  });
  const first = await view(`${base}a.ts`);
  t.match(first, { status: 200, whole: true, headers: { 'content-type': 'video/mp2t', 'content-length': '3' } });
  t.equal(first.headers['set-cookie'], undefined);
  t.equal(first.headers['x-hop'], undefined);
  t.match(first.headers['via'], /^1\.1 /);
  for (let i = 0; i < 5; i++) t.equal((await view(`${base}a.ts`)).body.toString(), 'one');
  t.equal(origin.count('/a.ts'), 1);
  t.equal((await view(`${base}a.ts`, { 'if-none-match': '"one"' })).status, 304);
  t.match(await view(`${base}a.ts`, { range: 'bytes=1-' }), {
    status: 206,
    headers: { 'content-range': 'bytes 1-2/3' },
  });

  await until('it was asked for again', async () => {
    t.equal((await view(`${base}a.ts`)).body.toString(), 'one');
    return origin.count('/a.ts') > 1;
  });
  t.equal(origin.requests.at(-1)?.headers['if-none-match'], '"one"');
  t.ok((await metric('sluice_object_revalidated_total')) >= 1);

  body = 'two';
  await until('the new one is there', async () => (await view(`${base}a.ts`)).body.toString() === 'two');
  origin.gives('/b.ts', 'b', { 'cache-control': 'max-age=1000' });
  origin.gives('/c.ts', 'c', { 'cache-control': 'max-age=1000' });
  await view(`${base}b.ts`);
  await view(`${base}c.ts`);
  const { adminUrl } = bed.daemon;
  t.match(await sluice(t, 'purge', 'site', '/site/b', '--admin', adminUrl), {
    code: 0,
    stdout: '1 object forgotten\n',
  });
  await view(`${base}b.ts`);
  await view(`${base}c.ts`);
  t.equal(origin.count('/b.ts'), 2);
  t.equal(origin.count('/c.ts'), 1);
  t.match(await sluice(t, 'purge', 'none', '--admin', adminUrl), {
    code: 1,
    stderr: /NOT_FOUND: there is no site none/,
  });
  t.match(await sluice(t, 'show', 'sites', '--admin', adminUrl), { code: 0, stdout: /^site +\/site\/ /m });
});

/** A crowd for a path that nobody has; `release` is called when all of them wait for it. */
async function crowdThatWaits({ metric, base }: Scene, path: string, release: () => void): Promise<Got[]> {
  const asked = async (): Promise<number> =>
    (await metric('sluice_object_joins_total')) + (await metric('sluice_object_misses_total'));
  const before = await asked();
  const all = crowd(`${base}${path}`, MANY);
  await until('everybody has asked', async () => (await asked()) >= before + MANY);
  release();
  return all;
}

t.test(`${MANY} at once on one cold object: one request, whatever the origin does`, async (t) => {
  const scene = await start(t, { cache: { media: '0s', documents: '0s' }, timeouts: { head: '3s', idle: '3s' } });
  const { origin, base } = scene;
  const half = Buffer.alloc(100_000, 'a');
  let response: ServerResponse | undefined;
  const begin = (path: string, head: (response: ServerResponse) => void): void =>
    origin.on(path, (given, _, nth) => {
      if (nth > 1) return void given.end('again');
      response = given;
      head(given);
    });
  const growing = (given: ServerResponse): void => void given.writeHead(200, { 'content-length': 200_000 }).write(half);

  begin('/slow.ts', growing);
  let all = await crowdThatWaits(scene, 'slow.ts', () => response?.end(half));
  t.ok(
    all.every(({ status, body, whole }) => status === 200 && whole && body.length === 200_000),
    'whole, though it is fresh for no time',
  );
  t.equal(origin.count('/slow.ts'), 1);

  begin('/first.ts', () => undefined);
  const quitter = new Quitter(`${base}first.ts`);
  await until('the first asker is waited for', () => origin.count('/first.ts') === 1);
  all = await crowdThatWaits(scene, 'first.ts', () => {
    quitter.quit();
    response?.end('first');
  });
  t.ok(
    all.every(({ status, body, whole }) => status === 200 && whole && body.toString() === 'first'),
    'the first asker gone',
  );
  t.equal(origin.count('/first.ts'), 1);

  begin('/refused.ts', () => undefined);
  all = await crowdThatWaits(scene, 'refused.ts', () => response?.writeHead(500).end('secret trace'));
  t.ok(
    all.every(({ status, whole }) => status === 500 && whole),
    '500',
  );
  t.notMatch(all[0]?.body.toString(), /secret/);
  t.equal(origin.count('/refused.ts'), 1);

  begin('/silent.ts', () => undefined);
  all = await crowdThatWaits(scene, 'silent.ts', () => undefined);
  t.ok(
    all.every(({ status, headers }) => status === 504 && headers['retry-after'] === '1'),
    'no answer at all',
  );
  t.equal(origin.count('/silent.ts'), 1);

  for (const [path, end] of [
    ['truncated.ts', () => response?.socket?.destroy()],
    ['stalled.ts', () => undefined],
  ] as const) {
    begin(`/${path}`, growing);
    all = await crowdThatWaits(scene, path, end);
    t.equal(origin.count(`/${path}`), 1, path);
    t.ok(
      all.every(
        ({ status, whole, body }) => (status === 200 && !whole && body.length <= 100_000) || (status === 502 && whole),
      ),
      `${path}: ended honestly`,
    );
    t.ok(
      all.some(({ body }) => body.length === 100_000),
      `${path}: what came was handed out`,
    );
    const next = await crowd(`${base}${path}`, 20);
    t.ok(
      next.every(({ body, whole }) => whole && body.toString() === 'again'),
      `${path}: the next asker gets it`,
    );
  }
});

t.test('an expiry in the middle of a crowd: one request more, nobody waits for two', async (t) => {
  const { origin, base } = await start(t);
  origin.on('/x.ts', (response, _, nth) => {
    const headers = { 'cache-control': `max-age=${nth === 1 ? 1 : 1000}` };
    setTimeout(() => response.writeHead(200, headers).end(`take ${nth}`), nth === 1 ? 0 : 300);
  });
  await view(`${base}x.ts`);
  await until('it has expired', async () => {
    const all = await crowd(`${base}x.ts`, 50);
    t.ok(all.every(({ body }) => /^take [12]$/.test(body.toString())));
    return origin.count('/x.ts') === 2;
  });
  t.ok((await crowd(`${base}x.ts`, 50)).every(({ body }) => body.toString() === 'take 2'));
  t.equal(origin.count('/x.ts'), 2);
});

t.test('404 is remembered for a moment, 503 is not; stale objects stand in where that is allowed', async (t) => {
  const { origin, base } = await start(t, { cache: { missing: '60s', media: '100ms', stale_if_error: '60s' } });
  for (let i = 0; i < 3; i++) t.equal((await view(`${base}none.ts`)).status, 404);
  t.equal(origin.count('/none.ts'), 1);
  origin.on('/busy.ts', (response) => void response.writeHead(503).end());
  for (let i = 0; i < 3; i++) t.match(await view(`${base}busy.ts`), { status: 503, headers: { 'retry-after': '1' } });
  t.equal(origin.count('/busy.ts'), 3);

  origin.gives('/a.ts', 'good');
  await view(`${base}a.ts`);
  origin.on('/a.ts', (response) => void response.writeHead(500).end());
  await until('the origin has failed', async () => {
    t.match(await view(`${base}a.ts`), { status: 200, body: Buffer.from('good') });
    return origin.count('/a.ts') > 1;
  });
});

t.test('redirects are followed, and not with what is configured for the origin', async (t) => {
  const other = await Origin.start(t);
  const { origin, base } = await start(t, { headers: { authorization: 'Bearer x' } });
  origin.on('/a.ts', (response) => void response.writeHead(302, { location: '/b.ts' }).end());
  origin.on('/b.ts', (response) => void response.writeHead(307, { location: `${other.url}c.ts` }).end());
  other.gives('/c.ts', 'there');
  t.match(await view(`${base}a.ts`), { status: 200, body: Buffer.from('there') });
  t.equal(origin.requests.at(-1)?.headers['authorization'], 'Bearer x');
  t.equal(other.requests[0]?.headers['authorization'], undefined);
  origin.on('/loop.ts', (response) => void response.writeHead(302, { location: '/loop.ts' }).end());
  t.equal((await view(`${base}loop.ts`)).status, 502);
});

t.test('an https origin is known by its certificate; nobody is led to addresses that nobody named', async (t) => {
  const certificates = new Certificates();
  t.teardown(() => certificates.close());
  const certificate = certificates.make('origin', 'IP:127.0.0.1');
  const origin = await Origin.start(t, certificate);
  origin.gives('/a.ts', 'a');
  origin.on('/away.ts', (response) => void response.writeHead(302, { location: 'https://127.0.0.3/b.ts' }).end());
  const sites = [{ id: 'site', origin: origin.url }];
  const trusting = await Bed.start(t, { sites, upstream: { tls: { ca_file: certificate.certFile } } });
  const base = `${trusting.daemon.viewersUrl}/site/`;
  t.match(await view(`${base}a.ts`), { status: 200, body: Buffer.from('a') });
  t.match((await view(`${base}away.ts`)).body.toString(), /UPSTREAM_ADDRESS_REFUSED/);
  const strange = await Bed.start(t, { sites });
  t.match(await view(`${strange.daemon.viewersUrl}/site/a.ts`), { status: 502 });
  t.match((await view(`${strange.daemon.viewersUrl}/site/a.ts`)).body.toString(), /UPSTREAM_TLS/);
});

t.test('documents are rewritten, odd ones go through, and are counted', async (t) => {
  const { bed, origin, base, metric } = await start(t);
  const list = `#EXTM3U\n#EXTINF:2,\n${origin.url}s/1.ts\n#EXTINF:2,\n2.ts\n`;
  origin.on('/s/x.m3u8', (response) => {
    const headers = { 'content-encoding': 'gzip', etag: '"x"', 'content-type': 'application/vnd.apple.mpegurl' };
    response.writeHead(200, headers).end(gzipSync(list));
  });
  origin.gives('/plain.m3u8', '#EXTM3U\n#EXTINF:2,\n2.ts\n', { etag: '"p"', 'x-odd': 'caf\u00e9' });
  const got = await view(`${base}s/x.m3u8`);
  t.equal(got.body.toString(), '#EXTM3U\n#EXTINF:2,\n../s/1.ts\n#EXTINF:2,\n2.ts\n');
  t.match(got.headers, { 'content-type': 'application/vnd.apple.mpegurl', 'content-length': String(got.body.length) });
  t.equal(got.headers['etag'], undefined, "the origin's is for other bytes");
  t.match(await view(`${base}plain.m3u8`), { status: 200, headers: { etag: '"p"' } });

  const odd = '<MPD><Period>';
  origin.gives('/odd.mpd', odd);
  t.match(await view(`${base}odd.mpd`), { status: 200, body: Buffer.from(odd) });
  t.equal(await metric('sluice_site_requests_total\\{site="site",kind="odd"\\}'), 1);
  t.ok(bed.lines.some((line) => line.includes('a document goes through unread')));
  origin.gives('/huge.m3u8', Buffer.alloc(5 * 2 ** 20, '#'));
  t.equal((await view(`${base}huge.m3u8`)).status, 502);
});

t.test('a path that leads out of the site, and a loop, are refused', async (t) => {
  const { bed, origin } = await start(t, { prefix: '/s/' });
  const { hostname, port } = new URL(bed.daemon.viewersUrl);
  const status = async (path: string, headers: Record<string, string> = {}): Promise<number> => {
    const asked = request({ hostname, port, path, headers, agent: false });
    asked.end();
    const [response] = (await once(asked, 'response')) as [{ statusCode: number; resume(): void }];
    response.resume();
    return response.statusCode;
  };
  for (const path of ['/s/../x', '/s/%2e%2e/x', '/s/..%2fx', '/s/a/..;/x']) t.equal(await status(path), 400, path);
  t.equal(origin.requests.length, 0);
  origin.gives('/x.ts', 'x');
  t.equal(await status('/s/x.ts'), 200);
  const via = origin.requests[0]?.headers['via'] ?? '';
  t.equal(await status('/s/y.ts', { via: `1.0 other, ${via}` }), 508);
  t.equal(origin.requests.length, 1);
});

t.test('a reload keeps the objects of sites that stay, changes others, and ends those that go', async (t) => {
  const { bed, origin, base } = await start(t);
  const other = await Origin.start(t);
  for (const one of [origin, other]) one.gives('/a.ts', one.url, { 'cache-control': 'max-age=1000' });
  const site = { id: 'site', origin: origin.url };
  await view(`${base}a.ts`);

  t.same((await bed.reload({ sites: [site] })).steps, []);
  t.match(
    await bed.reload({
      sites: [
        { ...site, cache: { media: '5s' } },
        { id: 'more', origin: other.url },
      ],
    }),
    {
      steps: ['site site: other settings, its objects stay', 'site more: begins at /more/'],
    },
  );
  await view(`${base}a.ts`);
  t.equal(origin.count('/a.ts'), 1, 'the object has stayed');
  t.equal((await view(`${bed.daemon.viewersUrl}/more/a.ts`)).body.toString(), other.url);

  t.match(await bed.reload({ sites: [{ ...site, prefix: '/more/' }] }), {
    steps: ['site more: ends', 'site site: leaves /site/', 'site site: begins anew at /more/'],
  });
  t.equal((await view(`${bed.daemon.viewersUrl}/more/a.ts`)).body.toString(), origin.url);
  t.equal((await view(`${base}a.ts`)).status, 404);

  t.match(await bed.reload({ sites: [{ ...site, prefix: '/more/', origin: other.url }] }), {
    steps: ['site site: another origin, its objects are forgotten'],
  });
  t.equal((await view(`${bed.daemon.viewersUrl}/more/a.ts`)).body.toString(), other.url);

  writeFileSync(bed.file, JSON.stringify({ sites: [site, { ...site }] }));
  await t.rejects(bed.reload(), {
    code: 'CONFIG_INVALID',
    message: /sites\[1\]\.id: .*expected an id that no other site has/,
  });
  t.equal((await view(`${bed.daemon.viewersUrl}/more/a.ts`)).status, 200);
});
