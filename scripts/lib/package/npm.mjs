import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { runStep } from '../child.mjs';
import { MANIFEST } from './about.mjs';

/** Packs the npm package into a folder; `npm pack` by itself gives the same in the current one. @returns {Promise<string>} its path */
export async function packNpm(output) {
  mkdirSync(output, { recursive: true });
  const args = ['pack', '--silent', `--pack-destination=${output}`];
  await runStep('npm pack', 'npm', args, { quiet: true });
  return join(output, `${MANIFEST.name}-${MANIFEST.version}.tgz`);
}
