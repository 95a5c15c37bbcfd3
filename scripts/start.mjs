// npm start: set-up, build, then the demo.
import { join } from 'node:path';
import { runInstead } from './lib/forward.mjs';
import { ROOT } from './lib/run.mjs';
import { asCommand, build } from './lib/setup.mjs';

if (await asCommand(build)) {
  const sluice = join(ROOT, 'dist', 'daemon', 'cli', 'sluice.js');
  process.exitCode = await runInstead(process.execPath, [sluice, 'demo', ...process.argv.slice(2)]);
}
