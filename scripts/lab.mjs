// `npm run lab -- NAME [--json]`: builds what is not built and plays a scenario in network namespaces; see docs/labs.md.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const at = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));

if (existsSync(at('scripts/build.mjs'))) {
  // Its output goes to standard error: with --json the last line of standard output is the lab's.
  const { status } = spawnSync(process.execPath, [at('scripts/build.mjs')], { stdio: ['ignore', 2, 2] });
  if (status !== 0) process.exit(status ?? 1);
}
await import('../dist/test/lab/run.js');
