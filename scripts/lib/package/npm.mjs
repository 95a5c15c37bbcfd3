import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { runStep } from '../child.mjs';
import { MANIFEST, OUTPUT } from './about.mjs';

/** Packs the npm package; `npm pack` by itself gives the same in the current folder. @returns {Promise<string>} its path */
export async function packNpm() {
  mkdirSync(OUTPUT, { recursive: true });
  const args = ['pack', '--silent', `--pack-destination=${OUTPUT}`];
  await runStep('npm pack', 'npm', args, { quiet: true });
  return join(OUTPUT, `${MANIFEST.name}-${MANIFEST.version}.tgz`);
}
