// The npm packages: installed again whenever package-lock.json is not what is in node_modules.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { progress, runStep } from './child.mjs';
import { ROOT } from './run.mjs';
import { fingerprint, isStamped, stamp, unstamp } from './stamp.mjs';

const STAMP = 'npm';

function readJson(file) {
  try {
    return JSON.parse(readFileSync(join(ROOT, file), 'utf8'));
  } catch {
    return null;
  }
}

/**
 * Whether node_modules holds what package-lock.json says: npm writes node_modules/.package-lock.json last, so a broken-off
 * installation has none. Optional packages of other platforms are missing there, rightly.
 */
function isComplete() {
  const wanted = readJson('package-lock.json')?.packages;
  const there = readJson('node_modules/.package-lock.json')?.packages;
  if (wanted === undefined || there === undefined) return false;
  return Object.entries(wanted).every(([path, entry]) => {
    if (path === '' || (entry.optional === true && there[path] === undefined)) return true;
    return there[path]?.version === entry.version && existsSync(join(ROOT, path, 'package.json'));
  });
}

/** Installs the npm packages when they are out of date. */
export async function ensureNodeModules() {
  const current = fingerprint(['package-lock.json'], `${process.platform} ${process.arch}`);
  const hidden = join(ROOT, 'node_modules', '.package-lock.json');
  if (isStamped(STAMP, current) && existsSync(hidden)) return;
  if (!isComplete()) {
    unstamp(STAMP);
    // Lives inside node_modules.
    unstamp('tap');
    progress('installing the npm packages (npm ci)');
    await runStep('npm ci', 'npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], { quiet: true });
  }
  stamp(STAMP, current);
}
