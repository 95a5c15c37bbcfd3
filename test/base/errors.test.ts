import { readFileSync } from 'node:fs';
import { test } from 'tap';
import { describeError, ERROR_CODES, SluiceError } from '../../daemon/base/errors.js';
import { ROOT } from '../../daemon/cli/root.js';

test('every code is explained in docs/errors.md, and nothing else is', async (t) => {
  const sections = readFileSync(`${ROOT}/docs/errors.md`, 'utf8').split(/^### /m).slice(1);
  const explained = new Map(
    sections.map((text) => [text.slice(0, text.indexOf('\n')), text.slice(text.indexOf('\n')).trim()]),
  );
  t.same([...explained.keys()].sort(), [...ERROR_CODES].sort());
  for (const [code, text] of explained) t.ok(text.length > 40, `${code} has an explanation`);
});

test('codes are unique', async (t) => {
  t.equal(new Set(ERROR_CODES).size, ERROR_CODES.length);
});

test('errors as one line', async (t) => {
  t.equal(describeError(new SluiceError('USAGE', 'wrong')), 'USAGE: wrong');
  t.equal(describeError(new Error('plain')), 'plain');
  t.equal(describeError('text'), 'text');
});
