import { mkdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { runStep } from '../child.mjs';
import { ROOT } from '../run.mjs';

/** Where node-gyp-build looks for an addon that was built beforehand; relative to the package. */
const PREBUILT = join('prebuilds', `${process.platform}-${process.arch}`);
const ADDON = 'sluice.napi.glibc.node';
/** The program that stands beside it. */
const KEEPER = 'sluice-keeper';

/**
 * Copies the addon and the program beside it, without symbols that only a debugger reads, to where an installed package has it.
 * @param {string} root of the package
 * @returns {Promise<string>} its path
 */
export async function prebuildAddon(root) {
  const folder = join(root, PREBUILT);
  mkdirSync(folder, { recursive: true });
  await strip('sluice.node', join(folder, ADDON));
  await strip(KEEPER, join(folder, KEEPER));
  return join(folder, ADDON);
}

async function strip(built, target) {
  // Under another name first: two packagings may run at the same time.
  const draft = `${target}.${process.pid}`;
  await runStep('strip', 'strip', ['--strip-unneeded', '-o', draft, join(ROOT, 'build', 'Release', built)]);
  renameSync(draft, target);
}
