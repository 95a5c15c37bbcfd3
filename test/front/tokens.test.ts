// Signed URLs: from the command that makes them, through a playlist, to an origin that hears nothing of them.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { makeToken, signedPaths } from '../../daemon/delivery/token.js';
import { sluice, temporaryFolder } from '../cli/lib/program.js';
import { Bed } from '../reload/bed.js';
import { until } from '../streams/edge.js';
import { startOrigin } from './origin.js';

t.setTimeout(90_000);

const OLD = { id: 'old', secret: 'the secret of before, long' };
const NEW = { id: 'new', secret: 'the secret from now on, long' };
const HOUR = 3_600_000;

const TEXTS = {
  '/live/index.m3u8':
    '#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:7\n#EXTINF:2,\nseg/7.ts?x=1\n',
  '/live/seg/7.ts': 'segment',
  '/vod/film.mp4': 'film',
};

t.test('a signed path opens a playlist and what it names, for whom and as long as it says', async (t) => {
  const origin = await startOrigin(t, TEXTS);
  const file = join(temporaryFolder(t), 'access.log');
  const settings = (...keys: object[]): object => ({
    sites: [{ id: 'cdn', prefix: '/tv/', origin: origin.url, tokens: { keys } }],
    http: { listen: ['127.0.0.1:0'], access_log: { file, format: 'json' } },
  });
  const bed = await Bed.start(t, settings(OLD));
  const ask = async (path: string): Promise<{ status: number; text: string; url: string }> => {
    const url = new URL(path, bed.daemon.viewersUrl).href;
    const response = await fetch(url);
    return { status: response.status, text: await response.text(), url };
  };
  const sign = async (...args: string[]): Promise<Record<'path' | 'query' | 'token' | 'scope', string>> => {
    const { code, stdout, stderr } = await sluice(t, 'sign', '-c', bed.file, '--json', ...args);
    t.equal(code, 0, stderr);
    return JSON.parse(stdout) as Record<'path' | 'query' | 'token' | 'scope', string>;
  };

  const signed = await sign('/tv/live/index.m3u8');
  t.equal(signed.scope, '/live/');
  const playlist = await ask(signed.path);
  t.equal(playlist.status, 200, playlist.text);
  t.equal(playlist.text, TEXTS['/live/index.m3u8']);
  const segment = new URL(/^seg.*$/m.exec(playlist.text)?.[0] ?? '', playlist.url).href;
  t.match(await ask(segment), { status: 200, text: 'segment' });
  t.same(origin.asked, ['/live/index.m3u8', '/live/seg/7.ts?x=1'], 'the origin hears nothing of tokens');

  const bound = await sign(
    '/tv/live/seg/7.ts?x=1',
    '--address',
    '127.0.0.1',
    '--expires',
    '1d',
    '--scope',
    '/tv/live/',
  );
  t.match(await ask(bound.query), { status: 200, text: 'segment' });
  t.equal(origin.asked.length, 2, 'whoever asks, with whatever token, shares what is there');

  const token = (more: object): string =>
    makeToken({ site: 'cdn', key: OLD, expires: Date.now() + HOUR, address: null, scope: '/', ...more });
  const withToken = (more: object): string => signedPaths('/tv/vod/film.mp4', '/tv/', token(more)).path;
  t.match(await ask(withToken({})), { status: 200, text: 'film' });
  t.match(await ask('/tv/vod/film.mp4'), { status: 403, text: 'a token is needed, and there is none\n' });
  t.match(await ask(withToken({ expires: Date.now() - 1000 })), { status: 403, text: 'the token has expired\n' });
  t.match(await ask(withToken({ address: '127.0.0.2' })), { status: 403, text: /for another address/ });
  t.match(await ask(withToken({ scope: '/live/' })), { status: 403, text: /for another path/ });
  t.match(await ask(withToken({ site: 'other' })), { status: 403, text: /not signed by its key/ });
  t.match(await ask(withToken({ key: NEW })), { status: 403, text: /of a key that is not known here/ });
  t.match(await ask('/tv/~nonsense/vod/film.mp4'), { status: 403, text: 'the token is not one\n' });
  const metrics = await bed.metrics();
  for (const reason of ['missing', 'expired', 'address', 'scope', 'signature', 'key', 'malformed'])
    t.match(metrics, `sluice_site_tokens_total{site="cdn",result="${reason}"} 1\n`);
  t.match(metrics, 'sluice_site_tokens_total{site="cdn",result="accepted"} 4\n');

  const { changes, steps } = await bed.reload(settings(NEW, OLD));
  t.match(changes, [{ key: 'sites[cdn].tokens', old: '***', new: '***' }]);
  t.match(steps, [`http.access_log: ${file} is opened again`, 'site cdn: other settings, its objects stay']);
  t.match(await ask(withToken({ key: NEW })), { status: 200 });
  t.match(await ask(withToken({})), { status: 200 }, 'both, while one takes the place of the other');
  await bed.reload(settings(NEW));
  t.match(await ask(withToken({})), { status: 403 });
  t.equal(origin.asked.length, 3);

  await until('all is logged', () => readFileSync(file, 'utf8').split('\n').length === 15);
  const log = readFileSync(file, 'utf8');
  t.notMatch(log, signed.token.split('.').at(-1) ?? '', 'no signature');
  t.match(log, `"target":"/tv/~${signed.token.replace(/[^.]*$/, '***')}/live/index.m3u8"`);
  t.match(log, `?x=1&token=${bound.token.replace(/[^.]*$/, '***')}"`);
});

t.test('addresses that are written in several ways are one', (t) => {
  const bound = (address: string): string | undefined =>
    makeToken({ site: 's', key: OLD, expires: 0, address, scope: '/' }).split('.')[2];
  t.equal(bound('192.0.2.7'), 'c0000207');
  t.equal(bound('::ffff:192.0.2.7'), 'c0000207');
  t.equal(bound('2001:db8:0:1:2:3:4:5'), '20010db800000001');
  t.equal(bound('2001:DB8:0:1::'), '20010db800000001');
  t.equal(bound('::1'), '0000000000000000');
  t.equal(bound('fe80::1:2:3'), 'fe80000000000000');
  // Made by Python's hmac, as in native/test/token_test.cc.
  t.equal(
    makeToken({
      site: 'cdn',
      key: { id: 'k1', secret: '0123456789abcdef' },
      expires: 2_000_000_000_999,
      address: '2001:db8:0:1::9',
      scope: '/vod/film.mp4',
    }),
    'k1.2000000000.20010db800000001.L3ZvZC9maWxtLm1wNA.6xdfxEUQPqfqmNb9uA09hXzYc9qs3q-gh0pdl4r0A80',
  );
  t.end();
});

t.test('what cannot be signed is told', async (t) => {
  const file = join(temporaryFolder(t), 'sluice.yaml');
  const sites = [
    { id: 'cdn', prefix: '/tv/', origin: 'http://o.example/', tokens: { keys: [OLD, NEW] } },
    { id: 'open', origin: 'http://o.example/' },
  ];
  writeFileSync(file, JSON.stringify({ sites }));
  for (const [args, message] of [
    [['/else'], /expected a path of a site; there are: cdn \(\/tv\/\), open \(\/open\/\)/],
    [['/open/a'], /sites\[open\]\.tokens, which has no keys/],
    [['/open/a', '--site', 'cdn'], /expected a path of the site cdn/],
    [['/tv/a', '--key', 'lost'], /which has old, new \(got "lost"\)/],
    [['/tv/a', '--expires', 'soon'], /--expires: expected a duration/],
    [['/tv/a', '--address', 'localhost'], /--address: expected a numeric/],
    [['/tv/a', '--scope', '/open/'], /--scope: expected a path below \/tv\//],
    [['/tv/a/b', '--scope', '/tv/c/'], /--scope: expected one that the path is in/],
  ] as const) {
    t.match(await sluice(t, 'sign', '-c', file, ...args), { code: 2, stdout: '', stderr: message }, args.join(' '));
  }
  t.match(await sluice(t, 'sign', '-c', file, '/tv/a', '--key', 'new'), {
    code: 0,
    stdout: /^\/tv\/~new\.\d+\.any\.Lw\.[\w-]{43}\/a\n\/tv\/a\?token=new\.\d+\.any\.Lw\.[\w-]{43}\n$/,
  });
  sites[0] = {
    id: 'cdn',
    prefix: '/tv/',
    origin: 'http://o.example/',
    tokens: { keys: [{ id: 'x', secret: 'tiny' }] },
  };
  writeFileSync(file, JSON.stringify({ sites }));
  const short = await sluice(t, 'check', '-c', file);
  t.match(short, { code: 2, stderr: /secret: not valid \(expected at least 16 characters, got "\*\*\*"\)/ });
});
