import { Parser } from 'm3u8-parser';
import t from 'tap';
import { SluiceError } from '../../daemon/base/errors.js';
import { DEFAULT_LIMITS } from '../../daemon/protocols/hls/lines.js';
import { parsePlaylist } from '../../daemon/protocols/hls/parse.js';
import type { MasterPlaylist, MediaPlaylist, Playlist } from '../../daemon/protocols/hls/playlist.js';
import { writeMasterPlaylist } from '../../daemon/protocols/hls/write.js';
import { Random } from '../lab/lib/random.js';

const BASE = 'http://origin.example/live/news/high.m3u8?token=1';
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const parse = (text: string, base = BASE): Playlist => parsePlaylist(bytes(text), base);

function media(...lines: string[]): MediaPlaylist {
  const playlist = parse(['#EXTM3U', ...lines].join('\n'));
  if (playlist.kind !== 'media') throw new Error('expected a media playlist');
  return playlist;
}

function master(...lines: string[]): MasterPlaylist {
  const playlist = parse(['#EXTM3U', ...lines].join('\n'));
  if (playlist.kind !== 'master') throw new Error('expected a master playlist');
  return playlist;
}

const LIVE = [
  '#EXT-X-VERSION:3',
  '#EXT-X-TARGETDURATION:4',
  '#EXT-X-MEDIA-SEQUENCE:2680',
  '#EXT-X-DISCONTINUITY-SEQUENCE:7',
  '#EXTINF:3.96,first',
  'seg2680.ts',
  '#EXTINF:4,',
  '/abs/seg2681.ts?x=1',
  '#EXT-X-DISCONTINUITY',
  '#EXTINF:2.0',
  'http://other.example:8080/seg2682.ts#part',
  '#EXT-X-GAP',
  '#EXTINF:4.0,',
  '../seg2683.ts',
];

const FULL_MEDIA = [
  '#EXTM3U',
  '#EXT-X-INDEPENDENT-SEGMENTS',
  '#EXT-X-PLAYLIST-TYPE:EVENT',
  ...LIVE,
  '#EXT-X-ENDLIST',
  '',
].join('\n');

const FULL_MASTER = [
  '#EXTM3U',
  '#EXT-X-VERSION:4',
  '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="own",NAME="a",URI="audio.m3u8"',
  '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="muxed",NAME="a",DEFAULT=YES',
  '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="muxed",NAME="b",URI="b.m3u8"',
  '#EXT-X-STREAM-INF:BANDWIDTH=2000000,AVERAGE-BANDWIDTH=1500000,RESOLUTION=1280x720,CODECS="avc1.64001f,mp4a.40.2",AUDIO="muxed"',
  'high/index.m3u8',
  '#EXT-X-STREAM-INF:BANDWIDTH=500000,AUDIO="own"',
  'low/index.m3u8',
  '#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=100,URI="i.m3u8"',
].join('\n');

t.test('a live media playlist, tag by tag', async (t) => {
  const playlist = media(...LIVE);
  t.match(playlist, {
    version: 3,
    targetDurationMs: 4000,
    mediaSequence: 2680,
    discontinuitySequence: 7,
    type: null,
    ended: false,
  });
  t.strictSame(
    playlist.segments.map((s) => [s.sequence, s.url, s.durationMs, s.discontinuity, s.discontinuitySequence, s.gap]),
    [
      [2680, 'http://origin.example/live/news/seg2680.ts', 3960, false, 7, false],
      [2681, 'http://origin.example/abs/seg2681.ts?x=1', 4000, false, 7, false],
      [2682, 'http://other.example:8080/seg2682.ts', 2000, true, 8, false],
      [2683, 'http://origin.example/live/seg2683.ts', 4000, false, 8, true],
    ],
  );
});

t.test('EVENT, VOD and ENDLIST', async (t) => {
  t.match(media('#EXT-X-TARGETDURATION:2', '#EXT-X-PLAYLIST-TYPE:EVENT'), {
    type: 'EVENT',
    ended: false,
    segments: [],
  });
  t.match(media('#EXT-X-TARGETDURATION:2', '#EXT-X-PLAYLIST-TYPE:VOD', '#EXT-X-ENDLIST'), { type: 'VOD', ended: true });
});

t.test('byte ranges go on where the one before ended', async (t) => {
  const head = ['#EXT-X-TARGETDURATION:2', '#EXT-X-BYTERANGE:100@20', '#EXTINF:2,', 'a.ts'];
  t.strictSame(
    media(...head, '#EXTINF:2,', '#EXT-X-BYTERANGE:50', 'a.ts', '#EXTINF:2,', 'b.ts').segments.map((s) => s.byteRange),
    [{ length: 100, offset: 20 }, { length: 50, offset: 120 }, null],
  );
  t.throws(() => media(...head, '#EXTINF:2,', '#EXT-X-BYTERANGE:50', 'b.ts'), {
    code: 'PLAYLIST_INVALID',
    details: { line: 7 },
  });
});

t.test('keys and maps hold until the next of their kind', async (t) => {
  const { segments } = media(
    '#EXT-X-TARGETDURATION:2',
    '#EXTINF:2,',
    '0.ts',
    '#EXT-X-KEY:METHOD=AES-128,URI="key,with=comma",IV=0x0',
    '#EXTINF:2,',
    '1.ts',
    '#EXTINF:2,',
    '2.ts',
    '#EXT-X-KEY:METHOD=NONE',
    '#EXT-X-MAP:URI="init.mp4",BYTERANGE="720@0"',
    '#EXTINF:2,',
    '3.ts',
  );
  t.strictSame(
    segments.map((s) => [s.keys.map(({ method, url, iv }) => [method, url, iv]), s.map]),
    [
      [[], null],
      [[['AES-128', 'http://origin.example/live/news/key,with=comma', '0'.repeat(32)]], null],
      [[['AES-128', 'http://origin.example/live/news/key,with=comma', '0'.repeat(32)]], null],
      [[], { url: 'http://origin.example/live/news/init.mp4', byteRange: { length: 720, offset: 0 } }],
    ],
  );
});

t.test('what is forgiven', async (t) => {
  const playlist = parse(
    '\ufeff#EXTM3U  \r\n\r\n# a comment\r\n#EXT-X-TARGETDURATION: 2.002 \r\n#EXT-X-NEW-TAG:1\r\n#EXTINF:1.5\r\n  seg 1.ts  \r\n',
  );
  t.match(playlist, {
    kind: 'media',
    version: 1,
    targetDurationMs: 3000,
    segments: [{ durationMs: 1500, url: 'http://origin.example/live/news/seg%201.ts' }],
  });
  t.equal(media('#EXT-X-TARGETDURATION:0').targetDurationMs, 1000, 'no refresh without a pause');
});

t.test('master playlist', async (t) => {
  t.match(parse(FULL_MASTER), {
    kind: 'master',
    version: 4,
    variants: [
      {
        url: 'http://origin.example/live/news/high/index.m3u8',
        bandwidth: 2_000_000,
        averageBandwidth: 1_500_000,
        resolution: { width: 1280, height: 720 },
        codecs: 'avc1.64001f,mp4a.40.2',
        separateAudio: false,
      },
      { bandwidth: 500_000, averageBandwidth: null, resolution: null, codecs: null, separateAudio: true },
    ],
  });
});

t.test('errors name the line, what was expected and what came', async (t) => {
  const cases: [name: string, text: string, line: number, message: RegExp][] = [
    ['empty', '', 1, /line 1: expected #EXTM3U, got nothing/],
    ['html', '<html><body>404</body></html>', 1, /expected #EXTM3U, got "<html>/],
    ['only the mark', '#EXTM3U', 0, /expected EXT-X-TARGETDURATION/],
    [
      'no duration',
      '#EXTM3U\n#EXT-X-TARGETDURATION:2\na.ts',
      3,
      /line 3: expected EXTINF before the URI of a segment .*got "a\.ts"/,
    ],
    [
      'wrong duration',
      '#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:two,\na.ts',
      3,
      /line 3: expected a duration of 0 to 86400 seconds in EXTINF, got "two"/,
    ],
    ['negative duration', '#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:-1,\na.ts', 3, /got "-1"/],
    ['wrong target', '#EXTM3U\n#EXT-X-TARGETDURATION:x', 2, /EXT-X-TARGETDURATION, got "x"/],
    [
      'wrong sequence',
      '#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:1.5',
      2,
      /a decimal integer in EXT-X-MEDIA-SEQUENCE, got "1\.5"/,
    ],
    ['huge sequence', '#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:99999999999999999999', 2, /a decimal integer/],
    [
      'late sequence',
      '#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\na.ts\n#EXT-X-MEDIA-SEQUENCE:5',
      5,
      /before the first segment/,
    ],
    ['wrong type', '#EXTM3U\n#EXT-X-PLAYLIST-TYPE:LIVE\n#EXT-X-TARGETDURATION:2', 2, /expected EVENT or VOD/],
    ['key without method', '#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-KEY:URI="k"', 3, /expected METHOD in EXT-X-KEY/],
    [
      'broken attributes',
      '#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,,"\nx.m3u8',
      2,
      /expected NAME=value in EXT-X-STREAM-INF/,
    ],
    ['no bandwidth', '#EXTM3U\n#EXT-X-STREAM-INF:CODECS="x"\nx.m3u8', 2, /expected BANDWIDTH/],
    ['variant without URI', '#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1', 2, /expected a URI in the line after/],
    ['both kinds', '#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nx.m3u8\n#EXTINF:2,\na.ts', 4, /not both/],
    [
      'range of nothing',
      '#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-BYTERANGE:0@0\n#EXTINF:2,\na.ts',
      3,
      /a length above 0/,
    ],
    ['bad URI', '#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nhttp://[::\n', 4, /expected a URI/],
  ];
  for (const [name, text, line, message] of cases) {
    t.throws(() => parse(text), { code: 'PLAYLIST_INVALID', details: { line }, message }, name);
  }
});

t.test('limits', async (t) => {
  const many = [
    '#EXTM3U',
    '#EXT-X-TARGETDURATION:1',
    ...Array.from({ length: 50 }, (_, n) => `#EXTINF:1,\n${n}.ts`),
  ].join('\n');
  const limits: [string, Partial<typeof DEFAULT_LIMITS>][] = [
    ['bytes', { maxBytes: 100 }],
    ['lines', { maxLines: 20 }],
    ['line', { maxLineLength: 15 }],
    ['entries', { maxEntries: 49 }],
  ];
  for (const [name, limit] of limits) {
    t.throws(
      () => parsePlaylist(bytes(many), BASE, { ...DEFAULT_LIMITS, ...limit }),
      { code: 'PLAYLIST_INVALID', message: /at most/ },
      name,
    );
  }
  t.equal(
    (parsePlaylist(bytes(many), BASE, { ...DEFAULT_LIMITS, maxEntries: 50 }) as MediaPlaylist).segments.length,
    50,
  );
});

function survives(body: Uint8Array): 'read' | 'refused' {
  try {
    parsePlaylist(body, BASE);
    return 'read';
  } catch (error) {
    if (error instanceof SluiceError && error.code === 'PLAYLIST_INVALID') return 'refused';
    throw error;
  }
}

t.test('truncation at every length, and every byte changed', async (t) => {
  for (const text of [FULL_MEDIA, FULL_MASTER]) {
    const whole = bytes(text);
    const seen = new Set<string>();
    for (let length = 0; length <= whole.length; length++) seen.add(survives(whole.subarray(0, length)));
    for (let at = 0; at < whole.length; at++) {
      for (const value of [0x00, 0x22, 0x2c, 0x3d, 0x0a, 0xff, 0x2d]) {
        const changed = whole.slice();
        changed[at] = value;
        seen.add(survives(changed));
      }
    }
    t.strictSame([...seen].sort(), ['read', 'refused']);
  }
});

t.test('random bytes and random tags are read or refused', async (t) => {
  const random = new Random(0x5eed);
  const words: [string, ...string[]] = [
    '#EXTM3U',
    '#EXTINF:',
    '#EXT-X-KEY:',
    '#EXT-X-BYTERANGE:',
    '#EXT-X-MAP:',
    '#EXT-X-STREAM-INF:',
    '#EXT-X-MEDIA:',
    '#EXT-X-PART:',
    '#EXT-X-DEFINE:',
    '#EXT-X-DATERANGE:',
    'NAME="a",VALUE="b"',
    '{$a}',
    '\n',
    '\r',
    ',',
    '=',
    '"',
    '@',
    '1',
    '.',
    '-',
    'URI',
    'a.ts',
    'http://',
    '#EXT-X-TARGETDURATION:2\n',
    'METHOD=',
    '9'.repeat(25),
    '\u0000',
    '\ud800',
    '[',
    ':',
  ];
  for (let round = 0; round < 3000; round++) {
    const garbage = random.bytes(random.below(200));
    survives(garbage);
    survives(bytes(`#EXTM3U\n${Array.from({ length: random.below(40) }, () => random.pick(words)).join('')}`));
    survives(Uint8Array.from([...bytes('#EXTM3U\n'), ...garbage]));
  }
  t.pass('nothing but PLAYLIST_INVALID was thrown');
});

t.test('m3u8-parser reads the same', async (t) => {
  const parser = new Parser();
  parser.push(FULL_MEDIA);
  parser.end();
  const { manifest } = parser;
  const ours = parse(FULL_MEDIA) as MediaPlaylist;
  t.equal(ours.targetDurationMs, manifest.targetDuration * 1000);
  t.equal(ours.mediaSequence, manifest.mediaSequence);
  t.equal(ours.ended, manifest.endList);
  t.equal(ours.type, manifest.playlistType);
  t.strictSame(
    ours.segments.map((s) => [s.url, s.durationMs, s.discontinuity, s.discontinuitySequence]),
    manifest.segments.map((s) => {
      const url = new URL(s.uri, BASE);
      url.hash = '';
      return [url.href, s.duration * 1000, s.discontinuity === true, s.timeline];
    }),
  );
});

t.test('m3u8-parser reads our master playlist', async (t) => {
  const text = writeMasterPlaylist([
    {
      uri: 'high/index.m3u8',
      bandwidth: 1_234_567.4,
      averageBandwidth: 1_000_000,
      resolution: { width: 640, height: 360 },
      codecs: 'avc1.64001f,mp4a.40.2',
    },
    { uri: 'low/index.m3u8', bandwidth: 0, averageBandwidth: null, resolution: null, codecs: null },
  ]);
  const parser = new Parser();
  parser.push(text);
  parser.end();
  t.strictSame(
    parser.manifest.playlists.map(({ uri, attributes }) => [
      uri,
      attributes.BANDWIDTH,
      attributes.RESOLUTION,
      attributes.CODECS,
    ]),
    [
      ['high/index.m3u8', 1_234_567, { width: 640, height: 360 }, 'avc1.64001f,mp4a.40.2'],
      ['low/index.m3u8', 1, undefined, undefined],
    ],
  );
  t.match(master(...text.split('\n').slice(1)), { variants: [{ bandwidth: 1_234_567 }, { bandwidth: 1 }] });
});
