/** Captures that others wrote are read as tshark reads them, and ours are read by tshark. */
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'pcap-parser';
import { type Test, test } from 'tap';
import { ROOT } from '../../daemon/cli/root.js';
import { sluice } from '../cli/lib/program.js';
import { dumpProgram } from './dump-program.js';
import { HIGH, LOW, temporaryFolder } from './fixtures.js';
import { type Dissected, dissect, has, must } from './tshark.js';

const TOOLS = ['tshark', 'editcap', 'mergecap', 'text2pcap', 'g++'];
const missing = TOOLS.filter((tool) => !has(tool));
const skip = missing.length > 0 ? `not installed: ${missing.join(', ')}` : false;
/** Captures of real routers, which stand beside the project where it is developed. */
const SHARED = process.env.SLUICE_SHARED_PCAP ?? join(ROOT, '..', 'shared', 'pcap');

/** The program that prints what our reader reads. */
const program =
  skip === false ? dumpProgram('test/replay/capture-dump.cc', ['capture_reader', 'packet', 'ip_header']) : '';

function read(file: string): Dissected[] {
  const text = must(program, [file]);
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [time = '', captured, original, tags = '', source = '', destination = '', ports = ''] = line.split('\t');
      return {
        timeNs: time === '' ? null : BigInt(time),
        captured: Number(captured),
        original: Number(original),
        vlans: tags.split(',').filter(Boolean).map(Number),
        source,
        destination,
        ports,
      };
    });
}

/** Packet by packet, the first that differs is shown. */
function same(t: Test, file: string, expected: readonly Dissected[] = dissect(file)): void {
  const got = read(file);
  t.equal(got.length, expected.length, `${file}: packets`);
  const differs = expected.findIndex((packet, at) => describe(packet) !== describe(got[at]));
  t.equal(describe(got[differs]), describe(expected[differs]), `${file}: packet ${differs + 1}`);
}

function describe(packet: Dissected | undefined): string {
  return JSON.stringify(packet, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value));
}

function own(): string[] {
  const folder = join(ROOT, 'fixtures', 'pcap');
  return readdirSync(folder)
    .filter((name) => /\.(pcap|pcapng)$/.test(name))
    .map((name) => join(folder, name));
}

function shared(): string[] {
  if (!existsSync(SHARED)) return [];
  return readdirSync(SHARED)
    .filter((name) => name.endsWith('.pcap'))
    .map((name) => join(SHARED, name));
}

/** The first packets of a fixture, in a format and, where given, declared to be of another link type. */
function converted(t: Test, format: string, options: readonly string[] = []): string {
  const file = join(temporaryFolder(t), `${format}-${options.join('')}.cap`);
  must('editcap', ['-F', format, ...options, '-r', LOW, file, '1-40']);
  return file;
}

test('our own captures, packet by packet', { skip, timeout: 180_000 }, (t) => {
  t.ok(own().length >= 2);
  for (const file of own()) same(t, file);
  t.end();
});

test('captures of real routers, and each of them as pcapng', {
  skip: skip === false && shared().length === 0 ? 'no ../shared/pcap' : skip,
  timeout: 180_000,
}, (t) => {
  const folder = temporaryFolder(t);
  for (const file of shared()) {
    same(t, file);
    for (const format of ['pcapng', 'nsecpcap']) {
      const copy = join(folder, format);
      must('editcap', ['-F', format, file, copy]);
      same(t, copy);
    }
  }
  t.end();
});

test('every format that editcap writes', { skip, timeout: 180_000 }, (t) => {
  for (const format of ['pcap', 'nsecpcap', 'pcapng']) {
    same(t, converted(t, format));
    same(t, converted(t, format, ['-s', '60']));
  }
  t.end();
});

test('every link type, in every format: only the link header differs', { skip, timeout: 180_000 }, (t) => {
  // What editcap takes off the front of each frame, and the header that is then put there.
  const link = (name: string, header: readonly number[]): readonly [string, readonly number[]] => [name, header];
  const cooked = [0, 2, 3, 4, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0];
  const cooked2 = [0, 0, 0, 0, 0, 2, 0, 1, 2, 6, 2, 0, 0, 0, 0, 1, 0, 0];
  const mac = [1, 0, 0x5e, 0x7f, 0, 2, 2, 0, 0, 0, 0, 1];
  const links = [
    link('ether', [...mac, 0x08, 0x00]),
    link('ether', [...mac, 0x81, 0x00, 0x60, 0x64, 0x08, 0x00]),
    link('ether', [...mac, 0x88, 0xa8, 0x00, 0x07, 0x81, 0x00, 0x00, 0x64, 0x08, 0x00]),
    link('rawip', []),
    link('linux-sll', [...cooked, 0x08, 0x00]),
    link('linux-sll', [...cooked, 0x81, 0x00, 0x00, 0x64, 0x08, 0x00]),
    link('linux-sll2', [0x08, 0x00, ...cooked2]),
    link('null', [2, 0, 0, 0]),
    link('loop', [0, 0, 0, 2]),
  ];
  const folder = temporaryFolder(t);
  const ipv4 = frames(LOW, 40);
  for (const [name, header] of links) {
    const hex = join(folder, 'hex');
    writeFileSync(hex, ipv4.map((packet) => hexdump([...header, ...packet])).join('\n'));
    const raw = join(folder, 'raw.pcapng');
    must('text2pcap', ['-q', '-l', '147', '-t', '%s.%f', hex, raw]);
    for (const format of ['pcap', 'nsecpcap', 'pcapng']) {
      const file = join(folder, `${name}-${header.length}.${format}`);
      must('editcap', ['-F', format, '-T', name, raw, file]);
      const packets = dissect(file);
      t.ok(
        packets.every(({ ports }) => ports.endsWith('-5000') || ports.endsWith('-5001')),
        `${name}: tshark sees UDP`,
      );
      same(t, file, packets);
    }
  }
  t.end();
});

/** The IPv4 packets of a capture of Ethernet frames. */
function frames(file: string, count: number): Uint8Array[] {
  const bytes = readFileSync(file);
  const out: Uint8Array[] = [];
  for (let at = 24; out.length < count; ) {
    const size = bytes.readUInt32LE(at + 8);
    out.push(bytes.subarray(at + 16 + 14, at + 16 + size));
    at += 16 + size;
  }
  return out;
}

function hexdump(packet: readonly number[]): string {
  const bytes = Buffer.from(packet).toString('hex').match(/../g) ?? [];
  return `1763635000.123456789\n000000 ${bytes.join(' ')}\n`;
}

test('several interfaces and sections, as mergecap and a concatenation make them', { skip, timeout: 180_000 }, (t) => {
  const folder = temporaryFolder(t);
  const [a, b] = [converted(t, 'pcapng'), converted(t, 'nsecpcap')];
  const merged = join(folder, 'merged.pcapng');
  must('mergecap', ['-I', 'none', '-w', merged, a, b]);
  same(t, merged);
  const sections = join(folder, 'sections.pcapng');
  writeFileSync(sections, Buffer.concat([readFileSync(merged), readFileSync(a)]));
  same(t, sections);
  t.end();
});

test('pcap-parser reads classic files as we do', { skip, timeout: 180_000 }, async (t) => {
  for (const file of [HIGH, LOW, ...shared()]) {
    // It knows microseconds only.
    const micro = join(temporaryFolder(t), 'micro.pcap');
    must('editcap', ['-F', 'pcap', file, micro]);
    const packets = await oracle(micro);
    const ours = read(micro).map(({ timeNs, captured, original }) => ({ timeNs, captured, original }));
    t.strictSame(ours, packets, file);
  }
});

type Plain = Pick<Dissected, 'timeNs' | 'captured' | 'original'>;

function oracle(file: string): Promise<Plain[]> {
  return new Promise((resolve, reject) => {
    const packets: Plain[] = [];
    parse(file)
      .on('packet', ({ header }) => {
        const timeNs = BigInt(header.timestampSeconds) * 1_000_000_000n + BigInt(header.timestampMicroseconds) * 1000n;
        packets.push({ timeNs, captured: header.capturedLength, original: header.originalLength });
      })
      .on('end', () => resolve(packets))
      .on('error', reject);
  });
}

test('truncated at every byte: the packets before the cut, and its place', { skip, timeout: 240_000 }, (t) => {
  const files = [...shared().filter((file) => statSync(file).size < 8000), converted(t, 'pcap', ['-s', '60'])];
  const folder = temporaryFolder(t);
  for (const file of files) {
    for (const format of ['pcap', 'nsecpcap', 'pcapng']) {
      const whole = join(folder, format);
      must('editcap', ['-F', format, file, whole]);
      const total = read(whole).length;
      const cuts = must(program, ['--cuts', whole])
        .trimEnd()
        .split('\n')
        .map((line) => line.split('\t').map(Number));
      const clean = cuts.filter(([, offset]) => offset === -1);
      t.equal(cuts.at(-1)?.[0], total, `${file} as ${format}`);
      t.ok(
        cuts.every(([, offset = -1], size) => offset <= size),
        'no offset behind the cut',
      );
      t.ok(
        cuts.every(([packets = 0], size) => size === 0 || packets >= (cuts[size - 1]?.[0] ?? 0)),
        'never fewer packets',
      );
      // Nothing is wrong only after the header, after each packet, and after each other block of pcapng.
      t.ok(clean.length >= total + 1 && clean.length <= total + 4, `${clean.length} clean cuts, ${total} packets`);
    }
  }
  t.end();
});

test('a damaged file: listed up to the damage, told with its offset, exit code 1', { timeout: 180_000 }, async (t) => {
  const file = join(temporaryFolder(t), 'cut.pcap');
  writeFileSync(file, readFileSync(LOW).subarray(0, 20_000));
  const { code, stdout, stderr } = await sluice(t, 'replay', '--list', file);
  t.equal(code, 1);
  t.match(stdout, /cut\.pcap: 14 packets/);
  t.match(stdout, /^ +1 +127\.0\.0\.1:\d+ +239\.255\.0\.2:5000 +rtp +\d+ /m);
  t.match(
    stderr,
    /CAPTURE_INVALID: .*cut\.pcap: at byte 1\d{4}: expected a packet that ends before the file does, got \d+ bytes/,
  );
});
