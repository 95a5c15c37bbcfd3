// Formatter check and linters of both languages, each as one step of the tests.
import { join } from 'node:path';
import { nativeFiles } from './native-sources.mjs';
import { ROOT, run, singleStep, skippedStep, which } from './run.mjs';

const tool = (name) => join(ROOT, 'node_modules', '.bin', name);

/** Our C++ files outside native/: the bare programs of the benches. */
export const benchFiles = (pattern) => nativeFiles(pattern, join(ROOT, 'bench'));

/** Formatting of TypeScript, JavaScript and JSON, and biome's own lint rules. */
export async function biomeStep({ write = false } = {}) {
  const args = write ? ['check', '--write', '.'] : ['check', '--max-diagnostics=40', '.'];
  return singleStep('biome (format, lint)', await run(tool('biome'), args));
}

/** oxlint with type information: floating and misused promises, cycles, unsafe code. */
export async function oxlintStep() {
  return singleStep('oxlint (type-aware)', await run(tool('oxlint'), ['--type-aware']));
}

/** Formatting of C++. */
export async function clangFormatStep({ write = false } = {}) {
  const name = 'clang-format';
  if (which(name) === null) return skippedStep(name, 'clang-format is not installed');
  const files = [...nativeFiles(/\.(cc|h)$/), ...benchFiles(/\.(cc|h)$/)];
  return singleStep(name, await run(name, [...(write ? ['-i'] : ['--dry-run', '-Werror']), ...files]));
}
