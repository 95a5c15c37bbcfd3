// Compiles native sources into object files that are cached by content: for the native tests and the fuzz targets.
import { existsSync, renameSync } from 'node:fs';
import { includeFolders, ResultCache, sourceHash } from './native-sources.mjs';
import { run } from './run.mjs';

/** What the addon finds in Node's executable. */
export const LIBRARIES = ['-lz', '-lssl', '-lcrypto'];

/** Why programs of native sources cannot be linked here, or null. */
export function missingLibrary() {
  return existsSync('/usr/include/openssl/ssl.h') ? null : 'libssl-dev is not installed';
}

const COMMON = ['-pthread', '-Wall', '-Wextra', ...includeFolders().map((f) => `-I${f}`)];

/**
 * A compiler with flags. Compiles what has not been compiled with them before.
 * @param {{c: string, cxx: string, flags: readonly string[], cache: string}} options the compilers of both languages, what
 *   both are given, and the name of the cache
 * @returns {Promise<(file: string) => Promise<{object: string, code: number, output: string}>>}
 */
export async function objectCompiler({ c, cxx, flags, cache: name }) {
  const cache = new ResultCache(name);
  const versions = (await run(cxx, ['--version'])).output;
  return async (file) => {
    const isC = file.endsWith('.c');
    const command = [isC ? c : cxx, ...(isC ? [] : ['-std=c++20']), ...COMMON, ...flags];
    const object = `${cache.path(sourceHash(file, versions + command.join(' ')))}.o`;
    if (existsSync(object)) return { object, code: 0, output: '' };
    // Made under another name first, so that an interrupted build leaves no half object behind.
    const draft = `${object}.${process.pid}`;
    const result = await run(command[0], [...command.slice(1), '-c', file, '-o', draft]);
    if (result.code === 0) renameSync(draft, object);
    return { ...result, object };
  };
}
