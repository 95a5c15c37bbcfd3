// Formatter check and linters of both languages, each as one step of the tests.
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { includeFolders, nativeFiles, ResultCache, sourceHash } from './native-sources.mjs';
import { mapLimit, ROOT, run, singleStep, skippedStep, which } from './run.mjs';

const tool = (name) => join(ROOT, 'node_modules', '.bin', name);

/** Our C++ files outside native/: the bare programs of the benches. */
const benchFiles = (pattern) => nativeFiles(pattern, join(ROOT, 'bench'));

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

/** Include folders that only the addon needs. */
function addonIncludes() {
  const require = createRequire(join(ROOT, 'package.json'));
  const folders = [join(dirname(process.execPath), '..', 'include', 'node')];
  try {
    folders.push(dirname(require.resolve('node-addon-api/napi.h')));
  } catch {
    // Without node_modules the addon is not linted; its step says so.
  }
  return folders.filter((folder) => existsSync(folder));
}

/** They take two fifths of the time, and what they look for is rare, or a warning of the compiler: `--all` only, like the analyzer. */
const SELDOM = [
  'clang-analyzer-*',
  'bugprone-assert-side-effect',
  'bugprone-infinite-loop',
  'bugprone-multiple-statement-macro',
  'bugprone-stringview-nullptr',
  'bugprone-suspicious-semicolon',
  'bugprone-suspicious-string-compare',
  'bugprone-unused-raii',
  'misc-definitions-in-headers',
  'misc-unused-using-decls',
  'readability-container-size-empty',
  'readability-redundant-control-flow',
  'readability-redundant-declaration',
];

/**
 * clang-tidy over every source, in parallel and at the lowest priority; what passed is not looked at again until it or an include changes.
 * @param {{all?: boolean}} [options] `all` runs every check, the path-sensitive analyzer included, which takes six times as long
 */
export async function clangTidyStep({ all = false } = {}) {
  const name = 'clang-tidy';
  if (which(name) === null) return skippedStep(name, 'clang-tidy is not installed');
  const flags = [
    '-std=c++20',
    '-xc++',
    ...includeFolders().map((f) => `-I${f}`),
    ...addonIncludes().map((f) => `-isystem${f}`),
  ];
  const checks = all ? [] : [`--checks=${SELDOM.map((name) => `-${name}`).join(',')}`];
  const salt = `${(await run(name, ['--version'])).output}${[...checks, ...flags].join(' ')}${configHash()}`;
  const sources = [...nativeFiles(/\.cc$/).filter((f) => !/^native\/(test|fuzz)\//.test(f)), ...benchFiles(/\.cc$/)];
  const cache = new ResultCache('clang-tidy');
  const began = performance.now();
  const results = await mapLimit(sources, availableParallelism(), async (file) => {
    const hash = sourceHash(file, salt);
    if (cache.has(hash)) return { code: 0, output: '' };
    const result = await run('nice', ['-n', '19', name, '--quiet', ...checks, file, '--', ...flags]);
    if (result.code === 0) cache.add(hash);
    return result;
  });
  const failed = results.filter((r) => r.code !== 0);
  return {
    name,
    passed: results.length - failed.length,
    failed: failed.length,
    skipped: 0,
    ms: Math.round(performance.now() - began),
    notes: failed.map((r) => r.output.replace(/^\d+ warnings? .*$/gm, '').trim()),
  };
}

function configHash() {
  return readFileSync(join(ROOT, '.clang-tidy'), 'utf8');
}
