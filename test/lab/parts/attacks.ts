import { Random } from '../lib/random.js';

/** One bad client: what it sends and what becomes of it. */
export interface Attack {
  readonly group: string;
  readonly name: string;
  /** Sent at once. */
  readonly send: string | Buffer;
  /** Sent after that, byte by byte. */
  readonly drip?: string;
  /** The client takes nothing of what is answered. */
  readonly deaf?: boolean;
  /** Statuses of all answers, then `closed` by the server or `open`, such as `400 closed`; no answer at all is `closed` alone. */
  readonly expected: RegExp;
}

/** The site that the attacks are on, and the answer that it has for everybody. */
export const GOOD_PATH = '/ok/hello';
/** What only an attack would have the origin asked for. */
export const FORBIDDEN = 'forbidden';

const HELD = /^(200 )+open$/;
const SERVED_LAST = /^200 closed$/;
const BAD = /^400 closed$/;

const get = (path: string, fields = 'Host: x', version = 'HTTP/1.1') => `GET ${path} ${version}\r\n${fields}\r\n\r\n`;
const good = (fields: string) => get(GOOD_PATH, `Host: x\r\n${fields}`);
const smuggled = get(`/ok/${FORBIDDEN}`);

type Shape = readonly [name: string, send: string | Buffer, expected: RegExp, more?: Pick<Attack, 'drip' | 'deaf'>];

/** Two readers of one connection shall never see other requests in it (RFC 9112 section 11.2): none of these gets a second answer. */
const SMUGGLING: readonly Shape[] = [
  ['length and chunks', `${good('Content-Length: 6\r\nTransfer-Encoding: chunked')}0\r\n\r\n${smuggled}`, BAD],
  ['chunks and length', `${good('Transfer-Encoding: chunked\r\nContent-Length: 6')}0\r\n\r\n${smuggled}`, BAD],
  ['two lengths', good('Content-Length: 0\r\nContent-Length: 5') + smuggled, BAD],
  ['two lengths in one field', good('Content-Length: 0, 5') + smuggled, BAD],
  ['length with a plus', good('Content-Length: +0') + smuggled, BAD],
  ['length with a minus', good('Content-Length: -0') + smuggled, BAD],
  ['length in hex', good('Content-Length: 0x0') + smuggled, BAD],
  ['length with a space inside', good('Content-Length: 1 0') + smuggled, BAD],
  ['length beyond 64 bits', good('Content-Length: 18446744073709551616') + smuggled, BAD],
  ['length without a value', good('Content-Length:') + smuggled, /^(400|200) closed$/],
  ['space before the colon', good('Content-Length : 5') + smuggled, BAD],
  ['a coding that is misspelt', good('Transfer-Encoding: xchunked') + smuggled, /^(400|501) closed$/],
  ['chunked is not last', good('Transfer-Encoding: chunked, identity') + smuggled, /^(400|501) closed$/],
  ['chunked with a vertical tab', good('Transfer-Encoding: \x0bchunked') + smuggled, BAD],
  ['two codings', good('Transfer-Encoding: chunked\r\nTransfer-Encoding: x') + smuggled, /^(400|501) closed$/],
  // RFC 9112 section 5.2 lets a server read a folded line as one.
  ['folded coding', good('Transfer-Encoding:\r\n chunked') + smuggled, SERVED_LAST],
  ['folded field', good('X-A: b\r\n Content-Length: 5'), HELD],
  ['line ends in LF', `GET ${GOOD_PATH} HTTP/1.1\nHost: x\n\n${smuggled}`, BAD],
  ['line ends in CR', `GET ${GOOD_PATH} HTTP/1.1\rHost: x\r\r${smuggled}`, BAD],
  ['bare CR in a value', good('X-A: b\rContent-Length: 5') + smuggled, BAD],
  ['NUL in a value', good('X-A: b\0c') + smuggled, BAD],
  ['NUL in a name', good('X\0A: b') + smuggled, BAD],
  ['field without a name', good(': b') + smuggled, BAD],
  ['field without a colon', good('X-A') + smuggled, BAD],
  ['space before the first field', get(GOOD_PATH, ' X-A: b\r\nHost: x') + smuggled, BAD],
  ['a good body', `${good('Content-Length: 5')}hello${smuggled}`, SERVED_LAST],
  [
    'chunk extensions',
    `${good('Transfer-Encoding: chunked')}5;a=b;${'x'.repeat(5_000)}\r\nhello\r\n0\r\n\r\n${smuggled}`,
    SERVED_LAST,
  ],
  ['a chunk size beyond 64 bits', `${good('Transfer-Encoding: chunked')}fffffffffffffffff\r\n${smuggled}`, SERVED_LAST],
  ['upgrade to WebSocket', good('Connection: Upgrade\r\nUpgrade: websocket') + smuggled, SERVED_LAST],
  [
    'upgrade to h2c',
    good('Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk') + smuggled,
    SERVED_LAST,
  ],
];

const PROTOCOL: readonly Shape[] = [
  ['HTTP/0.9', `GET ${GOOD_PATH}\r\n\r\n`, /^(400|505) closed$/],
  ['HTTP/1.0', get(GOOD_PATH, 'X-A: b', 'HTTP/1.0'), SERVED_LAST],
  ['HTTP/2 preface', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', /^(400|505) closed$/],
  ['HTTP/9.9', get(GOOD_PATH, 'Host: x', 'HTTP/9.9'), /^(400|505) closed$/],
  ['no Host', get(GOOD_PATH, 'X-A: b'), BAD],
  ['two Hosts', good('Host: y'), BAD],
  ['another host in the target', get(`http://y${GOOD_PATH}`), HELD],
  ['CONNECT', 'CONNECT y:25 HTTP/1.1\r\nHost: y:25\r\n\r\n', /^405 closed$/],
  ['POST', `POST ${GOOD_PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n`, /^405 open$/],
  ['unknown method', `BREW ${GOOD_PATH} HTTP/1.1\r\nHost: x\r\n\r\n`, /^(400|405|501) closed$/],
  ['lower case method', `get ${GOOD_PATH} HTTP/1.1\r\nHost: x\r\n\r\n`, BAD],
  ['TLS hello', Buffer.from('160301020001000001fc0303', 'hex'), BAD],
  ['another protocol', 'SSH-2.0-OpenSSH_9.2\r\n', BAD],
  ['random bytes', new Random(5).bytes(4_000), BAD],
];

const long = (size: number) => 'a'.repeat(size);
const BOMBS: readonly Shape[] = [
  ['20,000 fields', good(Array.from({ length: 20_000 }, (_, i) => `X-${i}: b`).join('\r\n')), /^431 closed$/],
  ['a value of 300 kB', good(`X-A: ${long(300_000)}`), /^431 closed$/],
  ['a name of 300 kB', good(`${long(300_000)}: b`), /^431 closed$/],
  ['a target of 300 kB', get(`/${long(300_000)}`), /^414 closed$/],
  ['a method of 300 kB', `${long(300_000)} / HTTP/1.1\r\nHost: x\r\n\r\n`, /^(400|431) closed$/],
  ['empty lines of 300 kB', '\r\n'.repeat(150_000), /^(400|431) closed$/],
];

/** Whatever could stand for `..` between `/ok/` and what lies beside the site's base. */
const UP = [
  '..',
  '.%2e',
  '%2e.',
  '%2e%2e',
  '%2E%2E',
  './..',
  'a/../..',
  '/..',
  '%2e%2e%2f..',
  '..%2f..',
  '..%5c..',
  '..\\..',
  '%00/..',
];
const TRAVERSAL: readonly Shape[] = [
  ...UP.map((up): Shape => [up, get(`/ok/${up}/${FORBIDDEN}`), /^400 (open|closed)$/]),
  ['.. at the end', get('/ok/..'), /^400 open$/],
  ['.. before a query', get('/ok/..?x'), /^400 open$/],
  ['.. in an absolute target', get(`http://x/ok/../${FORBIDDEN}`), /^400 open$/],
  ['.. in an absolute target of https', get(`https://x/ok/../${FORBIDDEN}`), /^(400|404) open$/],
  ['beside every prefix', get(`/../${FORBIDDEN}`), /^(400|404) open$/],
  ['two slashes first', get(`//ok/${FORBIDDEN}`), /^404 open$/],
  ['a byte above 127', Buffer.from(get(`/ok/\xc0\xae\xc0\xae/${FORBIDDEN}`), 'latin1'), /^400 (open|closed)$/],
  // What is no dot segment here is handed on as it is: below the base whatever the origin makes of it.
  ['three dots', get('/ok/.../hello'), /^404 open$/],
  ['coded twice', get('/ok/%252e%252e/hello'), /^404 open$/],
];

const range = (value: string) => good(`Range: ${value}`);
const RANGES: readonly Shape[] = [
  ['a thousand', range(`bytes=${Array(1_000).fill('0-').join(',')}`), HELD],
  ['overlapping', range('bytes=0-4,1-4,2-4,0-4,0-4'), HELD],
  ['beyond 64 bits', range('bytes=0-99999999999999999999'), HELD],
  ['64 bits', range('bytes=0-18446744073709551615'), /^206 open$/],
  ['begins at 64 bits', range('bytes=18446744073709551615-'), /^416 open$/],
  ['begins at 64 bits, and ends', range('bytes=18446744073709551614-18446744073709551615'), /^416 open$/],
  ['a suffix of 64 bits', range('bytes=-18446744073709551615'), /^206 open$/],
  ['a suffix of nothing', range('bytes=-0'), /^416 open$/],
  ['backwards', range('bytes=4-1'), HELD],
  ['not numbers', range('bytes=a-b'), HELD],
  ['another unit', range('seconds=0-1'), HELD],
  ['within If-Range', good('Range: bytes=0-1\r\nIf-Range: "no"'), HELD],
];

const MANY = 3_000;
const SLOW: readonly Shape[] = [
  ['says nothing', '', /^closed$/],
  ['a head byte by byte', `GET ${GOOD_PATH} HTTP/1.1\r\n`, /^408 closed$/, { drip: `X-A: ${long(1_000)}` }],
  ['half a head', `GET ${GOOD_PATH} HTTP/1.1\r\nHost:`, /^408 closed$/],
  ['a body byte by byte', good('Content-Length: 1000000'), SERVED_LAST, { drip: long(1_000) }],
  ['a pipeline', get(GOOD_PATH).repeat(MANY), new RegExp(`^(200 ){${MANY}}open$`)],
  ['a pipeline nobody reads', get('/ok/large').repeat(MANY), /^closed$/, { deaf: true }],
  ['a live stream nobody reads', get('/live/good/main.ts'), /^closed$/, { deaf: true }],
];

const group = (name: string, shapes: readonly Shape[]): Attack[] =>
  shapes.map(([shape, send, expected, more]) => ({ group: name, name: shape, send, expected, ...more }));

export const ATTACKS: readonly Attack[] = [
  ...group('smuggling', SMUGGLING),
  ...group('protocol', PROTOCOL),
  ...group('header bombs', BOMBS),
  ...group('traversal', TRAVERSAL),
  ...group('ranges', RANGES),
  ...group('slow clients', SLOW),
];
