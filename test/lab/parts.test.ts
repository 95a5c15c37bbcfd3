import t from 'tap';
import { bodyName, COLD_SIZE, coldBody } from './parts/cold.js';
import { type Fragment, FragmentReader } from './parts/fragments.js';
import { LowLatency } from './parts/low-latency.js';
import { compare } from './parts/media.js';

t.test('bodies are named by FNV-1a, and no two generations are the same', (t) => {
  // From the authors' test vectors (fnv64a of "" and of "a").
  t.equal(bodyName(Buffer.from('')), '0:cbf29ce484222325');
  t.equal(bodyName(Buffer.from('a')), '1:af63dc4c8601ec8c');
  t.equal(coldBody('/a', 1).length, COLD_SIZE);
  t.notOk(coldBody('/a', 1).equals(coldBody('/a', 2)));
  t.notOk(coldBody('/a', 1).equals(coldBody('/b', 1)));
  t.end();
});

function box(type: string, ...content: (Buffer | readonly number[])[]): Buffer {
  const bytes = content.map((one) => {
    if (Buffer.isBuffer(one)) return one;
    const words = Buffer.alloc(4 * one.length);
    for (const [i, word] of one.entries()) words.writeUInt32BE(word, 4 * i);
    return words;
  });
  const body = Buffer.concat(bytes);
  const head = Buffer.alloc(8);
  head.writeUInt32BE(body.length + 8);
  head.write(type, 4, 'latin1');
  return Buffer.concat([head, body]);
}

const NON_SYNC = 0x1010000;
const fragment = (...track: Buffer[]) =>
  Buffer.concat([box('moof', box('traf', ...track)), box('mdat', Buffer.from('x'))]);

t.test('fragments are cut at every byte, with their duration and their first sample', (t) => {
  const init = Buffer.concat([box('ftyp'), box('moov')]);
  // Defaults of the track: 1,000 units a sample, not sync; the first sample's own flags say that it is.
  const byDefault = fragment(box('tfhd', [0x28, 1, 1_000, NON_SYNC]), box('trun', [0x5, 10, 99, 0]));
  // Each sample has its own duration and flags; a base data offset is skipped.
  const bySample = fragment(box('tfhd', [0x1, 1, 0, 0]), box('trun', [0x500, 2, 300, NON_SYNC, 700, 0]));
  const stream = Buffer.concat([init, byDefault, bySample]);
  for (const size of [1, 7, stream.length]) {
    const reader = new FragmentReader(1_000);
    const found: Fragment[] = [];
    for (let at = 0; at < stream.length; at += size) found.push(...reader.take(stream.subarray(at, at + size)));
    t.strictSame(reader.init, init);
    t.strictSame(
      found.map(({ duration, independent, bytes }) => [duration, independent, bytes.length]),
      [
        [10, true, byDefault.length],
        [1, false, bySample.length],
      ],
    );
  }
  t.throws(() => new FragmentReader(1).take(Buffer.alloc(8)), RangeError);
  t.end();
});

t.test('a low-latency playlist tells parts as they come, and what comes next', (t) => {
  const hls = new LowLatency({ segment: 2, part: 1, window: 2 });
  const part = (text: string, independent: boolean) => ({ bytes: Buffer.from(text), duration: 1, independent });
  t.equal(hls.has(0), false);
  hls.add(part('a', true), 1_001_000);
  t.match(hls.playlist(), /PRELOAD-HINT:TYPE=PART,URI="seg0\.1\.m4s"/);
  t.equal(hls.file('seg0.1.m4s'), null, 'it is still to come');
  hls.add(part('b', false), 1_002_000);
  t.match(hls.playlist(), /PRELOAD-HINT:TYPE=PART,URI="seg1\.0\.m4s"/);
  t.equal(hls.has(0), false, 'a segment is there when the next begins');
  t.equal(hls.has(0, 1), true);
  hls.add(part('c', true), 1_003_000);
  t.equal(hls.has(0), true);
  t.equal(hls.has(1, 1), false);
  t.strictSame(hls.playlist().split('\n').slice(6), [
    '#EXT-X-MAP:URI="init.mp4"',
    '#EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:16:40.000Z',
    '#EXT-X-PART:DURATION=1.00000,URI="seg0.0.m4s",INDEPENDENT=YES',
    '#EXT-X-PART:DURATION=1.00000,URI="seg0.1.m4s"',
    '#EXTINF:2.00000,',
    'seg0.m4s',
    '#EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:16:42.000Z',
    '#EXT-X-PART:DURATION=1.00000,URI="seg1.0.m4s",INDEPENDENT=YES',
    '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="seg1.1.m4s"',
    '',
  ]);
  t.equal(hls.file('seg0.m4s')?.toString(), 'ab');
  t.equal(hls.file('seg0.2.m4s'), undefined, 'it never comes');
  t.equal(hls.file('seg1.m4s'), null);
  t.equal(hls.file('other'), undefined);
  t.end();
});

t.test('what was received is found in what was sent, and what is missing is counted', (t) => {
  const sent = ['aaaa', 'bbbb', 'bbbb', 'cccc', 'dddd', 'eeee'].map((text) => Buffer.from(text));
  const received = (text: string) => compare(sent, Buffer.from(text));
  t.strictSame(received('aaaabbbbbbbbccccddddeeee'), { first: 0, packets: 6, missing: 0 });
  t.strictSame(received('bbbbbbbbccccdddd'), { first: 1, packets: 4, missing: 0 }, 'begins later, ends earlier');
  t.strictSame(received('aaaabbbbddddee'), { first: 0, packets: 5, missing: 2 }, 'the last one is cut off');
  t.equal(received(''), undefined);
  t.equal(received('xxxx'), undefined);
  t.equal(received('aaaaccccbbbb'), undefined, 'another order');
  t.equal(received('aaaabbbxcccc'), undefined, 'another byte');
  t.end();
});
