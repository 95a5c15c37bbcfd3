// Stamps: what a step was last done for. Written after success only, so that an interrupted step is done again.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { ROOT } from './run.mjs';

/** Where stamps, locks and caches live. */
export const STATE = join(ROOT, '.sluice');

const pathOf = (name) => join(STATE, `${name}.stamp`);

/** What the step was last done for, or null. */
export function readStamp(name) {
  try {
    return readFileSync(pathOf(name), 'utf8');
  } catch {
    return null;
  }
}

/** Whether the step was done for exactly this. */
export function isStamped(name, value) {
  return readStamp(name) === value;
}

/** To be called before a step begins: until {@link stamp} it counts as not done. */
export function unstamp(name) {
  rmSync(pathOf(name), { force: true });
}

/** Notes that the step is done. */
export function stamp(name, value) {
  mkdirSync(STATE, { recursive: true });
  const draft = `${pathOf(name)}.${process.pid}`;
  writeFileSync(draft, value);
  renameSync(draft, pathOf(name));
}

/** Every file below the folders (or the file itself) whose name matches, relative to the root, sorted. */
export function filesBelow(folders, pattern) {
  const found = [];
  const visit = (path) => {
    if (!existsSync(path)) return;
    if (!statSync(path).isDirectory()) {
      if (pattern.test(path)) found.push(relative(ROOT, path));
      return;
    }
    for (const name of readdirSync(path)) visit(join(path, name));
  };
  for (const folder of folders) visit(join(ROOT, folder));
  return found.sort();
}

/** Hash of the names and the contents of files, and of `salt`. */
export function fingerprint(files, salt = '') {
  const hash = createHash('sha256').update(salt);
  for (const file of files) hash.update(`\0${file}\0`).update(readFileSync(join(ROOT, file)));
  return hash.digest('hex');
}
