import { Parser } from 'm3u8-parser';
import t from 'tap';
import { DEFAULT_LIMITS } from '../../daemon/protocols/hls/lines.js';
import { parsePlaylist } from '../../daemon/protocols/hls/parse.js';
import type { MasterPlaylist, MediaPlaylist, Playlist } from '../../daemon/protocols/hls/playlist.js';

const DIRECTORY = 'http://origin.example/live/';
const BASE = `${DIRECTORY}high.m3u8?token=t%20k&empty=`;

function parse(lines: readonly string[], imports?: ReadonlyMap<string, string>): Playlist {
  return parsePlaylist(new TextEncoder().encode(['#EXTM3U', ...lines].join('\n')), BASE, DEFAULT_LIMITS, imports);
}

function media(...lines: string[]): MediaPlaylist {
  const playlist = parse(lines);
  if (playlist.kind !== 'media') throw new Error('expected a media playlist');
  return playlist;
}

function master(...lines: string[]): MasterPlaylist {
  const playlist = parse(lines);
  if (playlist.kind !== 'master') throw new Error('expected a master playlist');
  return playlist;
}

const LOW_LATENCY = [
  '#EXT-X-TARGETDURATION:4',
  '#EXT-X-VERSION:9',
  '#EXT-X-PART-INF:PART-TARGET=0.5',
  '#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=24.0,CAN-SKIP-DATERANGES=YES,PART-HOLD-BACK=1.0',
  '#EXT-X-MEDIA-SEQUENCE:266',
  '#EXT-X-MAP:URI="init.mp4",BYTERANGE="720@8"',
  '#EXT-X-PROGRAM-DATE-TIME:2019-02-14T02:13:36.106Z',
  '#EXTINF:4.00008,',
  'file266.mp4',
  '#EXT-X-PART:DURATION=0.5,URI="file267.mp4",BYTERANGE="20000@0",INDEPENDENT=YES',
  '#EXT-X-PART:DURATION=0.5,URI="file267.mp4",BYTERANGE="23000"',
  '#EXT-X-PART:DURATION=0.5,URI="gone.mp4",GAP=YES',
  '#EXTINF:4.00008,',
  'file267.mp4',
  '#EXT-X-PART:DURATION=0.5,URI="part268.0.mp4",INDEPENDENT=YES',
  '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="part268.1.mp4",BYTERANGE-START=100,BYTERANGE-LENGTH=50',
  '#EXT-X-PRELOAD-HINT:TYPE=MAP,URI="init2.mp4"',
  '#EXT-X-RENDITION-REPORT:URI="../low.m3u8",LAST-MSN=268,LAST-PART=1',
  '#EXT-X-RENDITION-REPORT:URI="mid.m3u8"',
];

t.test('a low-latency playlist, tag by tag', async (t) => {
  const playlist = media(...LOW_LATENCY);
  t.match(playlist, {
    partTargetMs: 500,
    serverControl: {
      canBlockReload: true,
      canSkipUntilMs: 24_000,
      canSkipDateRanges: true,
      holdBackMs: null,
      partHoldBackMs: 1000,
    },
    preloadHints: [
      { type: 'PART', url: `${DIRECTORY}part268.1.mp4`, offset: 100, length: 50 },
      { type: 'MAP', url: `${DIRECTORY}init2.mp4`, offset: 0, length: null },
    ],
    renditionReports: [
      { url: 'http://origin.example/low.m3u8', lastSequence: 268, lastPart: 1 },
      { url: `${DIRECTORY}mid.m3u8`, lastSequence: null, lastPart: null },
    ],
    skip: null,
  });
  t.match(playlist.segments[0], {
    programDateTimeMs: Date.parse('2019-02-14T02:13:36.106Z'),
    map: { url: `${DIRECTORY}init.mp4`, byteRange: { length: 720, offset: 8 } },
    parts: [],
  });
  t.strictSame(playlist.segments[1]?.parts, [
    {
      url: `${DIRECTORY}file267.mp4`,
      durationMs: 500,
      byteRange: { length: 20_000, offset: 0 },
      independent: true,
      gap: false,
    },
    {
      url: `${DIRECTORY}file267.mp4`,
      durationMs: 500,
      byteRange: { length: 23_000, offset: 20_000 },
      independent: false,
      gap: false,
    },
    { url: `${DIRECTORY}gone.mp4`, durationMs: 500, byteRange: null, independent: false, gap: true },
  ]);
  t.match(playlist.parts, [{ url: `${DIRECTORY}part268.0.mp4`, independent: true }]);
});

t.test('m3u8-parser reads the low-latency playlist the same', async (t) => {
  const parser = new Parser();
  parser.push(['#EXTM3U', ...LOW_LATENCY].join('\n'));
  parser.end();
  const { manifest } = parser;
  const ours = media(...LOW_LATENCY);
  const url = (uri: string): string => new URL(uri, BASE).href;
  t.equal(ours.partTargetMs, (manifest.partTargetDuration ?? 0) * 1000);
  t.strictSame(
    ours.segments.map((s) => s.parts.map((p) => [p.url, p.byteRange, p.independent, p.gap])),
    manifest.segments.map((s) =>
      (s.parts ?? []).map((p) => [url(p.uri), p.byterange ?? null, p.independent === true, p.gap === true]),
    ),
  );
  t.strictSame(
    ours.renditionReports.map((r) => [r.url, r.lastSequence]),
    manifest.renditionReports?.map((r) => [url(r.uri), r.lastMsn ?? null]),
  );
  t.strictSame(
    ours.preloadHints.map((h) => [h.type, h.url]),
    manifest.preloadSegment?.preloadHints.map((h) => [h.type, url(h.uri)]),
  );
});

t.test('a delta update: what is left out is counted', async (t) => {
  const playlist = media(
    '#EXT-X-TARGETDURATION:4',
    '#EXT-X-MEDIA-SEQUENCE:100',
    '#EXT-X-SKIP:SKIPPED-SEGMENTS=3,RECENTLY-REMOVED-DATERANGES="a\tb"',
    '#EXTINF:4,',
    'a.mp4',
  );
  t.strictSame(playlist.skip, { segments: 3, removedDateRanges: ['a', 'b'] });
  t.equal(playlist.segments[0]?.sequence, 103);
});

t.test('date ranges keep what is not known of them', async (t) => {
  const { dateRanges } = media(
    '#EXT-X-TARGETDURATION:4',
    '#EXT-X-DATERANGE:ID="ad",CLASS="com.apple.hls.interstitial",START-DATE="2024-01-01T00:00:00.5+0130",DURATION=172800.5,X-ASSET-URI="ad.m3u8",X-Odd="1,2",SCTE35-OUT=0xFC00,END-ON-NEXT=YES',
    '#EXT-X-DATERANGE:ID="ad",END-DATE="2024-01-03T00:00:01Z",PLANNED-DURATION=5',
  );
  t.match(dateRanges[0], {
    id: 'ad',
    class: 'com.apple.hls.interstitial',
    startMs: Date.parse('2023-12-31T22:30:00.500Z'),
    endMs: null,
    durationMs: 172_800_500,
    endOnNext: true,
  });
  t.equal(dateRanges[0]?.attributes.get('X-Odd'), '1,2');
  t.equal(dateRanges[0]?.attributes.get('SCTE35-OUT'), '0xFC00');
  t.match(dateRanges[1], { startMs: null, endMs: Date.parse('2024-01-03T00:00:01Z'), plannedDurationMs: 5000 });
});

t.test('keys: one for each format, and vectors', async (t) => {
  const { segments } = media(
    '#EXT-X-TARGETDURATION:4',
    '#EXT-X-KEY:METHOD=SAMPLE-AES,URI="skd://asset",KEYFORMAT="com.apple.streamingkeydelivery",KEYFORMATVERSIONS="1/2"',
    '#EXT-X-KEY:METHOD=SAMPLE-AES,URI="k1",IV=0X00FF',
    '#EXTINF:4,',
    'a.ts',
    '#EXT-X-KEY:METHOD=AES-128,URI="k2"',
    '#EXTINF:4,',
    'b.ts',
    '#EXT-X-KEY:METHOD=NONE',
    '#EXTINF:4,',
    'c.ts',
  );
  t.strictSame(
    segments.map(({ keys }) => keys.map(({ url, format, iv }) => [url, format, iv])),
    [
      [
        ['skd://asset', 'com.apple.streamingkeydelivery', null],
        [`${DIRECTORY}k1`, 'identity', `${'0'.repeat(28)}00ff`],
      ],
      [
        ['skd://asset', 'com.apple.streamingkeydelivery', null],
        [`${DIRECTORY}k2`, 'identity', null],
      ],
      [],
    ],
  );
});

t.test('a multivariant playlist, tag by tag', async (t) => {
  const playlist = master(
    '#EXT-X-INDEPENDENT-SEGMENTS',
    '#EXT-X-START:TIME-OFFSET=-12.5,PRECISE=YES',
    '#EXT-X-CONTENT-STEERING:SERVER-URI="/steer",PATHWAY-ID="a"',
    '#EXT-X-SESSION-DATA:DATA-ID="title",VALUE="News, late",LANGUAGE="en"',
    '#EXT-X-SESSION-DATA:DATA-ID="more",URI="more.json"',
    '#EXT-X-SESSION-KEY:METHOD=AES-128,URI="key"',
    '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="s",NAME="en",LANGUAGE="en",DEFAULT=YES,AUTOSELECT=YES,URI="en.m3u8"',
    '#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="t",NAME="de",FORCED=YES,URI="de.m3u8"',
    '#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID="c",NAME="cc",INSTREAM-ID="CC1"',
    '#EXT-X-STREAM-INF:BANDWIDTH=10,AUDIO="s",SUBTITLES="t",CLOSED-CAPTIONS=NONE,PATHWAY-ID="a"',
    'v.m3u8',
    '#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=5,URI="i.m3u8"',
  );
  t.match(playlist, {
    independentSegments: true,
    start: { offsetMs: -12_500, precise: true },
    steering: { serverUrl: 'http://origin.example/steer', pathwayId: 'a' },
    sessionData: [
      { id: 'title', value: 'News, late', url: null, language: 'en' },
      { id: 'more', value: null, url: `${DIRECTORY}more.json` },
    ],
    sessionKeys: [{ method: 'AES-128', url: `${DIRECTORY}key` }],
    renditions: [
      { type: 'AUDIO', groupId: 's', name: 'en', language: 'en', isDefault: true, url: `${DIRECTORY}en.m3u8` },
      { type: 'SUBTITLES', forced: true, isDefault: false, url: `${DIRECTORY}de.m3u8` },
      { type: 'CLOSED-CAPTIONS', url: null },
    ],
    variants: [
      {
        url: `${DIRECTORY}v.m3u8`,
        pathwayId: 'a',
        separateAudio: true,
        groups: { audio: 's', video: null, subtitles: 't', closedCaptions: 'NONE' },
      },
    ],
    iFrameVariants: [{ url: `${DIRECTORY}i.m3u8`, bandwidth: 5, pathwayId: '.' }],
  });
});

t.test('variables', async (t) => {
  const lines = [
    '#EXT-X-TARGETDURATION:4',
    '#EXT-X-DEFINE:NAME="host",VALUE="http://cdn.example"',
    '#EXT-X-DEFINE:NAME="path",VALUE="{$host}/v"',
    '#EXT-X-DEFINE:QUERYPARAM="token"',
    '#EXT-X-DEFINE:IMPORT="user"',
    '#EXT-X-MAP:URI="{$path}/init.mp4?t={$token}"',
    '#EXTINF:4,',
    '{$path}/a.mp4?u={$user}',
  ];
  const playlist = parse(lines, new Map([['user', 'me']])) as MediaPlaylist;
  t.strictSame(
    [...playlist.variables],
    [
      ['host', 'http://cdn.example'],
      ['path', 'http://cdn.example/v'],
      ['token', 't k'],
      ['user', 'me'],
    ],
  );
  t.match(playlist.segments[0], {
    url: 'http://cdn.example/v/a.mp4?u=me',
    map: { url: 'http://cdn.example/v/init.mp4?t=t%20k' },
  });
  t.match(media('#EXT-X-TARGETDURATION:4', '#EXTINF:4,', 'a{$b}.ts').segments[0], {
    url: `${DIRECTORY}a%7B$b%7D.ts`,
  });
});

t.test('errors of the wider set name the line', async (t) => {
  const head = '#EXT-X-TARGETDURATION:4';
  const define = '#EXT-X-DEFINE:NAME="a",VALUE="1"';
  const cases: [name: string, lines: string[], line: number, message: RegExp][] = [
    ['part without duration', [head, '#EXT-X-PART:URI="a"'], 3, /expected DURATION in EXT-X-PART/],
    ['part without URI', [head, '#EXT-X-PART:DURATION=1'], 3, /expected URI in EXT-X-PART/],
    ['first part without offset', [head, '#EXT-X-PART:DURATION=1,URI="a",BYTERANGE="5"'], 3, /an offset in the first/],
    ['skip without number', [head, '#EXT-X-SKIP:X="1"'], 3, /SKIPPED-SEGMENTS/],
    ['late skip', [head, '#EXTINF:1,', 'a', '#EXT-X-SKIP:SKIPPED-SEGMENTS=1'], 5, /before the first segment/],
    ['part target', [head, '#EXT-X-PART-INF:PART-TARGET=x'], 3, /a duration .* in EXT-X-PART-INF, got "x"/],
    ['date', [head, '#EXT-X-PROGRAM-DATE-TIME:yesterday'], 3, /ISO 8601.*got "yesterday"/],
    ['date range without id', [head, '#EXT-X-DATERANGE:CLASS="a"'], 3, /expected ID/],
    ['vector', [head, '#EXT-X-KEY:METHOD=AES-128,URI="k",IV=12'], 3, /hexadecimal digits for IV/],
    ['long vector', [head, `#EXT-X-KEY:METHOD=AES-128,URI="k",IV=0x${'1'.repeat(33)}`], 3, /at most 32/],
    ['key without URI', [head, '#EXT-X-KEY:METHOD=AES-128'], 3, /expected URI in EXT-X-KEY/],
    ['undeclared', [head, define, '#EXTINF:1,', '{$b}'], 5, /declared by an EXT-X-DEFINE above, got "\{\$b\}"/],
    ['declared twice', [head, define, define], 4, /declared once/],
    ['nothing declared', [head, '#EXT-X-DEFINE:VALUE="1"'], 3, /NAME, IMPORT or QUERYPARAM/],
    ['no such parameter', [head, '#EXT-X-DEFINE:QUERYPARAM="no"'], 3, /a value for the QUERYPARAM/],
    ['parameter without value', [head, '#EXT-X-DEFINE:QUERYPARAM="empty"'], 3, /a value for the QUERYPARAM/],
    ['import of nothing', [head, '#EXT-X-DEFINE:IMPORT="u"'], 3, /a value for the IMPORT/],
    ['start', [head, '#EXT-X-START:TIME-OFFSET=soon'], 3, /seconds for TIME-OFFSET/],
    ['steering', ['#EXT-X-CONTENT-STEERING:PATHWAY-ID="a"'], 2, /expected SERVER-URI/],
    ['session key', ['#EXT-X-SESSION-KEY:METHOD=NONE'], 2, /METHOD other than NONE/],
  ];
  for (const [name, lines, line, message] of cases)
    t.throws(() => parse(lines), { code: 'PLAYLIST_INVALID', details: { line }, message }, name);
});

t.test('variables that multiply each other are stopped', async (t) => {
  const lines = ['#EXT-X-TARGETDURATION:4', '#EXT-X-DEFINE:NAME="v0",VALUE="0123456789"'];
  for (let n = 1; n < 40; n++) lines.push(`#EXT-X-DEFINE:NAME="v${n}",VALUE="{$v${n - 1}}{$v${n - 1}}"`);
  t.throws(() => parse(lines), { code: 'PLAYLIST_INVALID', message: /at most 16384 characters/ });
  const wide = ['#EXT-X-TARGETDURATION:4', `#EXT-X-DEFINE:NAME="v",VALUE="${'x'.repeat(10_000)}"`];
  for (let n = 0; n < 1000; n++) wide.push('#EXTINF:1,', '{$v}');
  t.throws(() => parse(wide), { code: 'PLAYLIST_INVALID', message: /stand for at most/ });
});

t.test('lists are bounded', async (t) => {
  const lists = [
    '#EXT-X-PART:DURATION=1,URI="a"',
    '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="a"',
    '#EXT-X-RENDITION-REPORT:URI="a"',
    '#EXT-X-DATERANGE:ID="a"',
  ];
  const limits = { ...DEFAULT_LIMITS, maxEntries: 10 };
  for (const line of lists) {
    const text = (count: number): Uint8Array =>
      new TextEncoder().encode(['#EXTM3U', '#EXT-X-TARGETDURATION:4', ...Array(count).fill(line)].join('\n'));
    t.ok(parsePlaylist(text(10), BASE, limits));
    t.throws(() => parsePlaylist(text(11), BASE, limits), { message: /line 13: expected at most 10/ }, line);
  }
  const formats = Array.from({ length: 17 }, (_, n) => `#EXT-X-KEY:METHOD=SAMPLE-AES,URI="k",KEYFORMAT="f${n}"`);
  t.ok(media('#EXT-X-TARGETDURATION:4', ...formats.slice(1)));
  t.throws(() => media('#EXT-X-TARGETDURATION:4', ...formats), { message: /at most 16 values of KEYFORMAT/ });
});

t.test('long attribute lists are read in one pass', async (t) => {
  // Each is as long as a line may be; where white space or commas were looked at again and again, minutes would pass.
  const hostile = [
    `A=${' '.repeat(16_000)}"x`,
    `A="${'x'.repeat(16_000)}`,
    `${'A=1,'.repeat(4000)}=`,
    `A${' '.repeat(16_000)}x`,
  ];
  for (const value of hostile)
    for (const tag of ['EXT-X-MEDIA', 'EXT-X-PART']) {
      const lines = Array<string>(5).fill(`#${tag}:${value}`);
      t.throws(() => parse(lines), { code: 'PLAYLIST_INVALID', details: { line: 2 } });
    }
});
