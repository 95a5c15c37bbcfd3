import assert from 'node:assert/strict';
import { parsePlaylist } from '../../../daemon/protocols/hls/parse.js';
import type { MasterPlaylist, MediaPlaylist, Playlist } from '../../../daemon/protocols/hls/playlist.js';
import { rewriteHls } from '../../../daemon/protocols/hls/rewrite.js';
import { writeMasterPlaylist } from '../../../daemon/protocols/hls/write.js';
import { type FuzzTarget, textOf, unlessRefused } from '../lib/target.js';

const BASE = 'http://origin.example/live/index.m3u8?a=b';

export const target: FuzzTarget = {
  name: 'hls',
  tokens: [
    '#EXTM3U\n',
    '#EXTINF:4,\n',
    '#EXT-X-TARGETDURATION:4\n',
    '#EXT-X-MEDIA-SEQUENCE:',
    '#EXT-X-DISCONTINUITY\n',
    '#EXT-X-DISCONTINUITY-SEQUENCE:',
    '#EXT-X-BYTERANGE:10@',
    '#EXT-X-KEY:METHOD=AES-128,URI="k"\n',
    '#EXT-X-KEY:METHOD=NONE\n',
    '#EXT-X-MAP:URI="i.mp4",BYTERANGE="1@2"\n',
    '#EXT-X-GAP\n',
    '#EXT-X-DEFINE:NAME="v",VALUE="../x"\n',
    '#EXT-X-DEFINE:QUERYPARAM="a"\n',
    '{$v}',
    '#EXT-X-PART:DURATION=0.5,URI="p.mp4",BYTERANGE="5@"\n',
    '#EXT-X-SKIP:SKIPPED-SEGMENTS=',
    '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="q"\n',
    '#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00Z\n',
    '#EXT-X-DATERANGE:ID="a",CLASS="com.apple.hls.interstitial",X-ASSET-URI="x",START-DATE="2026-01-01T00:00:00Z"\n',
    '#EXT-X-ENDLIST\n',
    '#EXT-X-STREAM-INF:BANDWIDTH=1\n',
    '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="a",URI="a.m3u8"\n',
    'RESOLUTION=1x1,',
    'http://[::1]:99999/',
    '../../',
  ],
  check(document) {
    const playlist = read(document);
    if (playlist?.kind === 'media') checkMedia(playlist);
    if (playlist?.kind === 'master') checkMaster(playlist);
    checkRewriting(textOf(document));
    // RFC 8216 section 4.1: lines end with LF or CRLF.
    const text = Buffer.from(document).toString('latin1');
    assert.deepEqual(read(Buffer.from(text.replaceAll('\n', '\r\n'), 'latin1')), playlist);
  },
};

/** What nothing is put into stays as it is; every reference can be moved, and is asked for at its new place again. */
function checkRewriting(text: string): void {
  const asked: string[] = [];
  const untouched = unlessRefused(['PLAYLIST_INVALID'], () =>
    rewriteHls(text, BASE, (url) => {
      asked.push(url);
      return null;
    }),
  );
  if (untouched === null) return;
  assert.equal(untouched, text);
  const moved = rewriteHls(text, BASE, (url) => `http://edge.example/p?u=${encodeURIComponent(url)}`);
  const again: string[] = [];
  rewriteHls(moved, BASE, (url) => {
    again.push(decodeURIComponent(url.slice(url.indexOf('?u=') + 3)));
    return null;
  });
  assert.deepEqual(again, asked);
}

function read(document: Uint8Array): Playlist | null {
  return unlessRefused(['PLAYLIST_INVALID'], () => parsePlaylist(document, BASE));
}

function checkMedia(playlist: MediaPlaylist): void {
  // A delta update begins with segments that it leaves out.
  const first = playlist.segments[0]?.sequence ?? playlist.mediaSequence;
  assert.ok(first >= playlist.mediaSequence);
  for (const [at, segment] of playlist.segments.entries()) {
    assert.equal(segment.sequence, first + at);
    assert.ok(Number.isSafeInteger(segment.sequence) && Number.isSafeInteger(segment.discontinuitySequence));
    assert.ok(Number.isFinite(segment.durationMs) && segment.durationMs >= 0);
    assert.ok(URL.canParse(segment.url) && !segment.url.includes('#') && !/[\s\p{Cc}]/u.test(segment.url));
    if (segment.byteRange !== null) {
      const { offset, length } = segment.byteRange;
      assert.ok(offset >= 0 && length >= 0 && Number.isSafeInteger(offset + length));
    }
  }
}

function checkMaster(playlist: MasterPlaylist): void {
  const listed = playlist.variants.map(({ url, ...rest }) => ({ ...rest, uri: url }));
  const again = unlessRefused([], () => parsePlaylist(Buffer.from(writeMasterPlaylist(listed)), BASE));
  assert.equal(again?.kind, 'master');
  const essence = (one: Playlist | null): unknown =>
    one?.kind === 'master'
      ? one.variants.map(({ url, bandwidth, codecs, resolution }) => [url, bandwidth, codecs, resolution])
      : [];
  assert.deepEqual(essence(again), essence(playlist));
}
