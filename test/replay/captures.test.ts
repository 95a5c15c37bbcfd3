import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'pcap-parser';
import { type Test, test } from 'tap';
import { SluiceError } from '../../daemon/base/errors.js';
import { createClip, readCapture } from '../../daemon/plane/captures.js';
import { loadClips } from '../../daemon/replay/load.js';
import { clocks, continuityErrors, HIGH, LOW, PACKET, temporaryFolder } from './fixtures.js';

const ETHERNET_IPV4_UDP = 14 + 20 + 8;
const RTP = 12;
const OPTIONS = { segmentMs: 2000, window: 6 };

/** The MPEG-TS of a fixture as pcap-parser and fixed offsets give it. */
function oracle(path: string): Promise<{ readonly packets: number; readonly ts: Buffer }> {
  return new Promise((resolve, reject) => {
    const pieces: Buffer[] = [];
    parse(path)
      .on('packet', ({ data }) => {
        const isMedia = data.readUInt16BE(36) === 5000;
        if (isMedia) pieces.push(data.subarray(ETHERNET_IPV4_UDP + RTP));
      })
      .on('end', () => resolve({ packets: pieces.length, ts: Buffer.concat(pieces) }))
      .on('error', reject);
  });
}

function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** What a call throws, which must be ours. */
function failure(t: Test, call: () => unknown): SluiceError {
  try {
    call();
  } catch (error) {
    if (error instanceof SluiceError) return error;
    throw error;
  }
  t.fail('it was taken');
  throw new Error('not reached');
}

test('the flows of the fixtures are those that pcap-parser finds', { timeout: 60_000 }, async (t) => {
  for (const [path, destination] of [
    [HIGH, '239.255.0.1'],
    [LOW, '239.255.0.2'],
  ] as const) {
    const expected = await oracle(path);
    const { flows, damage } = readCapture(path);
    const [flow, ...others] = flows;
    t.equal(damage, null);
    t.equal(others.length, 0);
    t.match(flow, { source: '127.0.0.1', destination, port: 5000, rtp: true, packets: expected.packets });
    t.equal(digest(flow?.ts ?? new Uint8Array()), digest(expected.ts));
    t.ok((flow?.durationMs ?? 0) > 16_000);
  }
});

test('a clip goes on from loop to loop', (t) => {
  const [flow] = readCapture(HIGH).flows;
  const clip = createClip(flow?.ts ?? new Uint8Array(), { name: 'high', segmentMs: 2000 });
  t.match(clip.info, { durationMs: 16_000, accessPoints: 8, continuityErrors: 0, pcrPid: 0x100 });
  t.strictSame(
    clip.info.streams.map(({ pid, type, jointMs }) => [pid, type, jointMs]),
    [
      [0x100, 0x1b, 0],
      [0x101, 0x0f, 0],
    ],
  );
  const loops = [7, 8, 9].flatMap((loop) => clip.info.segments.map((_, segment) => clip.render(segment, loop)));
  const ts = Buffer.concat(loops);
  t.equal(continuityErrors(ts), 0);
  const pcrs = clocks(ts);
  const steps = pcrs.slice(1).map((pcr, at) => (pcr - (pcrs[at] ?? 0)) / 27_000);
  t.ok(Math.min(...steps) > 0 && Math.max(...steps) < 40, 'the PCR comes at least every 40 ms and never goes back');
  t.end();
});

test('arguments out of range are refused', (t) => {
  const [flow] = readCapture(LOW).flows;
  const clip = createClip(flow?.ts ?? new Uint8Array(), { name: 'low', segmentMs: 2000 });
  for (const [segment, loop] of [
    [8, 0],
    [-1, 0],
    [0.5, 0],
    [Number.NaN, 0],
    [0, 0.5],
    [0, Number.POSITIVE_INFINITY],
  ] as const) {
    t.throws(() => clip.render(segment, loop), RangeError);
  }
  t.throws(() => createClip(new Uint8Array(188), { name: 'x', segmentMs: Number.NaN }), RangeError);
  t.end();
});

test('what is no capture is told with file, offset, what was expected and what came', (t) => {
  const folder = temporaryFolder(t);
  const write = (name: string, bytes: Uint8Array): string => {
    writeFileSync(join(folder, name), bytes);
    return join(folder, name);
  };
  const good = readFileSync(LOW);
  const wrong = (at: number, bytes: readonly number[]): Buffer => {
    const copy = Buffer.from(good.subarray(0, 20_000));
    copy.set(bytes, at);
    return copy;
  };
  const cases: [string, RegExp][] = [
    [join(folder, 'none.pcap'), /: expected a file, got: No such file/],
    [folder, /: expected a file, got: Is a directory/],
    [
      write('empty', new Uint8Array()),
      /at byte 0: expected a file header of at least 24 bytes, got the end of the file after 0 bytes/,
    ],
    [write('text', Buffer.from('#EXTM3U\n'.repeat(10))), /at byte 0: expected the magic number .* got 23455854/],
    [
      write('pcapng', wrong(0, [0x0a, 0x0d, 0x0d, 0x0a])),
      /at byte 8: expected the byte order of a section .* got 00000000/,
    ],
    [
      write('oversized', wrong(32, [0xff, 0xff, 0xff, 0xff])),
      /at byte 32: expected a captured length .* got 4294967295/,
    ],
  ];
  for (const [path, message] of cases) {
    const error = failure(t, () => readCapture(path));
    t.equal(error.code, 'CAPTURE_INVALID', path);
    t.match(error.message, message);
    t.ok(error.message.startsWith(path), 'the file is named');
  }
  const empty = failure(t, () => readCapture(write('header', good.subarray(0, 24))));
  t.match(empty, { code: 'CAPTURE_EMPTY', message: /header: expected MPEG-TS over UDP or RTP, got 0 packets/ });
  const radio = failure(t, () => readCapture(write('link', wrong(20, [0x69]).subarray(0, 24 + 2 * (16 + 1370)))));
  t.match(radio, { code: 'CAPTURE_EMPTY', message: /2 were of link type 105, which is not looked into/ });
  t.end();
});

test('of a capture cut anywhere what is before the cut is read, and the cut is told', (t) => {
  const path = join(temporaryFolder(t), 'cut.pcap');
  const good = readFileSync(LOW).subarray(0, 24 + 3 * (16 + 1370));
  const whole = new Set([1, 2, 3].map((records) => 24 + records * (16 + 1370)));
  for (let size = 0; size <= good.length; size += size > 60 && size < good.length - 40 ? 13 : 1) {
    writeFileSync(path, good.subarray(0, size));
    const packets = Math.floor((size - 24) / 1386);
    if (packets < 1) {
      t.match(failure(t, () => readCapture(path)).code, /^CAPTURE_(INVALID|EMPTY)$/);
      continue;
    }
    const { flows, damage } = readCapture(path);
    t.equal(flows[0]?.ts.length, packets * 7 * PACKET);
    if (whole.has(size)) t.equal(damage, null);
    else {
      // At the record, or at its length where that is there.
      const record = 24 + packets * 1386;
      t.match(damage, new RegExp(`^${path}: at byte (${record}|${record + 8}): expected .*, got .*`));
    }
  }
  t.end();
});

test('random bytes are refused', (t) => {
  const path = join(temporaryFolder(t), 'random.pcap');
  const header = readFileSync(LOW).subarray(0, 24);
  for (let round = 0; round < 300; round++) {
    writeFileSync(path, Buffer.concat([round % 2 === 0 ? header : Buffer.alloc(0), randomBytes(1 + round * 10)]));
    t.match(failure(t, () => loadClips([path], OPTIONS)).code, /^CAPTURE_(INVALID|EMPTY)$/);
  }
  t.end();
});

test('a capture without two access points is no clip', (t) => {
  const path = join(temporaryFolder(t), 'short.pcap');
  writeFileSync(path, readFileSync(LOW).subarray(0, 24 + 40 * 1386));
  const error = failure(t, () => loadClips([path], OPTIONS));
  t.equal(error.code, 'CAPTURE_INVALID');
  t.match(
    error.message,
    /short\.pcap \(RTP to 239\.255\.0\.2 port 5000\): expected at least two random access points on PID 256/,
  );
  t.end();
});

test('names come from the files, or are given', (t) => {
  const names = (...files: string[]): string[] => loadClips(files, OPTIONS).map(({ name }) => name);
  t.strictSame(names(HIGH, LOW), ['demo-high', 'demo-low']);
  t.strictSame(names(`high=${HIGH}`, LOW), ['high', 'demo-low']);
  t.match(
    failure(t, () => names(HIGH, `demo-high=${LOW}`)),
    { code: 'USAGE', message: /got demo-high twice/ },
  );
  const folder = join(temporaryFolder(t), 'a=b');
  mkdirSync(folder);
  const odd = join(folder, 'my film.pcap');
  writeFileSync(odd, readFileSync(LOW));
  t.match(
    failure(t, () => names(odd)),
    { code: 'USAGE', message: /got my film; write NAME=FILE/ },
  );
  t.strictSame(names(`film=${odd}`), ['film']);
  t.end();
});
