import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { commandPages } from '../../daemon/cli/manual/command-pages.js';
import { configPage } from '../../daemon/cli/manual/config-page.js';
import { escaped, filled } from '../../daemon/cli/manual/roff.js';
import { createProgram } from '../../daemon/cli/program.js';
import { temporaryFolder } from './lib/program.js';

const OPTIONS = { date: '2026-01-31', version: '1.2.3' };
const PAGES = new Map([...commandPages(createProgram(), OPTIONS), ['sluice.yaml.5', configPage(OPTIONS)]]);

test('every command has a page that names every option and argument', async (t) => {
  const commands = createProgram().commands;
  t.equal(PAGES.size, commands.length + 2);
  for (const command of commands) {
    const text = PAGES.get(`sluice-${command.name()}.1`) ?? '';
    t.match(text, new RegExp(`^\\.TH SLUICE\\\\-${command.name().toUpperCase()} 1 2026-01-31 "sluice 1.2.3"`));
    for (const { long } of command.options)
      t.ok(text.includes((long ?? '').replaceAll('-', '\\-')), `${command.name()} ${long}`);
    for (const argument of command.registeredArguments)
      t.ok(text.includes(`\\fI${argument.name()}\\fR`), argument.name());
    t.ok(PAGES.get('sluice.1')?.includes(`\\fBsluice\\-${command.name()}\\fR(1)`), command.name());
  }
  t.match(PAGES.get('sluice-run.1'), /\.SH EXAMPLES\n\.EX\nsluice run \\-c /);
});

test('the page of the configuration names every key', async (t) => {
  const text = PAGES.get('sluice.yaml.5') ?? '';
  for (const key of ['admin.socket', 'http.listen', 'channels[].renditions[].multicast.ttl', 'plane.memory']) {
    t.ok(text.includes(`\\fB${key}\\fR`), key);
  }
  t.match(text, /Least severity that is written\.\n?[^.]*default: info/);
});

test('nothing in a text becomes a request', async (t) => {
  t.equal(escaped('a\\b…'), 'a\\eb\\[u2026]');
  t.same(filled(`${'x'.repeat(77)} .so /etc/passwd 'q`), ['x'.repeat(77), "\\&.so /etc/passwd 'q"]);
});

for (const [tool, args] of [
  ['mandoc', ['-T', 'lint', '-W', 'style']],
  ['groff', ['-man', '-ww', '-z', '-Tutf8']],
] as const) {
  const skip = spawnSync(tool, ['--version']).error === undefined ? false : `${tool} is not installed`;
  test(`${tool} has nothing to say about them`, { skip }, async (t) => {
    const folder = temporaryFolder(t);
    for (const [name, text] of PAGES) {
      const file = join(folder, name);
      writeFileSync(file, text);
      const ran = spawnSync(tool, [...args, file], { encoding: 'utf8' });
      t.equal(ran.stdout + ran.stderr, '', name);
    }
  });
}
