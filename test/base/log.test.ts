import { test } from 'tap';
import { SluiceError } from '../../daemon/base/errors.js';
import { createLogger, prettyLine } from '../../daemon/base/log.js';

function capture(): { readonly lines: string[]; write(line: string): void } {
  const lines: string[] = [];
  return { lines, write: (line) => void lines.push(line.trimEnd()) };
}

test('one JSON object per line, with the code and details of our errors', async (t) => {
  const output = capture();
  const log = createLogger({ level: 'info' }, output);
  log.debug('not written');
  log
    .child({ part: 'x' })
    .warn({ err: new SluiceError('SYSTEM_CALL', 'refused', { call: 'bind' }), port: 80 }, 'no luck');
  t.equal(output.lines.length, 1);
  const record: unknown = JSON.parse(output.lines[0] ?? '');
  t.match(record, {
    level: 'warn',
    time: /^\d{4}-\d\d-\d\dT/,
    part: 'x',
    port: 80,
    msg: 'no luck',
    err: { code: 'SYSTEM_CALL', message: 'refused', details: { call: 'bind' } },
  });
  log.error({ err: new TypeError('other') }, 'foreign');
  t.match(JSON.parse(output.lines[1] ?? ''), { err: { type: 'TypeError', message: 'other', stack: /at / } });
});

test('the readable form', async (t) => {
  const line = JSON.stringify({
    level: 'warn',
    time: '2026-11-20T12:00:01.250Z',
    part: 'plane',
    what: 'two words',
    err: { code: 'SYSTEM_CALL', message: 'refused' },
    msg: 'no luck',
  });
  t.equal(prettyLine(line, false), '12:00:01.250 WARN  no luck part=plane what="two words" (SYSTEM_CALL: refused)');
  t.equal(
    prettyLine(line, true),
    '\u001b[33m12:00:01.250 WARN  no luck part=plane what="two words" (SYSTEM_CALL: refused)\u001b[0m',
  );
  t.equal(prettyLine('not json', true), 'not json');
  t.equal(prettyLine('7', true), '7');
});
