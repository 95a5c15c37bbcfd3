// clang-tidy, over many sources at once: most of its time goes into the headers that they share.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { benchFiles } from './lint.mjs';
import { includeFolders, nativeFiles, ResultCache, sourceHash } from './native-sources.mjs';
import { mapLimit, ROOT, run, skippedStep, which } from './run.mjs';

const UNITS = join(ROOT, 'build', 'clang-tidy');
const MOST_IN_UNIT = 12;

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

/** Sources of one folder together, at most so many; programs by themselves. */
function unitsOf(files) {
  const folders = new Map();
  for (const file of files) {
    const key = file.startsWith('bench/') ? file : dirname(file);
    folders.set(key, [...(folders.get(key) ?? []), file]);
  }
  return [...folders.values()].flatMap((all) =>
    Array.from({ length: Math.ceil(all.length / MOST_IN_UNIT) }, (_, at) =>
      all.slice(at * MOST_IN_UNIT, (at + 1) * MOST_IN_UNIT),
    ),
  );
}

/** A source that includes all of them. */
function writeUnit(files) {
  mkdirSync(UNITS, { recursive: true });
  const path = join(UNITS, files[0].replaceAll('/', '-'));
  writeFileSync(
    path,
    files.map((file) => `#include "../../${file}"  // NOLINT(bugprone-suspicious-include)\n`).join(''),
  );
  return path;
}

/** What `lint` finds in a unit of sources; those that have the same names in them are looked at apart. */
async function lintUnit(files, lint) {
  if (files.length === 1) return [{ files, ...(await lint(files[0])) }];
  const result = await lint(writeUnit(files));
  if (!result.output.includes('[clang-diagnostic-error')) return [{ files, ...result }];
  const half = Math.ceil(files.length / 2);
  return [...(await lintUnit(files.slice(0, half), lint)), ...(await lintUnit(files.slice(half), lint))];
}

/**
 * clang-tidy over every source, in parallel and at the lowest priority; what passed is not looked at again until it or an include changes.
 * @param {{all?: boolean}} [options] `all` runs every check on each source alone, the path-sensitive analyzer included, which takes
 *   many times as long
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
  const hashOf = new Map(sources.map((file) => [file, sourceHash(file, salt)]));
  const fresh = sources.filter((file) => !cache.has(hashOf.get(file)));
  const lint = (file) => run('nice', ['-n', '19', name, '--quiet', ...checks, file, '--', ...flags]);
  const units = all ? fresh.map((file) => [file]) : unitsOf(fresh);
  const results = (await mapLimit(units, availableParallelism(), (files) => lintUnit(files, lint))).flat();
  for (const { code, files } of results) if (code === 0) for (const file of files) cache.add(hashOf.get(file));
  const failed = results.filter((r) => r.code !== 0);
  const failures = failed.flatMap((r) => r.files).length;
  return {
    name,
    passed: sources.length - failures,
    failed: failures,
    skipped: 0,
    ms: Math.round(performance.now() - began),
    notes: failed.map((r) => r.output.replace(/^\d+ warnings? .*$/gm, '').trim()),
  };
}

function configHash() {
  return readFileSync(join(ROOT, '.clang-tidy'), 'utf8');
}
