import { mkdirSync, readdirSync, renameSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { must } from './process.js';

/** The checkout: this file is `dist/test/lab/lib/compile.js` in it. */
export const ROOT = fileURLToPath(new URL('../../../../', import.meta.url));

/** The compiled path of a Node program in `test/lab/programs/`, without the ending. */
export function program(name: string): string {
  return join(ROOT, `dist/test/lab/programs/${name}.js`);
}

function newest(folder: string): number {
  return Math.max(...readdirSync(folder).map((name) => statSync(join(folder, name)).mtimeMs));
}

export interface CompileOptions {
  /** Folders of headers that the sources use, besides their own. */
  readonly headers?: readonly string[];
  /** `ssl` for -lssl. */
  readonly libraries?: readonly string[];
  /** For the compiler, such as `-Inative`. */
  readonly flags?: readonly string[];
}

/**
 * Compiles one of the lab's own C++ programs into `dist/lab/` unless it is newer than all files beside its sources and headers.
 *
 * @param name of the program
 * @param sources relative to the checkout, all in the first one's folder or one of `headers`
 * @returns the program's path
 */
export async function compile(
  name: string,
  sources: readonly [string, ...string[]],
  { headers = [], libraries = [], flags = [] }: CompileOptions = {},
): Promise<string> {
  const program = join(ROOT, 'dist/lab', name);
  const built = statSync(program, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const folders = [dirname(sources[0]), ...headers];
  if (folders.every((folder) => built > newest(join(ROOT, folder)))) return program;
  mkdirSync(dirname(program), { recursive: true });
  // Into a name of its own first: two labs may compile at the same time.
  const fresh = `${program}.${process.pid}`;
  const own = ['-std=c++20', '-O2', '-Wall', '-Wextra', '-Werror'];
  const linked = libraries.map((library) => `-l${library}`);
  await must(['g++', ...own, ...flags, '-o', fresh, ...sources, ...linked], { cwd: ROOT, timeoutMs: 120_000 });
  renameSync(fresh, program);
  return program;
}
