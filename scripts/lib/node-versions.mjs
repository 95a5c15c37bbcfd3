// Other versions of Node, from the npm packages that bring its binaries; the addon is the one that this Node built (N-API).
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT, run } from './run.mjs';

/** One of each line that we promise to run on, besides the one that runs this; the newest that were tried. */
export const OTHER_NODES = ['22.23.3', '24.21.0'];

/**
 * A Node of exactly this version, fetched once into .sluice/node.
 * @param {string} version
 * @returns {Promise<{program: string} | {missing: string}>} its file, or why there is none
 */
export async function fetchNode(version) {
  const folder = join(ROOT, '.sluice', 'node', version);
  const name = `node-${process.platform}-${process.arch}`;
  const program = join(folder, 'node_modules', name, 'bin', 'node');
  if (!existsSync(program)) {
    mkdirSync(folder, { recursive: true });
    const options = [
      '--no-save',
      '--no-audit',
      '--no-fund',
      '--no-package-lock',
      '--ignore-scripts',
      '--prefix',
      folder,
    ];
    const ran = await run('npm', ['install', ...options, `${name}@${version}`], { timeoutMs: 300_000 });
    if (ran.code !== 0) return { missing: `${name}@${version} could not be fetched: ${errorOf(ran.output)}` };
  }
  const told = await run(program, ['--version']);
  return told.output.trim() === `v${version}`
    ? { program }
    : { missing: `${program} is not Node ${version}: ${told.output}` };
}

/** The sentences of npm's refusal. */
function errorOf(output) {
  const lines = output.split('\n').filter((line) => line.startsWith('npm error') && !line.includes('complete log'));
  return lines.map((line) => line.replace('npm error ', '')).join(' ') || output.trim();
}
