import { mkdirSync, renameSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { runStep } from '../child.mjs';
import { ROOT } from '../run.mjs';

/** Where node-gyp-build looks for an addon that was built beforehand; relative to the package. */
const PREBUILT = join('prebuilds', `${process.platform}-${process.arch}`, 'sluice.napi.glibc.node');

/**
 * Copies the addon, without symbols that only a debugger reads, to where an installed package has it.
 * @param {string} root of the package
 * @returns {Promise<string>} its path
 */
export async function prebuildAddon(root) {
  const target = join(root, PREBUILT);
  mkdirSync(dirname(target), { recursive: true });
  const built = join(ROOT, 'build', 'Release', 'sluice.node');
  // Under another name first: two packagings may run at the same time.
  const draft = `${target}.${process.pid}`;
  await runStep('strip', 'strip', ['--strip-unneeded', '-o', draft, built]);
  renameSync(draft, target);
  return target;
}
