import t from 'tap';
import { SluiceError } from '../../daemon/base/errors.js';
import type { HlsMessage } from '../../daemon/streams/source/hls-exchange.js';
import { Origin, Player, sequences, URL_OF_MEDIA } from './hls-origin.js';

const CUT = new SluiceError('UPSTREAM_CLOSED', 'cut short');
const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, n) => from + n);
const body = (...lines: string[]): Uint8Array => new TextEncoder().encode(['#EXTM3U', ...lines].join('\n'));

t.test('a live playlist: starts three target durations from the edge, then every segment once', async (t) => {
  const origin = new Origin({ startMs: -100_000 });
  const player = new Player(origin);
  player.run(58_500);
  // At 0 the edge is 50: three times 2 s before it begins segment 47.
  t.strictSame(sequences(player.segments), range(47, 79));
  t.strictSame(
    player.segments.filter((s) => s.discontinuity),
    [],
  );
  t.strictSame(player.failures, []);
});

t.test('refresh: a whole target duration after a change, half of one otherwise (RFC 8216 section 6.3.4)', async (t) => {
  const origin = new Origin({ startMs: -100_000 });
  const player = new Player(origin);
  player.run(7_000);
  t.strictSame(player.playlistsAt, [0, 2000, 4000, 6000], 'in step with the origin');
  const late = new Player(new Origin({ startMs: -101_500, segmentMs: 2000 }));
  late.origin.options.endAfter = Number.POSITIVE_INFINITY;
  late.playlistAnswer = (url, now) => ({
    type: 'playlist',
    url,
    body: new TextEncoder().encode(late.origin.playlist(Math.floor(now / 5000) * 5000)),
  });
  late.run(8_000);
  t.strictSame(late.playlistsAt, [0, 2000, 3000, 4000, 5000, 7000]);
});

t.test('the edge is followed within a refresh at any phase', async (t) => {
  for (let phase = 0; phase < 2000; phase += 130) {
    const player = new Player(new Origin({ startMs: -100_000 - phase }));
    player.run(30_000);
    const got = sequences(player.taken);
    t.strictSame(got, range(got[0] ?? -1, (got[0] ?? 0) + got.length), `in order at phase ${phase}`);
    t.ok((got.at(-1) ?? 0) >= player.origin.edge(27_000) - 1, `at the edge at phase ${phase}`);
  }
});

t.test('a short playlist begins at its first segment, an empty one is waited for', async (t) => {
  const player = new Player(new Origin({ startMs: 3000 }));
  player.run(12_000);
  t.strictSame(sequences(player.segments), [0, 1, 2, 3]);
  t.strictSame(player.failures, []);
});

t.test('EVENT begins at its live edge and plays to its end', async (t) => {
  const player = new Player(new Origin({ startMs: -100_000, type: 'EVENT', endAfter: 60 }));
  player.run(40_000, true);
  t.strictSame(sequences(player.segments), range(47, 60));
  t.match(player.failures, [{ code: 'SOURCE_ENDED' }]);
});

t.test('an ended live playlist is not played again until it changes', async (t) => {
  const player = new Player(new Origin({ startMs: -100_000, endAfter: 52 }));
  player.run(20_000);
  t.strictSame(sequences(player.segments), range(47, 52));
  player.origin.options = {
    ...player.origin.options,
    startMs: 18_000,
    endAfter: Number.POSITIVE_INFINITY,
    name: (n) => `new${n}.ts`,
  };
  player.run(31_000);
  t.strictSame(sequences(player.segments).slice(5), range(0, 6));
  t.equal(player.segments[5]?.discontinuity, true);
});

t.test('a finished playlist is played from its start, held back by the buffer, and again after its end', async (t) => {
  const player = new Player(new Origin({ type: 'VOD', endAfter: 4 }));
  player.run(2_000, true);
  t.strictSame(sequences(player.segments), [0, 1, 2, 3]);
  t.equal(player.playlistsAt.length, 1, 'never refreshed');
  player.machine.retry(player.now);
  player.run(4_000, true);
  t.strictSame(sequences(player.segments), [0, 1, 2, 3, 0, 1, 2, 3]);
  t.strictSame(
    player.segments.map((s) => s.discontinuity),
    [false, false, false, false, true, false, false, false],
  );

  const held = new Player(new Origin({ type: 'VOD', endAfter: 4 }));
  held.buffer = { bufferedMs: 60_000, full: false };
  held.run(5_000);
  t.strictSame(sequences(held.segments), []);
  held.buffer = { bufferedMs: 1_000, full: false };
  held.run(6_000, true);
  t.strictSame(sequences(held.segments), [0, 1, 2, 3]);
});

t.test('a full ring holds a live source too', async (t) => {
  const player = new Player(new Origin({ startMs: -100_000 }));
  player.buffer = { bufferedMs: 0, full: true };
  player.run(3_000);
  t.strictSame(sequences(player.segments), []);
});

t.test('EXT-X-DISCONTINUITY is passed on, once', async (t) => {
  const player = new Player(new Origin({ startMs: -100_000, tags: (n) => (n === 52 ? ['#EXT-X-DISCONTINUITY'] : []) }));
  player.run(20_000);
  t.strictSame(
    player.segments.filter((s) => s.discontinuity).map((s) => s.sequence),
    [52],
  );
});

t.test('GAP segments are skipped, and what follows is a new timeline', async (t) => {
  const player = new Player(
    new Origin({ startMs: -100_000, tags: (n) => (n === 49 || n === 50 ? ['#EXT-X-GAP'] : []) }),
  );
  player.run(7_000);
  t.strictSame(sequences(player.segments), [47, 48, 51, 52]);
  t.strictSame(
    player.segments.map((s) => s.discontinuity),
    [false, false, true, false],
  );
  t.equal(player.machine.skipped, 2);
});

t.test('BYTERANGE is asked for by range', async (t) => {
  const player = new Player(
    new Origin({ startMs: -100_000, name: () => 'all.ts', tags: (n) => [`#EXT-X-BYTERANGE:1000@${n * 1000}`] }),
  );
  player.run(1_000);
  t.strictSame(
    player.segments.map((s) => [s.range, s.skipBytes]),
    [47, 48, 49].map((n) => [{ from: n * 1000, to: n * 1000 + 999 }, n * 1000]),
  );
});

t.test('a segment cut short is resumed where it was cut', async (t) => {
  const player = new Player(new Origin({ startMs: -100_000, tags: (n) => (n === 48 ? ['#EXT-X-DISCONTINUITY'] : []) }));
  let cuts = 0;
  player.answer = ({ sequence }) =>
    sequence === 48 && cuts++ < 2 ? { type: 'segment-failed', error: CUT, taken: 400 } : undefined;
  player.run(4_000);
  t.strictSame(
    player.segments.slice(0, 5).map((s) => [s.sequence, s.range, s.skipBytes, s.discontinuity]),
    [
      [47, null, 0, false],
      [48, null, 0, true],
      [48, { from: 400, to: null }, 400, false],
      [48, { from: 800, to: null }, 800, false],
      [49, null, 0, false],
    ],
  );
  t.match(player.failures, [{ code: 'UPSTREAM_CLOSED' }, { code: 'UPSTREAM_CLOSED' }]);
});

t.test('a resumed byte range keeps its end', async (t) => {
  const player = new Player(
    new Origin({ startMs: -100_000, name: () => 'all.ts', tags: (n) => [`#EXT-X-BYTERANGE:1000@${n * 1000}`] }),
  );
  player.answer = ({ range }) =>
    range?.from === 47_000 ? { type: 'segment-failed', error: CUT, taken: 300 } : undefined;
  player.run(1_000);
  t.strictSame(player.segments[1]?.range, { from: 47_300, to: 47_999 });
  t.equal(player.segments[1]?.skipBytes, 47_300);
});

t.test('416 on a resume means that all of it had come', async (t) => {
  const player = new Player(new Origin({ startMs: -100_000 }));
  player.answer = ({ skipBytes, sequence }) => {
    if (sequence !== 47) return undefined;
    return skipBytes === 0
      ? { type: 'segment-failed', error: CUT, taken: 1000 }
      : { type: 'segment', status: 416, taken: 0 };
  };
  player.run(1_500);
  t.strictSame(sequences(player.segments), [47, 47, 48, 49]);
  t.strictSame(
    player.segments.filter((s) => s.discontinuity),
    [],
  );
});

t.test('a segment that is not there is tried a few times and skipped', async (t) => {
  for (const status of [404, 500, 204]) {
    const player = new Player(new Origin({ startMs: -100_000 }));
    player.answer = ({ sequence }) => (sequence === 48 ? { type: 'segment', status, taken: 0 } : undefined);
    player.run(8_000);
    t.strictSame(sequences(player.segments).slice(0, 7), [47, 48, 48, 48, 48, 49, 50], `status ${status}`);
    t.equal(player.segments[5]?.discontinuity, true);
    t.equal(player.segments[6]?.discontinuity, false);
    t.equal(player.machine.skipped, 1);
    t.strictSame(player.failures, []);
  }
});

t.test('several segments skipped in a row are a failure', async (t) => {
  const player = new Player(new Origin({ startMs: -100_000 }));
  player.answer = () => ({ type: 'segment', status: 404, taken: 0 });
  player.run(30_000, true);
  t.match(player.failures, [{ code: 'UPSTREAM_STATUS' }]);
});

t.test('a segment that is always cut is left after a bounded number of tries', async (t) => {
  for (const taken of [0, 10]) {
    const player = new Player(new Origin({ startMs: -100_000, window: 20 }));
    player.answer = ({ sequence }) => (sequence === 48 ? { type: 'segment-failed', error: CUT, taken } : undefined);
    player.run(20_000);
    const tries = player.segments.filter((s) => s.sequence === 48).length;
    t.ok(tries >= 3 && tries <= 8, `${tries} tries`);
    t.ok(sequences(player.taken).includes(55));
  }
});

t.test('an outage shorter than the window loses nothing', async (t) => {
  const player = new Player(new Origin({ startMs: -100_000, window: 10 }));
  player.run(10_000);
  player.origin.down = true;
  player.run(20_000);
  player.origin.down = false;
  player.run(31_000);
  t.strictSame(sequences(player.taken), range(47, 65));
  t.strictSame(
    player.taken.filter((s) => s.discontinuity),
    [],
  );
});

t.test('an outage longer than the window: taken up near the edge, announced once', async (t) => {
  const player = new Player(new Origin({ startMs: -100_000 }));
  player.run(10_500);
  player.origin.down = true;
  player.run(40_000);
  player.origin.down = false;
  player.run(41_000);
  const after = player.taken.filter((s) => s.at >= 40_000);
  t.strictSame(sequences(after), [67, 68, 69], 'three target durations from the edge at 70');
  t.strictSame(
    after.map((s) => s.discontinuity),
    [true, false, false],
  );
  t.equal(player.machine.skipped, 67 - 55, 'those that nobody will see');
});

t.test('a long window is not played through after a long outage', async (t) => {
  const player = new Player(new Origin({ startMs: -100_000, window: 500 }));
  player.run(10_000);
  player.origin.down = true;
  player.run(100_000);
  player.origin.down = false;
  player.run(101_000);
  const after = player.taken.filter((s) => s.at >= 100_000);
  t.equal(after[0]?.sequence, 97);
  t.equal(after[0]?.discontinuity, true);
});

t.test('an origin that was restarted is taken up at once, whatever its numbers and names', async (t) => {
  const restarts: [string, Partial<Origin['options']>][] = [
    ['numbers from 0, same names', {}],
    ['numbers from 0, other names', { name: (n) => `x${n}.ts` }],
    ['numbers further on, other names', { first: 1000, name: (n) => `x${n}.ts` }],
    ['numbers a little back, same names', { first: 51 }],
  ];
  for (const [name, options] of restarts) {
    const player = new Player(new Origin({ startMs: -100_000 }));
    player.run(10_000);
    player.origin.down = true;
    player.run(20_000);
    player.origin.down = false;
    player.origin.options = { ...player.origin.options, startMs: 20_000 - 4_000, ...options };
    player.run(20_900);
    const after = player.taken.filter((s) => s.at >= 20_000);
    t.strictSame(
      sequences(after),
      range(player.origin.options.first, player.origin.options.first + 2),
      `${name}: what there is`,
    );
    t.strictSame(
      after.map((s) => s.discontinuity),
      [true, false],
      name,
    );
    player.run(30_000);
    t.strictSame(
      sequences(player.taken.filter((s) => s.at >= 20_000)),
      range(player.origin.options.first, player.origin.options.first + 6),
      `${name}: goes on`,
    );
  }
});

t.test('a restart without a failed fetch is seen by names that differ', async (t) => {
  const player = new Player(new Origin({ startMs: -100_000 }));
  player.run(10_000);
  player.origin.options = { ...player.origin.options, first: 50, startMs: 0, name: (n) => `x${n}.ts` };
  player.run(13_000);
  t.ok(player.taken.some((s) => s.url.endsWith('x54.ts') && !s.discontinuity));
  t.equal(player.taken.find((s) => s.url.includes('/x'))?.discontinuity, true);
});

t.test('another server of the origin that lags by a segment changes nothing', async (t) => {
  const player = new Player(new Origin({ startMs: -100_000 }));
  let count = 0;
  player.playlistAnswer = (url, now) => ({
    type: 'playlist',
    url,
    body: new TextEncoder().encode(player.origin.playlist(now - (count++ % 2) * 2500)),
  });
  player.run(40_000);
  const got = sequences(player.taken);
  t.strictSame(got, range(47, 47 + got.length));
  t.strictSame(
    player.taken.filter((s) => s.discontinuity),
    [],
  );
  t.ok(got.length > 18);
});

t.test('names may carry tokens that change', async (t) => {
  const player = new Player(new Origin({ startMs: -100_000 }));
  player.playlistAnswer = (url, now) => ({
    type: 'playlist',
    url,
    body: new TextEncoder().encode(
      player.origin.playlist(now).replaceAll('.ts', `.ts?token=${now}`).replaceAll('seg', `s${now}/seg`),
    ),
  });
  player.run(20_000);
  t.strictSame(
    player.taken.filter((s) => s.discontinuity),
    [],
  );
});

/** An origin whose segments are encrypted; the key changes every `period` segments. */
function sealedOrigin(period: number, attributes = ''): Origin {
  return new Origin({
    startMs: -100_000,
    tags: (n) => [`#EXT-X-KEY:METHOD=AES-128,URI="key${Math.floor(n / period)}"${attributes}`],
  });
}

t.test('encrypted segments: each key is fetched once, right before it is needed', async (t) => {
  const player = new Player(sealedOrigin(5));
  player.run(20_000);
  t.strictSame(player.failures, []);
  t.strictSame(
    player.keys,
    [9, 10, 11].map((n) => `http://origin.example/live/key${n}`),
  );
  t.strictSame(
    player.segments.slice(0, 2).map(({ sequence, seal, range }) => [sequence, seal, range]),
    [
      [47, { key: '07'.repeat(16), iv: `${'0'.repeat(30)}2f`, skipBytes: 0 }, null],
      [48, { key: '07'.repeat(16), iv: `${'0'.repeat(30)}30`, skipBytes: 0 }, null],
    ],
  );
  const named = new Player(sealedOrigin(5, ',IV=0xABC'));
  named.run(1000);
  t.equal(named.segments[0]?.seal?.iv, `${'0'.repeat(29)}abc`);
});

t.test('an encrypted segment that was cut is asked for whole again, and its clear bytes are dropped', async (t) => {
  const player = new Player(
    new Origin({
      startMs: -100_000,
      name: () => 'all.ts',
      tags: (n) => ['#EXT-X-KEY:METHOD=AES-128,URI="k"', `#EXT-X-BYTERANGE:1600@${n * 1600}`],
    }),
  );
  player.answer = () =>
    player.segments.length === 1
      ? { type: 'segment-failed', error: new SluiceError('UPSTREAM_CLOSED', 'cut'), taken: 700 }
      : undefined;
  player.run(2000);
  t.match(player.segments.slice(0, 2), [
    { sequence: 47, range: { from: 75_200, to: 76_799 }, skipBytes: 75_200, seal: { skipBytes: 0 } },
    { sequence: 47, range: { from: 75_200, to: 76_799 }, skipBytes: 75_200, seal: { skipBytes: 700 } },
  ]);
});

t.test('what cannot be decrypted costs its segment, and the key is fetched anew', async (t) => {
  const player = new Player(sealedOrigin(100));
  player.answer = ({ sequence }) =>
    sequence === 49
      ? { type: 'segment-failed', error: new SluiceError('UPSTREAM_DECRYPT', 'padding'), taken: 188 }
      : undefined;
  player.run(10_000);
  t.strictSame(player.failures, []);
  t.strictSame(player.lost, ['UPSTREAM_DECRYPT']);
  t.strictSame(sequences(player.taken).slice(0, 4), [47, 48, 50, 51]);
  t.equal(player.taken.find(({ sequence }) => sequence === 50)?.discontinuity, true);
  t.equal(player.keys.length, 2);
});

t.test('wrong keys: a named error, and a failure of the source when they go on', async (t) => {
  const wrong: [HlsMessage, string][] = [
    [{ type: 'key', status: 200, body: new Uint8Array(15) }, 'UPSTREAM_DECRYPT'],
    [{ type: 'key-failed', error: new SluiceError('UPSTREAM_TOO_LARGE', 'too large') }, 'UPSTREAM_DECRYPT'],
    [{ type: 'key', status: 403, body: new Uint8Array(0) }, 'UPSTREAM_STATUS'],
  ];
  for (const [answer, code] of wrong) {
    const once = new Player(sealedOrigin(1));
    once.keyAnswer = (url) => (url.endsWith('key48') ? answer : { type: 'key', status: 200, body: new Uint8Array(16) });
    once.run(8_000);
    t.strictSame(once.failures, []);
    t.strictSame(once.lost, [code]);
    t.strictSame(sequences(once.taken), [47, 49, 50, 51, 52]);
    const always = new Player(sealedOrigin(100));
    always.keyAnswer = () => answer;
    always.run(60_000, true);
    t.match(always.failures, [{ code }]);
    t.strictSame(always.segments, []);
  }
  const unreachable = new Player(sealedOrigin(100));
  unreachable.keyAnswer = () => ({ type: 'key-failed', error: new SluiceError('UPSTREAM_CONNECT', 'refused') });
  unreachable.run(1000, true);
  t.match(unreachable.failures, [{ code: 'UPSTREAM_CONNECT' }]);
});

t.test('what cannot be taken is refused by name, before it is fetched', async (t) => {
  const cases: [string, string, RegExp][] = [
    ['#EXT-X-KEY:METHOD=AES-128,URI="k",KEYFORMAT="own"', 'SOURCE_ENCRYPTED', /METHOD=AES-128, KEYFORMAT="own"/],
    ['#EXT-X-KEY:METHOD=SAMPLE-AES,URI="k"', 'SOURCE_ENCRYPTED', /METHOD=SAMPLE-AES/],
    ['#EXT-X-MAP:URI="init.mp4"', 'SOURCE_UNSUPPORTED', /EXT-X-MAP/],
  ];
  for (const [tag, code, message] of cases) {
    const player = new Player(new Origin({ tags: () => [tag] }));
    player.run(1000, true);
    t.match(player.failures, [{ code }]);
    t.strictSame(player.segments, []);
    const action = player.machine.next(player.now, player.buffer);
    t.match(action, { do: 'fail', error: { code, message } });
  }
  const clear = new Player(
    new Origin({
      startMs: -100_000,
      tags: (n) => (n === 45 ? ['#EXT-X-KEY:METHOD=SAMPLE-AES,URI="k"'] : n === 47 ? ['#EXT-X-KEY:METHOD=NONE'] : []),
    }),
  );
  clear.run(1000);
  t.strictSame(sequences(clear.taken), [47, 48, 49], 'what is not played may be encrypted');
});

t.test('master playlist: chooses, follows, and asks for it again after a failure', async (t) => {
  const master = body(
    '#EXT-X-STREAM-INF:BANDWIDTH=3000000',
    'high.m3u8',
    '#EXT-X-STREAM-INF:BANDWIDTH=1000000',
    'mid.m3u8',
    '#EXT-X-STREAM-INF:BANDWIDTH=300000',
    'low.m3u8',
  );
  const asks: [number | null, string][] = [
    [null, 'high.m3u8'],
    [2_999_999, 'mid.m3u8'],
    [1_000_000, 'mid.m3u8'],
    [1000, 'low.m3u8'],
  ];
  for (const [maxBandwidth, file] of asks) {
    const player = new Player(new Origin({ startMs: -100_000 }), { maxBandwidth });
    const urls: string[] = [];
    player.playlistAnswer = (url) => {
      urls.push(url.slice(url.lastIndexOf('/') + 1));
      if (url === URL_OF_MEDIA) return { type: 'playlist', url, body: master };
      return urls.length === 3
        ? { type: 'playlist-failed', error: new SluiceError('UPSTREAM_STATUS', '404') }
        : undefined;
    };
    player.run(5_000);
    t.strictSame(urls.slice(0, 6), ['index.m3u8', file, file, 'index.m3u8', file, file]);
    const got = sequences(player.taken);
    t.strictSame(got, range(47, 47 + got.length));
  }
});

t.test('masters that cannot be used', async (t) => {
  const play = (answer: (url: string) => Uint8Array): Player => {
    const player = new Player(new Origin());
    player.playlistAnswer = (url): HlsMessage => ({ type: 'playlist', url, body: answer(url) });
    player.run(1000, true);
    return player;
  };
  const nested = body('#EXT-X-STREAM-INF:BANDWIDTH=1', 'again.m3u8');
  t.match(play(() => nested).failures, [{ code: 'PLAYLIST_INVALID' }], 'a variant that is a master');
  const apart = body(
    '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="a",URI="a.m3u8"',
    '#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO="a"',
    'v.m3u8',
  );
  t.match(play(() => apart).failures, [{ code: 'SOURCE_UNSUPPORTED' }], 'audio apart');
  t.match(play(() => new TextEncoder().encode('<html>')).failures, [{ code: 'PLAYLIST_INVALID' }], 'no playlist');
});

t.test('redirected playlists are asked for where they were found, until that fails', async (t) => {
  const player = new Player(new Origin({ startMs: -100_000 }));
  const urls: string[] = [];
  player.playlistAnswer = (url, now) => {
    urls.push(url);
    if (urls.length === 3) return { type: 'playlist-failed', error: CUT };
    return {
      type: 'playlist',
      url: 'http://edge7.example/s/index.m3u8',
      body: new TextEncoder().encode(player.origin.playlist(now)),
    };
  };
  player.run(5_000);
  t.strictSame(urls.slice(0, 4), [
    URL_OF_MEDIA,
    'http://edge7.example/s/index.m3u8',
    'http://edge7.example/s/index.m3u8',
    URL_OF_MEDIA,
  ]);
  t.equal(player.segments[0]?.url, 'http://edge7.example/s/seg47.ts', 'relative to where it was found');
});

t.test('a playlist that no longer changes is a stall: a state, or a failure where there is another URL', async (t) => {
  for (const failOnStall of [false, true]) {
    const player = new Player(new Origin({ startMs: -100_000, endAfter: Number.POSITIVE_INFINITY }), { failOnStall });
    const frozen = new TextEncoder().encode(player.origin.playlist(0));
    player.playlistAnswer = (url, now) => (now < 20_000 ? { type: 'playlist', url, body: frozen } : undefined);
    player.run(19_900);
    t.equal(player.machine.stalled?.code, 'SOURCE_STALLED');
    if (failOnStall) t.ok(player.failures.length > 5, 'again after every retry');
    else {
      t.strictSame(player.failures, []);
      const gaps = player.playlistsAt.slice(1).map((at, n) => at - (player.playlistsAt[n] ?? 0));
      t.equal(Math.min(...gaps), 1000, 'still asked every half target duration');
    }
    player.run(23_000);
    t.equal(player.machine.stalled, null);
    t.ok(player.taken.some((s) => s.at > 20_000));
  }
});

t.test('left for another URL: on return at the live edge, as a new timeline', async (t) => {
  const player = new Player(new Origin({ startMs: -100_000 }));
  player.run(10_000);
  player.machine.leave();
  player.now = 12_000;
  player.machine.retry(player.now);
  player.run(13_000);
  const after = player.taken.filter((s) => s.at >= 12_000);
  t.strictSame(sequences(after), [53, 54, 55]);
  t.equal(after[0]?.discontinuity, true);
});

t.test('media that follows other media in the stream is announced', async (t) => {
  const player = new Player(new Origin({ startMs: -100_000 }), { spliced: true });
  player.answer = () => (player.segments.length === 1 ? { type: 'segment', status: 404, taken: 0 } : undefined);
  player.run(2_000);
  t.strictSame(
    player.segments.map((s) => s.discontinuity),
    [true, true, false, false],
    'until some of it has been taken',
  );
});

/** xorshift32 */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

t.test('whatever happens: in order, never twice, gaps announced, back within a segment', async (t) => {
  for (let seed = 1; seed <= 150; seed++) {
    const random = generator(seed * 7919);
    const player = new Player(
      new Origin({ startMs: -100_000 - random() * 2000, window: 3 + Math.floor(random() * 8) }),
    );
    let partial = 0;
    player.answer = (asked) => {
      const chance = random();
      if (player.origin.down || chance > 0.3) return undefined;
      if (chance > 0.2) return { type: 'segment', status: 503, taken: 0 };
      if (chance > 0.1) return { type: 'segment-failed', error: CUT, taken: 0 };
      partial += 1;
      return { type: 'segment-failed', error: CUT, taken: 100 + (asked.sequence % 7) };
    };
    for (let phase = 0; phase < 12; phase++) {
      player.retryMs = 20 + random() * 900;
      player.run(player.now + random() * 15_000);
      player.origin.down = random() < 0.4;
    }
    player.origin.down = false;
    player.answer = () => undefined;
    const back = player.now;
    player.run(back + 8_000);
    let previous = -1;
    let started = false;
    for (const { sequence, discontinuity } of player.taken) {
      if (sequence <= previous) t.fail(`seed ${seed}: ${sequence} after ${previous}`);
      if (started && sequence !== previous + 1 && !discontinuity && partial === 0)
        t.fail(`seed ${seed}: an unannounced gap before ${sequence}`);
      previous = sequence;
      started = true;
    }
    const next = player.taken.find((s) => s.at >= back);
    if (next === undefined || next.at - back > 3_500)
      t.fail(`seed ${seed}: back after ${(next?.at ?? Number.NaN) - back} ms`);
    if ((player.taken.at(-1)?.sequence ?? 0) < player.origin.edge(back + 5_000) - 1)
      t.fail(`seed ${seed}: behind the edge`);
  }
  t.pass('150 histories');
});
