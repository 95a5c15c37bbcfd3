import { Parser } from 'm3u8-parser';
import t from 'tap';
import { SluiceError } from '../../daemon/base/errors.js';
import { type HlsRole, rewriteHls } from '../../daemon/protocols/hls/rewrite.js';
import { Random } from '../lab/lib/random.js';

const DIRECTORY = 'http://origin.example/live/';
const BASE = `${DIRECTORY}high.m3u8?token=secret`;

/** `<ROLE URI>` stands for a reference. */
const MARK = /<([a-z-]+) ([^>]*)>/g;

/** What players are told instead of a reference. */
const proxied = (role: string, url: string): string => `/p/${role}?u=${encodeURIComponent(url)}`;

const before = (template: string): string => template.replace(MARK, (_, _role: string, uri: string) => uri);

const after = (template: string): string =>
  template.replace(MARK, (_, role: string, uri: string) => proxied(role, new URL(uri, BASE).href));

const MULTIVARIANT = [
  '\ufeff#EXTM3U  ',
  '#EXT-X-VERSION:11',
  '',
  '## a comment with "quotes", URI="nothing.m3u8"',
  '#EXT-X-UNKNOWN:URI="unknown.m3u8",A=1',
  '#EXT-X-CONTENT-STEERING:SERVER-URI="<steering /steer?a=1>",PATHWAY-ID="cdn-a"',
  '#EXT-X-SESSION-DATA:DATA-ID="x",URI="<session-data data.json>"',
  '#EXT-X-SESSION-DATA:DATA-ID="y",VALUE="URI=no.json"',
  '#EXT-X-SESSION-KEY:METHOD=SAMPLE-AES,URI="skd://drm/1",KEYFORMAT="com.apple.streamingkeydelivery"',
  '#EXT-X-SESSION-KEY:METHOD=AES-128,URI="<session-key https://keys.example/k?a,b=1>"',
  '#EXT-X-MEDIA:TYPE=AUDIO , GROUP-ID="a",NAME="x, URI=y",URI = "<rendition a/en.m3u8>" ,LANGUAGE="en",X-Own=1',
  '#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID="c",NAME="cc",INSTREAM-ID="CC1"',
  '#EXT-X-STREAM-INF:BANDWIDTH=1000,CODECS="avc1.64001f,mp4a.40.2",AUDIO="a"',
  '# between the tag and its URI',
  '  <variant v/high.m3u8>  ',
  '#EXT-X-STREAM-INF:BANDWIDTH=500',
  '<variant http://cdn.example/low.m3u8?x=1>',
  '#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=100,URI="<iframe i.m3u8>"',
];

const MEDIA = [
  '#EXTM3U',
  '#EXT-X-TARGETDURATION:4',
  '#EXT-X-PART-INF:PART-TARGET=0.5',
  '#EXT-X-MEDIA-SEQUENCE:7',
  '#EXT-X-KEY:METHOD=AES-128,URI="<key ../keys/1.bin>",IV=0x000102030405060708090a0b0c0d0e0f',
  '#EXT-X-KEY:METHOD=SAMPLE-AES,URI="data:text/plain;base64,AAAA",KEYFORMAT="urn:uuid:edef8ba9"',
  '#EXT-X-MAP:URI="<map init.mp4>",BYTERANGE="720@0"',
  '#EXT-X-DATERANGE:ID="ad",CLASS="com.apple.hls.interstitial",START-DATE="2024-01-01T00:00:00Z",X-ASSET-URI="<asset https://ads.example/ad.m3u8>",X-RESUME-OFFSET=0',
  '#EXT-X-DATERANGE:ID="ad2",X-ASSET-LIST="<asset-list /ads.json>",CLASS="com.apple.hls.interstitial",START-DATE="2024-01-01T00:00:00Z"',
  '#EXT-X-DATERANGE:ID="own",CLASS="example",X-ASSET-URI="not-known.m3u8",START-DATE="2024-01-01T00:00:00Z"',
  '#EXT-X-PROGRAM-DATE-TIME:2024-01-01T00:00:00.000Z',
  '#EXT-X-BYTERANGE:500@0',
  '#EXTINF:4.000,title, with="quotes"',
  '<segment seg7.ts?a=b"c>',
  '#EXTINF:4,',
  '<segment //other.example/seg8.ts>',
  '#EXT-X-PART:DURATION=0.5,URI="<part p9.0.mp4>",INDEPENDENT=YES',
  '#EXT-X-PART:DURATION=0.5,INDEPENDENT=YES,URI="<part p9.1.mp4>"',
  '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="<preload-hint p9.2.mp4>"',
  '#EXT-X-RENDITION-REPORT:URI="<rendition-report ../low.m3u8>",LAST-MSN=8,LAST-PART=1',
];

t.test('every reference is replaced where it stands, and nothing else', async (t) => {
  for (const template of [MULTIVARIANT, MEDIA])
    for (const end of ['\n', '\r\n', ' \r\n', '\n\n'])
      for (const last of ['', end]) {
        const whole = template.join(end) + last;
        t.equal(
          rewriteHls(before(whole), BASE, (url, role) => proxied(role, url)),
          after(whole),
        );
      }
});

t.test('null leaves as written', async (t) => {
  for (const template of [MULTIVARIANT, MEDIA]) {
    const text = before(template.join('\r\n'));
    t.equal(
      rewriteHls(text, BASE, () => null),
      text,
    );
    t.equal(
      rewriteHls(text, BASE, (_url, _role, written) => written),
      text,
    );
  }
});

t.test('variables are replaced before the mapping is asked', async (t) => {
  const text = [
    '#EXTM3U',
    '#EXT-X-DEFINE:NAME="host",VALUE="https://cdn.example"',
    '#EXT-X-DEFINE:QUERYPARAM="token"',
    '#EXT-X-DEFINE:IMPORT="user"',
    '#EXT-X-DEFINE:NAME="odd",VALUE="{$unclosed"',
    '#EXT-X-MAP:URI="{$host}/init.mp4?u={$user}"',
    '#EXTINF:4,{$host}',
    '{$host}/a.mp4?t={$token}',
    '#EXTINF:4,',
    'b.mp4?{$odd}',
  ];
  const asked: [string, HlsRole][] = [];
  const imports = new Map([['user', 'me']]);
  const result = rewriteHls(
    text.join('\n'),
    BASE,
    (url, role) => {
      asked.push([url, role]);
      return role === 'segment' ? url : null;
    },
    { imports },
  );
  t.strictSame(asked, [
    ['https://cdn.example/init.mp4?u=me', 'map'],
    ['https://cdn.example/a.mp4?t=secret', 'segment'],
    [`${DIRECTORY}b.mp4?{$unclosed`, 'segment'],
  ]);
  const expected = [...text];
  expected[7] = 'https://cdn.example/a.mp4?t=secret';
  expected[9] = `${DIRECTORY}b.mp4?%7B$unclosed`;
  t.equal(result, expected.join('\n'));
});

t.test('a URI that lacks its quotes gets them', async (t) => {
  t.equal(
    rewriteHls('#EXTM3U\n#EXT-X-MAP:URI=init.mp4 ,BYTERANGE="1@0"', BASE, () => '/a,b'),
    '#EXTM3U\n#EXT-X-MAP:URI="/a,b" ,BYTERANGE="1@0"',
  );
});

t.test('what cannot stand in the place of a reference is refused', async (t) => {
  const text = '#EXTM3U\n#EXT-X-MAP:URI="init.mp4"\n#EXTINF:1,\na.ts';
  for (const wrong of ['', 'a b', 'a"b', 'a\nb', '#a'])
    t.throws(() => rewriteHls(text, BASE, () => wrong), { name: 'RangeError', message: /line 2: expected a URI/ });
});

t.test('errors name the line', async (t) => {
  const cases: [string, number, RegExp][] = [
    ['<html>', 1, /expected #EXTM3U/],
    ['#EXTM3U\nhttp://[', 2, /expected a URI/],
    ['#EXTM3U\n\n#EXT-X-MAP:URI="a', 3, /NAME=value in EXT-X-MAP/],
    ['#EXTM3U\n#EXT-X-DEFINE:IMPORT="u"\n{$u}', 2, /a value for the IMPORT/],
    [`#EXTM3U\n${'x'.repeat(20_000)}`, 2, /at most 16384 characters/],
    [`#EXTM3U\n${'\n'.repeat(200_001)}`, 200_001, /at most 200000 lines/],
    [`#EXTM3U\n${'x'.repeat(5 * 2 ** 20)}`, 0, /at most 4194304 bytes/],
  ];
  for (const [text, line, message] of cases)
    t.throws(() => rewriteHls(text, BASE, () => null), { code: 'PLAYLIST_INVALID', details: { line }, message });
});

/** Maps every reference below a directory to what is relative to it; others stay. */
const relative = (url: string): string => (url.startsWith(DIRECTORY) ? url.slice(DIRECTORY.length) : url);

/** A playlist out of lines of a template in any order, with line ends, white space and things unknown between them. */
function shuffled(random: Random, template: readonly string[]): string {
  const [, first = '', ...others] = template;
  const noise = ['', '   ', '#', '# \u00e4\u2028"', '#EXT-X-NEW:URI="x"', '#EXT-X-NEW', '\t#EXTINF:1,x'] as const;
  let text = `${random.pick(['', '', '\ufeff'])}#EXTM3U`;
  for (let count = random.below(30); count > 0; count--) {
    const line = random.below(6) === 0 ? random.pick([...noise]) : random.pick([first, ...others]);
    text += random.pick(['\n', '\r\n']) + random.pick([' ', '', '']) + line + random.pick(['', '', '\t']);
  }
  return text + random.pick(['', '\n', '\r\n', '\n\n']);
}

t.test('random playlists: replaced exactly, and the identity changes nothing', async (t) => {
  const random = new Random(0xdadaf00d);
  for (let round = 0; round < 2000; round++) {
    // Every URI of these is relative to the directory, or absolute.
    const template = shuffled(random, round % 2 === 0 ? MULTIVARIANT : MEDIA).replace(MARK, (_, role: string) =>
      random.pick([`<${role} https://cdn.example/${random.below(99)}>`, `<${role} ${random.below(99)}/9.x?a=1>`]),
    );
    const text = before(template);
    if (rewriteHls(text, BASE, relative) !== text) t.equal(rewriteHls(text, BASE, relative), text, 'identity');
    const rewritten = rewriteHls(text, BASE, (url) => proxied('any', url));
    const expected = after(template.replace(MARK, (_, _role, uri: string) => `<any ${uri}>`));
    if (rewritten !== expected) t.equal(rewritten, expected);
  }
  t.pass('2000 playlists');
});

/** What m3u8-parser makes of a playlist, references replaced by `map`. */
function oracle(text: string, map: (uri: string) => string): unknown {
  const parser = new Parser();
  parser.push(text);
  parser.end();
  return JSON.parse(JSON.stringify(parser.manifest), (name, value: unknown) =>
    typeof value === 'string' && /^(uri|serverUri|xAsset(Uri|List))$/i.test(name) ? map(value) : value,
  );
}

t.test('m3u8-parser reads the same before and after', async (t) => {
  const random = new Random(0xbeef);
  const known = (uri: string): string =>
    /^(skd|data):/.test(uri) || uri === 'not-known.m3u8' ? uri : proxied('any', new URL(uri, BASE).href);
  let compared = 0;
  for (const template of [MULTIVARIANT, MEDIA]) {
    const text = before(template.join('\n').replace('\ufeff', ''));
    const rewritten = rewriteHls(text, BASE, (url) => proxied('any', url));
    t.strictSame(
      oracle(rewritten, (uri) => uri),
      oracle(text, known),
    );
  }
  for (let round = 0; round < 300; round++) {
    const text = before(shuffled(random, round % 2 === 0 ? MULTIVARIANT : MEDIA).replace('\ufeff', ''));
    const rewritten = rewriteHls(text, BASE, (url) => proxied('any', url));
    const [one, other] = [oracle(rewritten, (uri) => uri), oracle(text, known)];
    if (JSON.stringify(one) !== JSON.stringify(other)) t.strictSame(one, other, text);
    compared += 1;
  }
  t.equal(compared, 300);
});

t.test('random bytes are rewritten or refused', async (t) => {
  const random = new Random(0x5eed5);
  const words: [string, ...string[]] = [
    '#EXT-X-MAP:',
    '#EXT-X-DEFINE:',
    'NAME="a",VALUE="',
    'URI="',
    '"',
    ',',
    '=',
    '\n',
    '\r',
    '{$a}',
    'x',
    '#',
    '[',
  ];
  for (let round = 0; round < 5000; round++) {
    const text = `#EXTM3U\n${Array.from({ length: random.below(40) }, () => random.pick(words)).join('')}`;
    try {
      rewriteHls(text, BASE, () => '/p');
    } catch (error) {
      if (!(error instanceof SluiceError) || error.code !== 'PLAYLIST_INVALID') throw error;
    }
  }
  t.pass('nothing but PLAYLIST_INVALID was thrown');
});
