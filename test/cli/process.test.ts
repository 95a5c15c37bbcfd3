/** What a process does when things go wrong, or do not end. */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Test, test } from 'tap';
import { ROOT } from '../../daemon/cli/root.js';
import { Program } from './lib/program.js';

const module = (path: string): string => pathToFileURL(join(ROOT, 'dist', 'daemon', path)).href;

function script(t: Test, text: string): Program {
  return new Program(t, ['--input-type=module', '-e', text], [process.execPath]);
}

for (const [what, failure] of [
  ['an uncaught exception', 'setTimeout(() => { throw new Error("broken"); }, 10)'],
  ['an unhandled rejection', 'Promise.reject(new Error("broken"))'],
] as const) {
  test(`${what} is logged with a code and ends the process with 1`, { timeout: 30_000 }, async (t) => {
    const program = script(
      t,
      `const { exitOnUncaught } = await import('${module('main.js')}');
       const { createLogger } = await import('${module('base/log.js')}');
       exitOnUncaught(createLogger({ level: 'info' }));
       setInterval(() => {}, 1000);
       ${failure};`,
    );
    const { code, stderr } = await program.ended;
    t.equal(code, 1);
    t.match(JSON.parse(stderr.trim()), {
      level: 'fatal',
      code: 'INTERNAL',
      err: { message: 'broken', stack: /Error: broken/ },
    });
  });
}

test('a daemon that does not end is ended within 5 s, with exit code 0', { timeout: 30_000 }, async (t) => {
  const program = script(
    t,
    `const { Ending, superviseDaemon } = await import('${module('cli/supervise.js')}');
     const { createLogger } = await import('${module('base/log.js')}');
     const hanging = { stopRequested: new Promise(() => {}), close: () => new Promise(() => {}) };
     setInterval(() => {}, 1000);
     console.log('up');
     await superviseDaemon(hanging, new Ending(), createLogger({ level: 'info' }));`,
  );
  await program.said(/up/, 10_000);
  const began = Date.now();
  program.child.kill('SIGTERM');
  const { code, stderr } = await program.ended;
  t.equal(code, 0);
  t.ok(Date.now() - began < 5000);
  t.match(stderr, /ending anyway/);
});
