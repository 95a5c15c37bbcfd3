import { Parser } from 'm3u8-parser';
import { test } from 'tap';
import { EPOCH_MS, type LiveClip } from '../../daemon/replay/live-clip.js';
import { loadClips } from '../../daemon/replay/load.js';
import { clocks, continuityErrors, HIGH, LOW } from './fixtures.js';

const LOOP_MS = 16_000;
const SEGMENTS = 8;
/** The begin of a loop on a day like any other. */
const START = EPOCH_MS + LOOP_MS * 1_900_000;

function load(file = HIGH, segmentMs = 2000): LiveClip {
  const [clip] = loadClips([`a=${file}`], { segmentMs, window: 4 });
  if (clip === undefined) throw new Error('no clip');
  return clip;
}

function manifestOf(text: string): Parser['manifest'] {
  const parser = new Parser();
  parser.push(text);
  parser.end();
  return parser.manifest;
}

test('the playlist moves on by the wall clock, one segment at a time', (t) => {
  const clip = load();
  let last = manifestOf(clip.playlist(START, '')).mediaSequence;
  for (let at = START; at < START + 3 * LOOP_MS; at += 250) {
    const { mediaSequence, targetDuration, segments } = manifestOf(clip.playlist(at, 'x/'));
    t.equal(targetDuration, 2);
    t.equal(segments.length, 4);
    t.strictSame(
      segments.map(({ uri, duration }) => [uri, duration]),
      [0, 1, 2, 3].map((n) => [`x/${mediaSequence + n}.ts`, 2]),
    );
    t.ok(mediaSequence === last || mediaSequence === last + 1);
    last = mediaSequence;
  }
  t.equal(last, Math.floor((START + 3 * LOOP_MS - 250 - EPOCH_MS) / 2000) - 4);
  t.end();
});

test('segments are to be had from their end until well after they have left the playlist', (t) => {
  const clip = load();
  const newest = clip.newest(START);
  t.equal(newest, 1_900_000 * SEGMENTS - 1);
  t.equal(clip.newest(START - 1), newest - 1);
  t.ok(clip.isAvailable(newest, START));
  t.notOk(clip.isAvailable(newest + 1, START + 1999));
  t.ok(clip.isAvailable(newest + 1, START + 2000));
  t.ok(clip.isAvailable(newest - 11, START));
  t.notOk(clip.isAvailable(newest - 12, START));
  t.end();
});

test('what is due follows the PCR: bytes by the clock, and a second clip agrees', (t) => {
  const clip = load(LOW);
  const restarted = load(LOW);
  let sent = 0;
  let before = clip.position(START);
  t.strictSame(before, { number: 1_900_000 * SEGMENTS, offset: 0 });
  for (let at = START + 20; at <= START + LOOP_MS; at += 20) {
    const now = clip.position(at);
    t.strictSame(restarted.position(at), now);
    const step = now.number - before.number;
    t.ok(step === 0 || step === 1);
    const bytes =
      step === 0 ? now.offset - before.offset : clip.segment(before.number).length - before.offset + now.offset;
    t.ok(bytes >= 0 && bytes <= 188 * 8, 'never a burst: 20 ms are 6 packets');
    sent += bytes;
    before = now;
  }
  t.equal(
    sent,
    [...Array(SEGMENTS).keys()].reduce((sum, n) => sum + clip.segment(n).length, 0),
  );
  t.end();
});

test('segments in their order are one stream, whoever rendered them', (t) => {
  const [one, two] = [load(), load()];
  const newest = one.newest(START);
  // Across the loop's end, each from the other origin.
  const numbers = [...Array(12).keys()].map((n) => newest - 5 + n);
  const ts = Buffer.concat(numbers.map((n) => Buffer.from((n % 2 === 0 ? one : two).segment(n))));
  t.equal(continuityErrors(ts), 0);
  const pcrs = clocks(ts);
  t.ok(pcrs.every((pcr, at) => at === 0 || pcr > (pcrs[at - 1] ?? 0)));
  t.end();
});

test('longer segments hold several groups', (t) => {
  const clip = load(HIGH, 5000);
  const { segments, targetDuration } = manifestOf(clip.playlist(START, ''));
  t.equal(targetDuration, 6);
  t.strictSame(
    segments.map(({ duration }) => duration),
    [4, 6, 6, 4],
  );
  t.end();
});
