/** Control messages of IGMP, MLD and PIM: what our codecs read is, field by field, what tshark reads; ours it finds nothing wrong with. */
import { existsSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { type Test, test } from 'tap';
import { z } from 'zod';
import { ROOT } from '../../daemon/cli/root.js';
import { dumpProgram } from '../replay/dump-program.js';
import { temporaryFolder } from '../replay/fixtures.js';
import { has, must } from '../replay/tshark.js';
import { dissectControl, type Values } from './dissection.js';

const missing = ['tshark', 'g++'].filter((tool) => !has(tool));
const skip = missing.length > 0 ? `not installed: ${missing.join(', ')}` : false;
/** Captures of real routers, which stand beside the project where it is developed. */
const SHARED = process.env.SLUICE_SHARED_PCAP ?? join(ROOT, '..', 'shared', 'pcap');
const OWN = join(ROOT, 'fixtures', 'pcap');
const CODEC = [
  ...['capture_reader', 'capture_writer', 'packet', 'ip_header', 'control_ip', 'igmp', 'mld'],
  ...['pim', 'pim_hello', 'pim_register', 'pim_join_prune', 'pim_assert', 'pim_bootstrap'],
];

/** The program that prints what our codecs read. */
const program = skip === false ? dumpProgram('test/control/control-dump.cc', CODEC) : '';
const line = z.object({ frame: z.number(), values: z.record(z.string(), z.array(z.string())) });

/** What our codecs read, by the packet's number. */
function read(file: string): Map<number, Values> {
  const lines = must(program, [file]).split('\n').filter(Boolean);
  return new Map(lines.map((text) => line.parse(JSON.parse(text))).map(({ frame, values }) => [frame, values]));
}

/** Compares all control messages of a capture, and gives their number. */
function same(t: Test, file: string): number {
  const ours = read(file);
  const theirs = dissectControl(file);
  t.strictSame([...ours.keys()], [...theirs.keys()], `${file}: the same packets`);
  const differs = [...theirs.keys()].find((frame) => text(ours.get(frame)) !== text(theirs.get(frame)));
  if (differs !== undefined) t.strictSame(ours.get(differs), theirs.get(differs), `${file}: packet ${differs}`);
  return theirs.size;
}

function text(values: Values | undefined): string {
  return JSON.stringify(Object.entries(values ?? {}).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

function captures(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => /\.(pcap|pcapng)$/.test(name))
    .map((name) => join(folder, name));
}

test('messages of every kind that our writers made', { skip, timeout: 180_000 }, (t) => {
  const file = join(temporaryFolder(t), 'made.pcap');
  must(program, ['--make', file]);
  t.ok(same(t, file) > 1000);
  const wrong = must('tshark', ['-n', '-r', file, '-Y', '_ws.malformed || _ws.expert']);
  t.equal(wrong, '', 'tshark has nothing to complain about');
  const bad =
    '!(ip.checksum.status == 1 || ipv6) || !(igmp.checksum.status == 1 || icmpv6.checksum.status == 1 || pim.cksum.status == 1)';
  t.equal(must('tshark', ['-n', '-r', file, '-o', 'ip.check_checksum:TRUE', '-Y', bad]), '', 'all checksums are right');
  t.end();
});

test('captures of real routers', {
  skip: skip === false && captures(SHARED).length === 0 ? 'no ../shared/pcap' : skip,
  timeout: 180_000,
}, (t) => {
  const counts = captures(SHARED).map((file) => same(t, file));
  t.ok(counts.every((count) => count > 0));
  t.end();
});

test('our own captures', { skip, timeout: 180_000 }, (t) => {
  const counts = captures(OWN).map((file) => ({ file: basename(file), count: same(t, file) }));
  const seeds = counts.filter(({ file }) => file.startsWith('control-'));
  t.ok(seeds.length > 0 && seeds.every(({ count }) => count > 0), 'the lab has recorded control messages of others');
  t.end();
});
