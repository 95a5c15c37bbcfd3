// npm run bench -- NAME [--json] [--quick] [--write]: builds what is out of date, then measures. Without NAME: the list.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ROOT } from './lib/run.mjs';
import { asCommand, build } from './lib/setup.mjs';

/** The benches there are: one folder each. */
export function benchNames() {
  const folders = readdirSync(join(ROOT, 'bench'), { withFileTypes: true });
  return folders.filter((e) => e.isDirectory() && e.name !== 'lib').map((e) => e.name);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href && (await asCommand(build)))
  await import('../dist/bench/run.js');
