import { XMLParser } from 'fast-xml-parser';
import { parseUTCTiming } from 'mpd-parser';
import t from 'tap';
import { SluiceError } from '../../daemon/base/errors.js';
import type { Manifest, Period, Representation } from '../../daemon/protocols/dash/manifest.js';
import { parseManifest } from '../../daemon/protocols/dash/parse.js';
import { availableSegments, type DashSegment, initializationUrl } from '../../daemon/protocols/dash/segments.js';
import { fillTemplate } from '../../daemon/protocols/dash/template.js';
import { DEFAULT_XML_LIMITS, readXml, type XmlElement } from '../../daemon/protocols/dash/xml.js';
import { Random } from '../lab/lib/random.js';
import { FIXTURES, fixture, oracle, URL_OF_MPD } from './dash-fixtures.js';

const DIRECTORY = 'https://origin.example/live/ch1/';
const parse = (text: string): Manifest => parseManifest(text, URL_OF_MPD);

/** A dynamic presentation that began in 1970, with one representation. */
function live(template: string, root = '', period = 'start="PT0S"'): Manifest {
  return parse(
    `<MPD type="dynamic" availabilityStartTime="1970-01-01T00:00:00Z" ${root}><Period ${period}><AdaptationSet>${template}<Representation id="r" bandwidth="5"/></AdaptationSet></Period></MPD>`,
  );
}

function only(manifest: Manifest): [Period, Representation] {
  const period = manifest.periods[0];
  const representation = period?.adaptationSets[0]?.representations[0];
  if (period === undefined || representation === undefined) throw new Error('expected one representation');
  return [period, representation];
}

const at = (manifest: Manifest, seconds: number, most?: number): DashSegment[] =>
  availableSegments(manifest, ...only(manifest), seconds * 1000, most);

t.test('a live manifest, value by value', async (t) => {
  const manifest = parse(fixture('live-timeline.mpd').text);
  t.match(manifest, {
    isDynamic: true,
    profiles: ['urn:mpeg:dash:profile:isoff-live:2011', 'urn:dvb:dash:profile:dvb-dash:2014'],
    availabilityStartMs: 0,
    availabilityEndMs: null,
    publishTimeMs: Date.parse('2024-05-01T12:00:00Z'),
    durationMs: null,
    minimumUpdateMs: 2000,
    minBufferMs: 2000,
    timeShiftBufferMs: 60_000,
    suggestedDelayMs: 6000,
    locations: ['https://origin.example/livesim/tl_1/manifest.mpd?session=42&a=1'],
    patchLocations: [{ url: `${DIRECTORY}patch.mpp?from=1`, ttlMs: 60_000 }],
    utcTimings: [
      { kind: 'http-xsdate', values: ['https://time.example/?iso&ms', `${DIRECTORY}time`] },
      { kind: 'direct', values: ['2024-05-01T12:00:00Z'] },
      { kind: 'ntp', values: ['ntp.example', 'pool.ntp.example'] },
    ],
  });
  const [period] = manifest.periods;
  t.match(period, { id: 'P0', startMs: 0, durationMs: null, xlink: null });
  t.match(period?.eventStreams, [
    {
      scheme: 'urn:scte:scte35:2014:xml+bin',
      value: '1',
      timescale: 90_000,
      events: [{ id: '7', presentationTime: 154_310_832_000_000n, duration: 2_700_000n, messageData: null }],
    },
  ]);
  t.match(period?.eventStreams[0]?.events[0]?.content, /^<own:Signal .*<own:Binary>\/DAl<\/own:Binary><\/own:Signal>$/);
  const audio = period?.adaptationSets[0]?.representations[0];
  t.match(audio, { id: 'A48', bandwidth: 48_000, mimeType: 'audio/mp4', codecs: 'mp4a.40.2' });
  t.strictSame(
    audio?.baseUrls.map(({ url, serviceLocation, availabilityTimeOffset }) => [
      url,
      serviceLocation,
      availabilityTimeOffset,
    ]),
    [
      ['https://cdn-a.example/livesim/tl_1/', 'a', 0.5],
      ['https://cdn-b.example/livesim/tl_1/?key=1&x=%20', 'b', 0.5],
    ],
  );
  t.strictSame(
    period?.adaptationSets[1]?.representations[1]?.baseUrls.map(({ url }) => url),
    ['https://cdn-a.example/livesim/tl_1/big/', 'https://cdn-b.example/livesim/tl_1/big/'],
  );
  t.match(audio?.segments, {
    kind: 'template',
    timescale: 48_000,
    media: '$RepresentationID$/t$Time$.m4s',
    timeline: [
      { time: 82_299_109_824_000n, duration: 95_232, number: 1, count: 1 },
      { time: 82_299_109_919_232n, duration: 96_256, number: 2, count: 3 },
      { time: 82_299_110_208_000n, duration: 95_232, number: 5, count: 2 },
    ],
  });
});

t.test('periods: starts, durations, links, and levels that inherit', async (t) => {
  const { periods } = parse(fixture('live-multi-period.mpd').text);
  t.strictSame(
    periods.map(({ id, startMs, durationMs, xlink }) => [id, startMs, durationMs, xlink]),
    [
      ['p58', 3_480_000, 60_000, null],
      ['p59', 3_540_000, 60_000, null],
      ['p60', 3_600_000, null, 'https://ads.example/period?id=1'],
      ['announced', null, 30_000, 'urn:mpeg:dash:resolve-to-zero:2013'],
    ],
  );
  t.match(periods[0]?.adaptationSets[0]?.representations[1]?.segments, {
    timescale: 90_000,
    duration: 180_000,
    startNumber: 1740,
    presentationTimeOffset: 313_200_000n,
    media: 'hd/$Number$.m4s',
    initialization: '$RepresentationID$/init.mp4',
  });
});

t.test('low latency: segments can be asked for while they are made', async (t) => {
  const { text, nowMs } = fixture('ffmpeg-low-latency.mpd');
  const manifest = parse(text);
  const segments = availableSegments(manifest, ...only(manifest), nowMs);
  t.strictSame(
    segments.map(({ number, isComplete }) => [number, isComplete]),
    [
      [1, true],
      [2, true],
      [3, true],
      [4, false],
    ],
  );
  t.match(only(manifest)[1].segments, { availabilityTimeOffset: 1.9, availabilityTimeComplete: false });
});

t.test('mpd-parser lists the same segments', async (t) => {
  for (const { name, text, nowMs } of FIXTURES) {
    const manifest = parse(text);
    const ours = manifest.periods.flatMap((period) =>
      period.adaptationSets.flatMap(({ representations }) =>
        representations.map((one) => ({
          id: one.id,
          start: (period.startMs ?? 0) / 1000,
          init: initializationUrl(one),
          // It does not know of offsets, of incomplete segments, nor of periods that end.
          segments: availableSegments(manifest, period, one, nowMs)
            .filter(({ isComplete }) => isComplete)
            .map(({ url, number, durationMs, range }) => [
              url,
              number,
              Math.round(durationMs),
              range === null ? null : { length: range.to - range.from + 1, offset: range.from },
            ]),
        })),
      ),
    );
    const theirs = oracle(text, nowMs).map(({ attributes, segments = [] }) => ({
      id: attributes.id,
      start: attributes.periodStart,
      init: segments[0]?.map?.byterange === undefined ? (segments[0]?.map?.resolvedUri ?? null) : null,
      segments: segments.map((s) => [s.resolvedUri, s.number, Math.round(s.duration * 1000), s.byterange ?? null]),
    }));
    t.ok(
      theirs.some(({ segments }) => segments.length > 0),
      `${name} has segments`,
    );
    if (name === 'live-multi-period.mpd') {
      // The period that has ended: it goes on counting there.
      const ended = theirs.filter(({ start }) => start === 3480);
      for (const one of ended) one.segments = one.segments.slice(0, 30);
    }
    t.strictSame(ours, theirs, name);
  }
});

t.test('templates', async (t) => {
  const values = { representationId: 'v/1', bandwidth: 300, number: 7, time: 90_071_992_547_409_931n };
  const cases: [string, string][] = [
    ['$RepresentationID$/$Number$.m4s', 'v/1/7.m4s'],
    ['$Number%05d$-$Bandwidth%06d$', '00007-000300'],
    ['t$Time$', 't90071992547409931'],
    ['$Time%03d$', '90071992547409931'],
    ['$$$Number$$$', '$7$'],
    ['$Unknown$ $Number', '$Unknown$ $Number'],
    ['$RepresentationID%05d$', '$RepresentationID%05d$'],
  ];
  for (const [template, expected] of cases) t.equal(fillTemplate(template, values), expected, template);
  t.equal(fillTemplate('$Number$-$Time$', { representationId: 'a', bandwidth: 1 }), '$Number$-$Time$');
});

t.test('a live edge by @duration', async (t) => {
  const manifest = live('<SegmentTemplate duration="2" media="$Number$-$Time$"/>', 'timeShiftBufferDepth="PT10S"');
  const numbers = (seconds: number, most?: number): number[] => at(manifest, seconds, most).map(({ number }) => number);
  t.strictSame(numbers(1.999), []);
  t.strictSame(numbers(2), [1]);
  t.strictSame(numbers(100), [46, 47, 48, 49, 50], 'what ended at the window is gone');
  t.strictSame(numbers(101), [46, 47, 48, 49, 50]);
  t.strictSame(numbers(100, 2), [49, 50], 'the newest');
  t.match(at(manifest, 100)[4], { time: 98n, startMs: 98_000, durationMs: 2000, url: `${DIRECTORY}50-98` });
  const all = live('<SegmentTemplate duration="1" timescale="1000" media="$Number$"/>');
  t.equal(at(all, 1_700_000_000, 3)[2]?.number, 1_700_000_000_000, 'years of milliseconds are not listed one by one');
});

t.test('a live edge by a timeline', async (t) => {
  const timeline = (entries: string, attributes = ''): Manifest =>
    live(
      `<SegmentTemplate media="$Time$" timescale="10" ${attributes}><SegmentTimeline>${entries}</SegmentTimeline></SegmentTemplate>`,
      'timeShiftBufferDepth="PT6S"',
    );
  const times = (manifest: Manifest, seconds: number): bigint[] => at(manifest, seconds).map(({ time }) => time);
  const open = timeline('<S t="100" d="20" r="1"/><S d="10" r="-1"/>', 'presentationTimeOffset="100"');
  t.strictSame(times(open, 4), [100n, 120n]);
  t.strictSame(times(open, 8), [120n, 140n, 150n, 160n, 170n]);
  const gap = timeline('<S t="0" d="20" r="-1"/><S t="50" d="20" n="9"/>');
  t.strictSame(
    at(gap, 7).map(({ time, number }) => [time, number]),
    [
      [0n, 1],
      [20n, 2],
      [40n, 3],
      [50n, 9],
    ],
    'up to the next S; a number may be given',
  );
  const huge = timeline('<S t="9223372036854775000" d="20" r="2"/>', 'presentationTimeOffset="9223372036854775000"');
  t.strictSame(times(huge, 6), [9223372036854775000n, 9223372036854775020n, 9223372036854775040n], 'all 64 bits');
});

t.test('a static presentation', async (t) => {
  const manifest = parse(
    '<MPD mediaPresentationDuration="PT5S"><Period><AdaptationSet><Representation id="a" bandwidth="1"><SegmentTemplate duration="2" media="$Number$"/></Representation><Representation id="b" bandwidth="1"><SegmentTemplate media="one.mp4" endNumber="9"/></Representation><Representation id="c" bandwidth="1"><SegmentTemplate duration="2" endNumber="2" media="$Number$"/></Representation><Representation id="d" bandwidth="1"><SegmentBase indexRange="10-20"><Initialization sourceURL="i" range="0-9"/></SegmentBase></Representation></AdaptationSet></Period></MPD>',
  );
  const [period] = manifest.periods;
  const representations = period?.adaptationSets[0]?.representations ?? [];
  const listed = representations.map((one) =>
    availableSegments(manifest, period as Period, one, 0).map((s) => [s.url.slice(DIRECTORY.length), s.durationMs]),
  );
  t.strictSame(listed, [
    [
      ['1', 2000],
      ['2', 2000],
      ['3', 1000],
    ],
    [['one.mp4', 5000]],
    [
      ['1', 2000],
      ['2', 2000],
    ],
    [],
  ]);
  t.match(representations[3]?.segments, {
    kind: 'base',
    indexRange: { from: 10, to: 20 },
    initialization: { url: `${DIRECTORY}i`, range: { from: 0, to: 9 } },
  });
});

t.test('UTC timing as mpd-parser reads it', async (t) => {
  for (const kind of ['direct', 'http-head', 'http-xsdate', 'http-iso'] as const)
    for (const year of [2012, 2014]) {
      const scheme = `urn:mpeg:dash:utc:${kind}:${year}`;
      const value = kind === 'direct' ? '2024-05-01T12:00:00Z' : 'https://time.example/';
      const text = `<MPD><Period/><UTCTiming schemeIdUri="${scheme}" value="${value}"/></MPD>`;
      t.ok(parseUTCTiming(text), scheme);
      t.strictSame(parse(text).utcTimings, [{ kind, scheme, values: [value] }]);
    }
  const other =
    '<MPD><UTCTiming schemeIdUri="urn:own" value="x"/><UTCTiming schemeIdUri="urn:mpeg:dash:utc:sntp:2014"/></MPD>';
  t.match(parse(other).utcTimings, [{ kind: 'other' }, { kind: 'sntp', values: [] }]);
});

t.test('durations and dates', async (t) => {
  const read = (duration: string): number | null => parse(`<MPD minBufferTime="${duration}"/>`).minBufferMs;
  const cases: [string, number][] = [
    ['PT1.5S', 1500],
    ['PT0.001S', 1],
    ['PT1H2M3S', 3_723_000],
    ['P1DT1S', 86_401_000],
    ['P1Y1M', 395 * 86_400_000],
    ['PT0S', 0],
    ['PT0.0333333S', 33.333],
  ];
  for (const [text, ms] of cases) t.equal(read(text), ms, text);
  for (const wrong of ['', 'P', 'PT', '1S', '-PT1S', 'PT1', 'PT1,5S', `PT${'1'.repeat(20)}S`])
    t.throws(() => read(wrong), { code: 'MANIFEST_INVALID', message: /a duration/ }, wrong);
  t.equal(parse('<MPD publishTime="2024-05-01T12:00:00"/>').publishTimeMs, Date.parse('2024-05-01T12:00:00Z'));
  t.equal(parse('<MPD publishTime="2024-05-01T12:00:00+02:00"/>').publishTimeMs, Date.parse('2024-05-01T10:00:00Z'));
});

t.test('a prefix of its own', async (t) => {
  const manifest = parse(
    '<d:MPD xmlns:d="urn:mpeg:dash:schema:mpd:2011"><Period/><x:Period/><d:Period id="1"/></d:MPD>',
  );
  t.strictSame(
    manifest.periods.map(({ id }) => id),
    ['1'],
  );
});

t.test('errors name the place, what was expected and what came', async (t) => {
  const representation = (inner: string, attributes = 'id="a" bandwidth="1"'): string =>
    `<MPD><Period><AdaptationSet>\n<Representation ${attributes}>${inner}</Representation></AdaptationSet></Period></MPD>`;
  const timeline = (entries: string): string =>
    representation(`<SegmentTemplate><SegmentTimeline>${entries}</SegmentTimeline></SegmentTemplate>`);
  const cases: [text: string, message: RegExp][] = [
    ['', /line 1:1: expected an element, got nothing/],
    ['not xml', /line 1:1: expected nothing but an element, got "not xml"/],
    ['<html/>', /line 1:1: expected an MPD, got "<html>"/],
    ['<!DOCTYPE MPD [<!ENTITY a "b">]><MPD/>', /line 1:1: expected no document type, got "<!DOCTYPE MPD/],
    ['<MPD>\n <Period>\n</MPD>', /line 3:1: expected <\/Period>, got "<\/MPD>"/],
    ['<MPD>', /line 1:1: expected <\/MPD>, got "the end/],
    ['<MPD/><MPD/>', /expected one root element/],
    ['<MPD a="1"b="2"/>', /expected white space before an attribute/],
    ['<MPD a="1" a="2"/>', /line 1:12: expected every attribute once, got "a"/],
    ['<MPD a=1/>', /expected a quoted value, got "1"/],
    ['<MPD a="1/>', /expected " after a value, got "the end/],
    ['<MPD a="<"/>', /expected " after a value, got "<"/],
    ['<MPD><!-- </MPD>', /expected --> after a comment/],
    ['<MPD><![CDATA[</MPD>', /expected \]\]> after a CDATA/],
    ['<MPD><1/></MPD>', /expected a name, got "1\/>/],
    ['</MPD>', /expected an element, got "<\/MPD>"/],
    ['<MPD type="live"/>', /expected static or dynamic for type, got "live"/],
    [
      '<MPD availabilityStartTime="now"/>',
      /line 1:29: expected a date and time .* for availabilityStartTime, got "now"/,
    ],
    ['<MPD><Location>http://[</Location></MPD>', /expected a URL, got "http:\/\/\["/],
    [representation('', 'bandwidth="1"'), /line 2:1: expected id of a Representation/],
    [representation('', 'id="a"'), /expected bandwidth of a Representation/],
    [representation('', 'id="a" bandwidth="-1"'), /expected an integer of 0 to 2\^53-1 for bandwidth, got "-1"/],
    [representation('<SegmentTemplate timescale="0"/>'), /a timescale above 0/],
    [representation('<SegmentTemplate duration="0"/>'), /a duration above 0/],
    [representation('<SegmentTemplate availabilityTimeOffset="-1"/>'), /a number of 0 and above/],
    [representation('<SegmentBase indexRange="9-1"/>'), /FIRST-LAST for indexRange, got "9-1"/],
    [timeline('<S t="0"/>'), /expected a d above 0/],
    [timeline('<S d="1" r="-1"/><S d="1"/>'), /a t after an open repeat/],
    [timeline('<S d="1" r="9223372036854775807"/>'), /segment numbers below 2\^53/],
    [representation('<BaseURL>a</BaseURL>'.repeat(65)), /at most 64 alternative base URLs/],
  ];
  for (const [text, message] of cases) t.throws(() => parse(text), { code: 'MANIFEST_INVALID', message }, text);
  t.throws(() => parseManifest('<MPD/>', 'relative'), { code: 'MANIFEST_INVALID' });
});

t.test('limits', async (t) => {
  const limits: [string, Partial<typeof DEFAULT_XML_LIMITS>, RegExp][] = [
    ['<MPD><a><b/></a></MPD>', { maxDepth: 2 }, /at most 2 levels/],
    ['<MPD><a/><a/></MPD>', { maxElements: 2 }, /at most 2 elements/],
    ['<MPD a="1" b="2"/>', { maxAttributes: 1 }, /at most 1 attributes/],
    ['<MPD></MPD>', { maxLength: 10 }, /at most 10 characters/],
  ];
  for (const [text, limit, message] of limits) {
    t.throws(() => readXml(text, { ...DEFAULT_XML_LIMITS, ...limit }), { code: 'MANIFEST_INVALID', message });
    const [name, value] = Object.entries(limit)[0] ?? ['', 0];
    t.ok(readXml(text, { ...DEFAULT_XML_LIMITS, [name]: value + 1 }), 'one more is enough');
  }
  t.throws(() => parse(`<MPD>${'<a>'.repeat(100_000)}`), { message: /at most 32 levels/ });
});

t.test('levels that multiply each other are stopped, and many representations take one pass', async (t) => {
  const timeline = (count: number): string =>
    `<SegmentTemplate><SegmentTimeline>${'<S d="1"/>'.repeat(count)}</SegmentTimeline></SegmentTemplate>`;
  const wide = (inner: string, count: number, more = ''): string =>
    `<MPD>${more}<Period><AdaptationSet>${inner}${'<Representation id="a" bandwidth="1"/>'.repeat(count)}</AdaptationSet></Period></MPD>`;
  t.throws(() => parse(wide(timeline(40_000), 40_000)), { message: /stands for at most 67108864 characters/ });
  const urls = `<SegmentList>${'<SegmentURL media="a"/>'.repeat(40_000)}</SegmentList>`;
  t.throws(() => parse(wide(urls, 40_000)), { message: /stands for at most/ });
  const alternatives = `<BaseURL>${'x'.repeat(4000)}/</BaseURL>`.repeat(60);
  const relative = '<Representation id="b" bandwidth="1"><BaseURL>z</BaseURL></Representation>'.repeat(1000);
  t.throws(() => parse(wide(relative, 0, alternatives)), { message: /stands for at most/ });
  t.throws(() => parse(`<MPD><BaseURL>${'x'.repeat(9000)}</BaseURL></MPD>`), { message: /a URL of at most 8192/ });
  // Each representation looks for its segments on every level above; with a search they would take minutes.
  t.equal(parse(wide('', 60_000)).periods[0]?.adaptationSets[0]?.representations.length, 60_000);
});

/** What fast-xml-parser says of a document, as elements with attributes and text. */
type Plain = [name: string, attributes: Record<string, string>, text: string, children: Plain[]];

function plain({ name, attributes, text, children }: XmlElement): Plain {
  return [name, Object.fromEntries(attributes.map((a) => [a.name, a.value])), text.trim(), children.map(plain)];
}

function plainOf(node: Record<string, unknown>): Plain | null {
  const name = Object.keys(node).find((key) => key !== ':@') ?? '';
  if (name === '#text' || name.startsWith('?')) return null;
  const inner = node[name] as Record<string, unknown>[];
  const text = inner.map((child) => (typeof child['#text'] === 'string' ? child['#text'] : '')).join('');
  const attributes = (node[':@'] ?? {}) as Record<string, string>;
  return [name, attributes, text.trim(), inner.map(plainOf).filter((child) => child !== null)];
}

t.test('fast-xml-parser sees the same elements, attributes and texts', async (t) => {
  const parser = new XMLParser({
    preserveOrder: true,
    ignoreAttributes: false,
    attributeNamePrefix: '',
    parseAttributeValue: false,
    parseTagValue: false,
    trimValues: false,
    processEntities: true,
  });
  const odd = `<?xml version='1.0'?><MPD a='"&quot;' b = "&amp;&lt;"\n\tc="x>y"><!-- <x> --><P >one<![CDATA[<two>&amp;]]>three</P ><P/>é</MPD>`;
  for (const text of [...FIXTURES.map((one) => one.text), odd]) {
    const nodes = parser.parse(text) as Record<string, unknown>[];
    t.strictSame(
      plain(readXml(text)),
      nodes.map(plainOf).find((node) => node !== null),
    );
  }
});

t.test('truncation at every length, and random damage', async (t) => {
  const random = new Random(0xda5);
  const seen = new Set<string>();
  const survives = (text: string): void => {
    try {
      const manifest = parse(text);
      for (const period of manifest.periods)
        for (const set of period.adaptationSets)
          for (const one of set.representations) availableSegments(manifest, period, one, 1.7e12, 100);
      seen.add('read');
    } catch (error) {
      if (!(error instanceof SluiceError) || error.code !== 'MANIFEST_INVALID') throw error;
      seen.add('refused');
    }
  };
  const pieces = ['<', '>', '"', '&', '&#1;', ']]>', '<!--', '-1', '9'.repeat(18), '\u0000', '', 'INF'] as const;
  for (const { text } of FIXTURES) {
    for (let length = 0; length <= text.length; length += 3) survives(text.slice(0, length));
    for (let round = 0; round < 500; round++) {
      const place = random.below(text.length);
      survives(text.slice(0, place) + random.pick([...pieces]) + text.slice(place + random.below(4)));
    }
  }
  t.strictSame([...seen].sort(), ['read', 'refused']);
});
