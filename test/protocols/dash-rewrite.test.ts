import t from 'tap';
import { SluiceError } from '../../daemon/base/errors.js';
import { parseManifest } from '../../daemon/protocols/dash/parse.js';
import { type DashRole, rewriteDash } from '../../daemon/protocols/dash/rewrite.js';
import { Random } from '../lab/lib/random.js';
import { FIXTURES, fixture, oracle, URL_OF_MPD } from './dash-fixtures.js';

const identity = (_url: string, _role: DashRole, written: string): string => written;

t.test('with the identity nothing changes', async (t) => {
  for (const { name, text } of FIXTURES)
    for (const variant of [text, `\ufeff${text.replaceAll('\n', '\r\n')}  \n<!-- end -->`]) {
      t.equal(rewriteDash(variant, URL_OF_MPD, identity), variant, name);
      t.equal(
        rewriteDash(variant, URL_OF_MPD, () => null),
        variant,
        name,
      );
    }
});

/** `<<ROLE URL WRITTEN>>` stands for a reference; WRITTEN as in the document. */
const MARK = /<<([a-z-]+) (\S+) (.*?)>>(?!>)/g;

const DOCUMENT = `<?xml version="1.0"?>
<!-- <BaseURL>http://comment.example/</BaseURL> -->
<MPD xmlns:xlink='http://www.w3.org/1999/xlink'   type = "dynamic" >
  <BaseURL  serviceLocation="a">
    <<base https://cdn.example/a/?x=1&y=2 https://cdn.example/a/?x=1&amp;y=2>>
  </BaseURL>
  <BaseURL><<base https://origin.example/b/ /b/>></BaseURL>
  <Location><<location https://origin.example/live/ch1/next.mpd next.mpd>></Location>
  <PatchLocation ttl="1"><<patch-location https://origin.example/p.mpp ../../p.mpp>></PatchLocation>
  <ContentSteering><<steering https://steer.example/?a=1&b=2 <![CDATA[https://steer.example/?a=1&b=2]]>>></ContentSteering>
  <Period xlink:href="<<xlink https://cdn.example/a/period.xml period.xml>>">
    <BaseURL><<base https://cdn.example/a/p/ p/>></BaseURL>
    <EventStream schemeIdUri="http://scheme.example/" xlink:href='<<xlink https://e.example/ https://e.example/>>'>
      <Event><BaseURL>http://event.example/</BaseURL></Event>
    </EventStream>
    <AdaptationSet>
      <ContentProtection schemeIdUri="urn:x"><BaseURL>http://license.example/</BaseURL></ContentProtection>
      <ProducerReferenceTime><UTCTiming schemeIdUri="urn:mpeg:dash:utc:http-iso:2014" value="<<timing https://origin.example/time /time>>"/></ProducerReferenceTime>
      <SegmentTemplate startNumber="1" initialization='<<initialization https://cdn.example/a/p/$RepresentationID$/i.mp4 $RepresentationID$/i.mp4>>'
        media="<<media https://m.example/$Number%05d$-$Time$.m4s?a=$$ https://m.example/$Number%05d$-$Time$.m4s?a=$$>>" index="<<index https://cdn.example/x$Number$ /x$Number$>>" duration="2"/>
      <Representation id="1" bandwidth="1">
        <BaseURL><<base https://cdn.example/a/p/r/ r/>></BaseURL>
        <SegmentList bitstreamSwitching="no.mp4">
          <Initialization range="0-9" sourceURL="<<initialization https://cdn.example/a/p/r/i i>>" />
          <RepresentationIndex sourceURL="<<index https://cdn.example/a/p/r/ri ri>>"/>
          <BitstreamSwitching sourceURL="<<bitstream-switching https://cdn.example/a/p/r/bs bs>>"/>
          <SegmentURL media="<<media https://cdn.example/a/p/r/1.mp4 1.mp4>>" index="<<index https://cdn.example/a/p/r/1.i 1.i>>"/>
          <SegmentURL mediaRange="1-2"/>
        </SegmentList>
      </Representation>
    </AdaptationSet>
  </Period>
  <Period xlink:href="urn:mpeg:dash:resolve-to-zero:2013"/>
  <own:BaseURL>http://own.example/</own:BaseURL>
  <UTCTiming schemeIdUri="urn:mpeg:dash:utc:http-xsdate:2014" value=" <<timing https://t.example/?iso&ms https://t.example/?iso&ms>>  <<timing https://u.example/ https://u.example/>>"/>
  <UTCTiming schemeIdUri="urn:mpeg:dash:utc:direct:2014" value="2024-05-01T12:00:00Z"/>
  <UTCTiming schemeIdUri="urn:mpeg:dash:utc:ntp:2014" value="ntp.example"/>
</MPD>`;

t.test('every reference is replaced where it stands, and nothing else', async (t) => {
  const before = DOCUMENT.replace(MARK, (_, _role, _url, written: string) => written);
  const proxied = (url: string, role: string): string => `/p?r=${role}&'"<u=${url}`;
  const escaped = (text: string): string =>
    text.replaceAll('&', '&amp;').replaceAll("'", '&apos;').replaceAll('"', '&quot;').replaceAll('<', '&lt;');
  const after = DOCUMENT.replace(MARK, (_, role: string, url: string) => escaped(proxied(url, role)));
  t.equal(rewriteDash(before, URL_OF_MPD, proxied), after);
  // Read again, the references are what was put there.
  const asked: string[] = [];
  rewriteDash(after, URL_OF_MPD, (_url, role, written) => {
    asked.push(`${role} ${written}`);
    return null;
  });
  t.strictSame(
    asked.sort(),
    [...DOCUMENT.matchAll(MARK)].map(([, role = '', url = '']) => `${role} ${proxied(url, role)}`).sort(),
  );
});

t.test('a proxy that serves origins below paths: mpd-parser lists the same segments, at the proxy', async (t) => {
  const proxy = 'http://edge.example';
  const origins = new Map<string, string>();
  /** `https://host/path` is served as `http://edge.example/<name of the host>/path`. */
  const place = (url: string): string => {
    const { origin, pathname, search } = new URL(url);
    const name = origin.replace(/\W+/g, '-');
    origins.set(name, origin);
    return `/${name}${pathname}${search}`;
  };
  const placed = place(URL_OF_MPD);
  for (const { name, text, nowMs } of FIXTURES) {
    const rewritten = rewriteDash(text, URL_OF_MPD, (url, _role, written) =>
      /^([a-z]+:|\/)/i.test(written) ? place(url) : null,
    );
    const back = (url: string): string => {
      const [, host = '', rest = ''] = /^http:\/\/edge\.example\/([^/]*)(.*)$/.exec(url) ?? [];
      return `${origins.get(host)}${rest}`;
    };
    const list = (document: string, url: string, change: (url: string) => string): unknown =>
      oracle(document, nowMs, url).map(({ attributes, segments = [] }) => [
        attributes.id,
        segments.map((s) => [change(s.resolvedUri), change(s.map.resolvedUri), s.number, s.duration]),
      ]);
    const original = list(text, URL_OF_MPD, (url) => url);
    t.strictSame(list(rewritten, `${proxy}${placed}`, back), original, name);
    // And so do we.
    const bases = (document: string, url: string, change: (url: string) => string): unknown =>
      parseManifest(document, url).periods.map((period) =>
        period.adaptationSets.map((set) =>
          set.representations.map(({ baseUrls }) => baseUrls.map((base) => change(base.url))),
        ),
      );
    t.strictSame(
      bases(rewritten, `${proxy}${placed}`, back),
      bases(text, URL_OF_MPD, (url) => url),
      name,
    );
  }
});

t.test('what cannot be read is refused with its place', async (t) => {
  const map = (): string => '/p';
  const cases: [string, RegExp][] = [
    ['<MPD><BaseURL>http://[</BaseURL></MPD>', /line 1:6: expected a URL, got "http:\/\/\["/],
    ['<MPD>', /expected <\/MPD>/],
    ['<Patch/>', /expected an MPD/],
    [`<MPD>${' '.repeat(4 * 2 ** 20)}</MPD>`, /at most 4194304 characters/],
  ];
  for (const [text, message] of cases)
    t.throws(() => rewriteDash(text, URL_OF_MPD, map), { code: 'MANIFEST_INVALID', message });
});

t.test('names of the language are no names of ours', async (t) => {
  const text = '<MPD><constructor/><toString a="b">c</toString><__proto__/></MPD>';
  t.equal(
    rewriteDash(text, URL_OF_MPD, () => 'changed'),
    text,
  );
});

t.test('damaged documents are rewritten or refused', async (t) => {
  const random = new Random(0xd45);
  const pieces = ['<', '>', '"', '&', '</', '<!--', '\u0000', ' ', '<BaseURL>', 'http://['] as const;
  const { text } = fixture('live-timeline.mpd');
  let read = 0;
  for (let round = 0; round < 3000; round++) {
    const place = random.below(text.length);
    const damaged = text.slice(0, place) + random.pick([...pieces]) + text.slice(place + random.below(4));
    try {
      if (rewriteDash(damaged, URL_OF_MPD, identity) !== damaged) t.fail(`changed at ${place}`);
      read += 1;
    } catch (error) {
      if (!(error instanceof SluiceError) || error.code !== 'MANIFEST_INVALID') throw error;
    }
  }
  t.ok(read > 100 && read < 2900, `${read} of 3000 were read`);
});

t.test('large documents take one pass', async (t) => {
  const urls = Array.from({ length: 60_000 }, (_, n) => `<SegmentURL media="${n}.mp4"/>\n`).join('');
  const text = `<MPD><Period><AdaptationSet><Representation id="a" bandwidth="1"><SegmentList>${urls}</SegmentList></Representation></AdaptationSet></Period></MPD>`;
  const rewritten = rewriteDash(text, URL_OF_MPD, (_url, _role, written) => `/x/${written}`);
  t.equal(rewritten, text.replaceAll('media="', 'media="/x/'));
  for (const hostile of [`<MPD a="${'&'.repeat(2 ** 20)}"/>`, `<MPD ${' '.repeat(2 ** 20)}`, '<MPD>'.repeat(2 ** 19)])
    try {
      rewriteDash(hostile, URL_OF_MPD, identity);
    } catch (error) {
      t.match(error, { code: 'MANIFEST_INVALID' });
    }
});
