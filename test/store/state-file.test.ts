import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Test, test } from 'tap';
import { z } from 'zod';
import { StateFile } from '../../daemon/store/state-file.js';

const schema = z.object({ version: z.literal(1), names: z.array(z.string()) });

function at(t: Test, folder = join(t.testdir(), 'state')) {
  const path = join(folder, 'names.json');
  return { folder, path, file: new StateFile(path, schema) };
}

test('what is written is read again, by whoever comes next, and nobody else may read it', async (t) => {
  const { folder, path, file } = at(t);
  t.equal(await file.read(), null);
  for (const names of [['a'], [], Array.from({ length: 5000 }, (_, i) => `n${i}`)]) {
    await file.write({ version: 1, names });
    t.same(await new StateFile(path, schema).read(), { version: 1, names });
  }
  t.equal(statSync(path).mode & 0o777, 0o600);
  t.same(readdirSync(folder), ['names.json'], 'nothing is left beside it');
});

test('a write that a kill has interrupted leaves what was there before', async (t) => {
  const { path, file } = at(t);
  await file.write({ version: 1, names: ['kept'] });
  writeFileSync(`${path}.new`, '{"version":1,"na');
  t.same(await file.read(), { version: 1, names: ['kept'] });
  await file.write({ version: 1, names: ['next'] });
  t.same(await file.read(), { version: 1, names: ['next'] });
});

test('a damaged one is told, moved aside, and ends nothing', async (t) => {
  const { folder, path, file } = at(t);
  mkdirSync(folder);
  for (const text of [
    '',
    '{"version":1,"na',
    '[]',
    '{"version":2,"names":[]}',
    '{"version":1,"names":[7]}',
    '\0'.repeat(100),
  ]) {
    writeFileSync(path, text);
    await t.rejects(file.read(), { code: 'STATE_DAMAGED', details: { file: path, aside: `${path}.damaged` } });
    t.equal(readFileSync(`${path}.damaged`, 'utf8'), text);
    t.notOk(existsSync(path));
    t.equal(await file.read(), null);
  }
  await file.write({ version: 1, names: [] });
  t.same(await file.read(), { version: 1, names: [] });
});

test('what the file system refuses is told with its reason', async (t) => {
  const { folder, path, file } = at(t);
  mkdirSync(path, { recursive: true });
  await t.rejects(file.read(), { code: 'STATE_UNUSABLE', message: /cannot be read.*EISDIR/ });
  await t.rejects(file.write({ version: 1, names: [] }), { code: 'STATE_UNUSABLE', message: /cannot be written/ });
  writeFileSync(join(folder, 'a-file'), '');
  const below = new StateFile(join(folder, 'a-file', 'names.json'), schema);
  await t.rejects(below.write({ version: 1, names: [] }), { code: 'STATE_UNUSABLE', message: /ENOTDIR|EEXIST/ });
});
