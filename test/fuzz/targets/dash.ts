import assert from 'node:assert/strict';
import { parseManifest } from '../../../daemon/protocols/dash/parse.js';
import { rewriteDash } from '../../../daemon/protocols/dash/rewrite.js';
import { availableSegments } from '../../../daemon/protocols/dash/segments.js';
import { type FuzzTarget, textOf, unlessRefused } from '../lib/target.js';

const URL_OF_MPD = 'https://origin.example/live/ch1/manifest.mpd?token=1';
const NOW_MS = Date.parse('2026-11-20T11:04:17.700Z');
const MOST = 50;

export const target: FuzzTarget = {
  name: 'dash',
  seeds: ['fixtures/dash'],
  tokens: [
    '<!DOCTYPE a [<!ENTITY b "c">]>',
    '&b;',
    '&#0;',
    '&#x110000;',
    '<![CDATA[',
    ']]>',
    '<!--',
    '-->',
    '<S t="0" d="1" r="-1"/>',
    '<SegmentTimeline>',
    '<BaseURL>../</BaseURL>',
    '$Number%09999d$',
    '$Time$',
    'timescale="0"',
    'PT1e9S',
    'xlink:href="urn:mpeg:dash:resolve-to-zero:2013"',
  ],
  check(document) {
    const text = textOf(document);
    const manifest = unlessRefused(['MANIFEST_INVALID'], () => parseManifest(text, URL_OF_MPD));
    for (const period of manifest?.periods ?? []) {
      for (const representation of period.adaptationSets.flatMap((set) => set.representations)) {
        const segments = availableSegments(manifest ?? assert.fail(), period, representation, NOW_MS, MOST);
        assert.ok(segments.length <= MOST);
        for (const { url, startMs, durationMs } of segments)
          assert.ok(
            URL.canParse(url) && Number.isFinite(startMs) && durationMs >= 0,
            `${url} ${startMs} ${durationMs}`,
          );
      }
    }
    checkRewriting(text);
  },
};

/** What nothing is put into stays as it is, and what is put in is found again. */
function checkRewriting(text: string): void {
  const untouched = unlessRefused(['MANIFEST_INVALID'], () => rewriteDash(text, URL_OF_MPD, () => null));
  if (untouched === null) return;
  assert.equal(untouched, text);
  const seen: string[] = [];
  const moved = rewriteDash(text, URL_OF_MPD, (url, role) =>
    role === 'base' || role === 'location' ? `/m?u=${encodeURIComponent(url)}&a` : null,
  );
  rewriteDash(moved, URL_OF_MPD, (_url, role, written) => {
    if (role === 'base' || role === 'location') seen.push(written);
    return null;
  });
  assert.ok(
    seen.every((written) => !/^https?:/.test(written.trim())),
    seen.join(' '),
  );
}
