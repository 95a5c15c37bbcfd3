import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import { type Test, test } from 'tap';
import { ManualClock } from '../../daemon/base/clock.js';
import { LeaseBook, leaseFileSchema } from '../../daemon/membership/lease-book.js';
import { StateFile } from '../../daemon/store/state-file.js';

const HOUR = 3_600_000;
const FLATS = new Set(['flat-1', 'flat-2']);

/** A folder, and daemons that come and go over it. */
function bed(t: Test) {
  const path = join(t.testdir(), 'leases.json');
  const clock = new ManualClock();
  const told: string[] = [];
  const log = pino({ level: 'warn' }, { write: (line) => void told.push(line) });
  const begin = async (subscribers: ReadonlySet<string> = FLATS, at = path): Promise<LeaseBook> => {
    const book = new LeaseBook({ clock, log, file: new StateFile(at, leaseFileSchema) });
    await book.load(subscribers);
    return book;
  };
  return { path, clock, log, told, begin };
}

const one = { group: '239.1.1.1', source: null };
const other = { group: 'ff3e::1', source: '2001:db8::1' };

test('leases outlive the process, each with what is left of it', async (t) => {
  const { begin, clock, told } = bed(t);
  const first = await begin();
  first.put('flat-1', [
    { ...one, leaseMs: HOUR },
    { ...other, leaseMs: null },
  ]);
  first.put('flat-2', [{ ...one, leaseMs: 2 * HOUR }]);
  await first.written();
  await clock.advance(HOUR / 2);
  const next = await begin();
  t.same(next.of('flat-1'), [
    { ...one, leaseMs: HOUR / 2 },
    { ...other, leaseMs: null },
  ]);
  await clock.advance(HOUR);
  const last = await begin();
  t.same(last.of('flat-1'), [{ ...other, leaseMs: null }], 'what is over is not taken up');
  t.same(next.of('flat-1'), last.of('flat-1'), 'nor given back by one that runs');
  t.same(last.of('flat-2'), [{ ...one, leaseMs: HOUR / 2 }]);
  t.same(told, []);
});

test('a channel is one however it is spelled: told anew it is replaced, revoked it is gone', async (t) => {
  const { begin, path } = bed(t);
  const first = await begin();
  first.put('flat-1', [{ ...other, leaseMs: HOUR }]);
  first.put('flat-1', [{ group: 'FF3E:0::0001', source: '2001:0db8::1', leaseMs: null }]);
  t.equal(first.of('flat-1').length, 1);
  await first.written();
  first.remove('flat-1', [one, { group: 'ff3e:0:0::1', source: '2001:DB8:0::1' }]);
  first.remove('flat-7', [one]);
  await first.written();
  t.same((await begin()).of('flat-1'), []);
  t.same(JSON.parse(readFileSync(path, 'utf8')), { version: 1, leases: [] });
});

test('the leases of who is no subscriber any more are gone', async (t) => {
  const { begin } = bed(t);
  const first = await begin();
  for (const flat of FLATS) first.put(flat, [{ ...one, leaseMs: null }]);
  first.retain(new Set(['flat-2']));
  await first.written();
  t.same(first.of('flat-1'), []);
  t.same((await begin()).of('flat-1'), []);
  t.equal((await begin()).of('flat-2').length, 1);
  t.same((await begin(new Set())).of('flat-2'), []);
});

test('very many orders at once end with all of them in the file, whoever is waited for', async (t) => {
  const { begin } = bed(t);
  const first = await begin();
  const orders = Array.from({ length: 300 }, (_, i) => {
    first.put('flat-1', [{ group: `239.1.${Math.floor(i / 200)}.${i % 200}`, source: null, leaseMs: HOUR }]);
    return first.written();
  });
  await orders[7];
  t.ok((await begin()).of('flat-1').length >= 8);
  await Promise.all(orders);
  t.equal((await begin()).of('flat-1').length, 300);
});

test('a damaged file is told and ends nothing; where nothing can be kept, that is told once', async (t) => {
  const { begin, path, told, log, clock } = bed(t);
  writeFileSync(path, '{"version":1,"leases":[{"subscriber":');
  const book = await begin();
  t.match(told.splice(0).join(), /leases of before are lost: STATE_DAMAGED/);
  book.put('flat-1', [{ ...one, leaseMs: null }]);
  await book.written();
  t.equal((await begin()).of('flat-1').length, 1);

  const nowhere = await begin(FLATS, join(path, 'leases.json'));
  for (let i = 0; i < 3; i++) {
    nowhere.put('flat-1', [{ ...one, leaseMs: HOUR + i }]);
    await nowhere.written();
  }
  t.match(nowhere.of('flat-1'), [{ leaseMs: HOUR + 2 }]);
  t.match(
    told
      .splice(0)
      .join('')
      .match(/leases would not outlive this process: STATE_UNUSABLE/g),
    { length: 1 },
  );

  const none = new LeaseBook({ clock, log, file: null });
  await none.load(FLATS);
  for (let i = 0; i < 3; i++) {
    none.put('flat-1', [{ ...one, leaseMs: HOUR }]);
    await none.written();
  }
  t.match(
    told
      .splice(0)
      .join('')
      .match(/no store.folder/g),
    { length: 1 },
  );
});
