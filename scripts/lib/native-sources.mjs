// The C++ sources: which there are, what they include, and a cache of results keyed by content.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { ROOT } from './run.mjs';

const NATIVE = join(ROOT, 'native');

/** Every file of ours under `folder` (third_party excluded) whose name matches, relative to the root. */
export function nativeFiles(pattern, folder = NATIVE) {
  const found = [];
  if (!existsSync(folder)) return found;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory() && entry.name !== 'third_party') found.push(...nativeFiles(pattern, path));
    else if (entry.isFile() && pattern.test(entry.name)) found.push(relative(ROOT, path));
  }
  return found.sort();
}

/** The C sources we carry along, relative to the root. */
export function thirdPartySources() {
  return nativeFiles(/\.c$/, join(NATIVE, 'third_party'));
}

/** Folders in which quoted includes are looked up. */
export function includeFolders() {
  const base = join(NATIVE, 'third_party');
  const third = existsSync(base)
    ? readdirSync(base, { withFileTypes: true })
        .filter((e) => e.isDirectory())
        .map((e) => join('native/third_party', e.name))
    : [];
  return ['native', 'native/third_party', ...third];
}

/** The file and everything of ours that it includes, at any depth. */
function withIncludes(file, seen = new Set()) {
  if (seen.has(file)) return seen;
  seen.add(file);
  for (const [, name] of readFileSync(join(ROOT, file), 'utf8').matchAll(/^\s*#\s*include\s+["<]([^">]+)[">]/gm)) {
    const found = [dirname(file), ...includeFolders()].map((f) => join(f, name)).find((f) => existsSync(join(ROOT, f)));
    if (found !== undefined) withIncludes(found, seen);
  }
  return seen;
}

/** Whether a file, or what it includes or is linked with, includes a header that is not ours, such as `<thread>`. */
export function includes(file, header) {
  const pattern = new RegExp(`^\\s*#\\s*include\\s+${header}`, 'm');
  const files = linkedSources(file).flatMap((source) => [...withIncludes(source)]);
  return [...new Set(files)].some((one) => pattern.test(readFileSync(join(ROOT, one), 'utf8')));
}

/**
 * What a program that begins with `main` must be linked of: the sources beside every header of ours that is included, at any
 * depth, and the carried-along sources of the headers of theirs.
 */
export function linkedSources(main) {
  const sources = new Set([main]);
  for (const source of sources) {
    for (const file of withIncludes(source)) {
      if (file.startsWith('native/third_party/')) for (const c of sourcesIn(dirname(file))) sources.add(c);
      const beside = file.replace(/\.h$/, '.cc');
      if (existsSync(join(ROOT, beside))) sources.add(beside);
    }
  }
  return [...sources].sort();
}

const sourcesIn = (folder) => nativeFiles(/\.c$/, join(ROOT, folder));

/** Hash of a source, of all it includes, and of `salt` (the command and the versions of its tools). */
export function sourceHash(file, salt) {
  const hash = createHash('sha256').update(salt);
  for (const path of [...withIncludes(file)].sort()) hash.update(path).update(readFileSync(join(ROOT, path)));
  return hash.digest('hex').slice(0, 32);
}

/** A folder of results keyed by hash, under .sluice/cache. */
export class ResultCache {
  #folder;

  constructor(name) {
    this.#folder = join(ROOT, '.sluice', 'cache', name);
    mkdirSync(this.#folder, { recursive: true });
  }

  path(hash) {
    return join(this.#folder, hash);
  }

  has(hash) {
    return existsSync(this.path(hash));
  }

  add(hash) {
    writeFileSync(this.path(hash), '');
  }
}
