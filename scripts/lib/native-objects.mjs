// Compiles native sources into object files that are cached by content: for the native tests, the fuzz targets, and the
// addon with a sanitizer.
import { existsSync, readFileSync, renameSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { nodeHeaders } from './compile.mjs';
import { includeFolders, ResultCache, sourceHash } from './native-sources.mjs';
import { ROOT, run } from './run.mjs';

/** What the addon finds in Node's executable. */
export const LIBRARIES = ['-lz', '-lssl', '-lcrypto'];

/** Why programs of native sources cannot be linked here, or null. */
export function missingLibrary() {
  return existsSync('/usr/include/openssl/ssl.h') ? null : 'libssl-dev is not installed';
}

/** Compiled with them, an object file serves the native tests and the addon under Node alike. */
export const SANITIZED = Object.fromEntries(
  Object.entries({
    address: ['-fsanitize=address,undefined', '-fno-sanitize-recover=all'],
    thread: ['-fsanitize=thread'],
  }).map(([name, flags]) => [
    name,
    // Reports that a person can follow, compiled in half of the time; node itself exports symbols of llhttp.
    ['-Og', '-g1', '-fno-omit-frame-pointer', '-fPIC', '-fvisibility=hidden', ...flags],
  ]),
);

const COMMON = ['-pthread', '-Wall', '-Wextra', ...includeFolders().map((f) => `-I${f}`)];

/** What the addon's own room is compiled with besides: Node's headers and the settings in binding.gyp. */
function boundary() {
  const gyp = JSON.parse(readFileSync(join(ROOT, 'binding.gyp'), 'utf8').replace(/^ *#.*$/gm, ''));
  const require = createRequire(join(ROOT, 'package.json'));
  const folders = [...nodeHeaders(), dirname(require.resolve('node-addon-api/napi.h'))];
  return [...gyp.targets[0].defines.map((name) => `-D${name}`), ...folders.map((folder) => `-I${folder}`)];
}

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
    const more = file.startsWith('native/addon/') ? boundary() : [];
    const command = [isC ? c : cxx, ...(isC ? [] : ['-std=c++20']), ...COMMON, ...flags, ...more];
    const object = `${cache.path(sourceHash(file, versions + command.join(' ')))}.o`;
    if (existsSync(object)) return { object, code: 0, output: '' };
    // Made under another name first, so that an interrupted build leaves no half object behind.
    const draft = `${object}.${process.pid}`;
    const result = await run(command[0], [...command.slice(1), '-c', file, '-o', draft]);
    if (result.code === 0) renameSync(draft, object);
    return { ...result, object };
  };
}
