// Playlists and manifests on their way through: what they name is to be had here, or is where it was.
import t from 'tap';
import { documentKind, isUnreadable, rewriteDocument } from '../../daemon/delivery/documents.js';

const SITES: readonly (readonly [prefix: string, origin: string])[] = [
  ['/keys/', 'https://keys.example/'],
  ['/deep/', 'http://o.example/live/deep/'],
  ['/live/', 'http://o.example/live/'],
];

function localUrl(url: string): string | null {
  const [prefix, origin] = SITES.find(([, from]) => url.startsWith(from)) ?? [];
  return prefix === undefined || origin === undefined ? null : prefix + url.slice(origin.length);
}

const ASKED = 'http://o.example/live/a/index.m3u8';

function hls(text: string, url = ASKED): string {
  return rewriteDocument('hls', text, { asked: ASKED, url, prefix: '/live/', localUrl });
}

t.test('kinds by the end of the path', async (t) => {
  const kinds = {
    'a.m3u8': 'hls',
    'a/B.M3U8?x=/y.mpd': 'hls',
    'x.m3u': 'hls',
    'x.mpd': 'dash',
    'x.mpd/y.ts': null,
    '': null,
  };
  for (const [target, kind] of Object.entries(kinds)) t.equal(documentKind(target), kind, target);
});

t.test('references of a playlist', async (t) => {
  const cases: readonly (readonly [written: string, expected: string])[] = [
    ['seg.ts', 'seg.ts'],
    ['sub/seg.ts?a=/../b', 'sub/seg.ts?a=/../b'],
    ['./seg.ts', './seg.ts'],
    ['http://o.example/live/a/seg.ts', '../a/seg.ts'],
    ['http://o.example:80/live/seg.ts?x=1', '../seg.ts?x=1'],
    ['//o.example/live/seg.ts', '../seg.ts'],
    ['http://o.example/live/deep/seg.ts', '/deep/seg.ts'],
    ['https://keys.example/k', '/keys/k'],
    ['/live/b/seg.ts', '../b/seg.ts'],
    ['../deep/seg.ts', '/deep/seg.ts'],
    // Ours would look for them in its own root, or above it.
    ['/other/seg.ts', 'http://o.example/other/seg.ts'],
    ['../../vod/seg.ts', 'http://o.example/vod/seg.ts'],
    ['http://cdn.example/seg.ts', 'http://cdn.example/seg.ts'],
    ['//cdn.example/seg.ts', '//cdn.example/seg.ts'],
    ['https://o.example/live/seg.ts', 'https://o.example/live/seg.ts'],
    ['http://o.example.evil/live/seg.ts', 'http://o.example.evil/live/seg.ts'],
    ['data:text/plain,x', 'data:text/plain,x'],
  ];
  for (const [written, expected] of cases) {
    const frame = (uri: string): string =>
      `#EXTM3U\r\n#EXT-X-UNKNOWN:URI="http://o.example/live/x"\r\n#EXT-X-MAP:URI="${uri}",BYTERANGE="1@0"\r\n#EXTINF:2,\r\n${uri}\r\n`;
    t.equal(hls(frame(written)), frame(expected), written);
  }
});

t.test('from the top of a site the way within it stays below', async (t) => {
  const asked = 'http://o.example/live/index.m3u8?x=/y/';
  const place = { asked, url: asked, prefix: '/live/', localUrl };
  const text = '#EXTM3U\n#EXTINF:2,\nhttp://o.example/live/a:b.ts\n';
  t.equal(rewriteDocument('hls', text, place), '#EXTM3U\n#EXTINF:2,\n./a:b.ts\n');
});

t.test('after a redirect elsewhere what is relative leads to where it is', async (t) => {
  const text = '#EXTM3U\n#EXTINF:2,\nseg.ts\n';
  t.equal(hls(text, 'http://o.example/live/a/other.m3u8?token=1'), text, 'the same folder');
  t.equal(hls(text, 'http://o.example/live/b/index.m3u8'), '#EXTM3U\n#EXTINF:2,\n../b/seg.ts\n');
  t.equal(hls(text, 'http://cdn.example/index.m3u8'), '#EXTM3U\n#EXTINF:2,\nhttp://cdn.example/seg.ts\n');
});

t.test('references of a manifest; templates and times', async (t) => {
  const mpd = (base: string, media: string, time: string): string =>
    `<MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><BaseURL>${base}</BaseURL><Period><AdaptationSet>` +
    `<SegmentTemplate media="${media}" initialization='init.mp4'/></AdaptationSet></Period>` +
    `<UTCTiming schemeIdUri="urn:mpeg:dash:utc:http-iso:2014" value="${time}"/></MPD>`;
  const rewritten = (text: string): string =>
    rewriteDocument('dash', text, {
      asked: 'http://o.example/live/x.mpd',
      url: 'http://o.example/live/x.mpd',
      prefix: '/live/',
      localUrl,
    });
  const $ = 'seg-$Number%05d$.m4s';
  const own = mpd('v/', $, 'https://time.example/now');
  t.equal(rewritten(own), own);
  t.equal(
    rewritten(mpd('http://o.example/live/v/', $, 'http://o.example/live/time')),
    mpd('/live/v/', $, '/live/time'),
    'what is relative stays below its base',
  );
  const away = mpd('http://cdn.example/v/', $, 'http://time.example/');
  t.equal(rewritten(away), away);
  t.equal(
    rewritten(mpd('v/', `http://o.example/live/deep/${$}`, 'http://time.example/')),
    mpd('v/', `/deep/${$}`, 'http://time.example/'),
  );
});

t.test('what cannot be read is told apart', async (t) => {
  for (const [kind, text] of [
    ['hls', 'no playlist\n#EXT-X-MAP:URI="'],
    ['dash', '<MPD><Period>'],
  ] as const) {
    try {
      rewriteDocument(kind, text, { asked: ASKED, url: ASKED, prefix: '/live/', localUrl });
      t.fail(kind);
    } catch (error) {
      t.ok(isUnreadable(error), kind);
    }
  }
  t.notOk(isUnreadable(new RangeError()));
});
