// node scripts/sanitize.mjs [address | thread]: the addon under Node, built with sanitizers, and the tests that work it hard.
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { nodeHeaders } from './lib/compile.mjs';
import { LIBRARIES, objectCompiler, SANITIZED } from './lib/native-objects.mjs';
import { nativeFiles, thirdPartySources } from './lib/native-sources.mjs';
import { mapLimit, ROOT, run, singleStep, skippedStep, which } from './lib/run.mjs';
import { filesBelow } from './lib/stamp.mjs';
import { countTap } from './lib/tap-count.mjs';

/** What runs with them: every verb of the boundary, from the main thread and from workers. */
const TESTS = [/^dist\/test\/plane\//];
/** Besides, where there is time: sources over real sockets, and captures. */
const MORE_TESTS = [/^dist\/test\/streams\/(service|fetching)\./, /^dist\/test\/replay\/(captures|live-clip)\./];
/**
 * Node itself is not instrumented, so the runtime is loaded before it, and what Node's own code does among itself is left out.
 * Every report goes into a file of its own: child processes report, too, and some tests expect them to fail.
 */
const SANITIZERS = {
  address: {
    runtimes: ['libasan.so', 'libubsan.so'],
    canaries: ['overflow', 'undefined'],
    // Node frees little of its own at its end.
    env: (log) => ({
      ASAN_OPTIONS: `detect_leaks=0:strict_string_checks=1:log_path=${log}`,
      UBSAN_OPTIONS: `print_stacktrace=1:log_path=${log}`,
    }),
  },
  thread: {
    runtimes: ['libtsan.so'],
    canaries: ['race'],
    env: (log) => ({ TSAN_OPTIONS: `ignore_noninstrumented_modules=1:second_deadlock_stack=1:log_path=${log}` }),
  },
};

export const SANITIZER_NAMES = Object.keys(SANITIZERS);

/**
 * Links the addon of objects that the native tests have compiled already, but for its own room.
 * @returns {Promise<{addon: string, broken: string[]}>} the file; what the compiler has to say where it fails
 */
async function buildAddon(name) {
  const flags = SANITIZED[name];
  const sources = nativeFiles(/\.cc$/).filter((file) => !/^native\/(keeper|test|fuzz)\//.test(file));
  const compile = await objectCompiler({ c: 'gcc', cxx: 'g++', flags, cache: 'native-test' });
  const objects = await mapLimit([...sources, ...thirdPartySources()], availableParallelism(), compile);
  const addon = join(ROOT, 'build', name, 'sluice.node');
  const broken = objects.filter((object) => object.code !== 0).map((object) => object.output);
  if (broken.length > 0) return { addon, broken };
  mkdirSync(join(ROOT, 'build', name), { recursive: true });
  const parts = objects.map((object) => object.object);
  const linked = await run('g++', ['-shared', '-pthread', ...flags, ...parts, ...LIBRARIES, '-o', addon]);
  return { addon, broken: linked.code === 0 ? [] : [linked.output] };
}

/** Runs a program in Node with the sanitizer; reports are added to `reports`. */
function runner(name, addon, runtimes) {
  const folder = join(ROOT, '.sluice', 'sanitizer', name);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  let count = 0;
  return async (args) => {
    const log = join(folder, `${count++}`);
    const env = {
      ...process.env,
      ...SANITIZERS[name].env(log),
      LD_PRELOAD: runtimes.join(':'),
      SLUICE_ADDON: addon,
      TAP_TIMEOUT: '300',
    };
    // The thread sanitizer cannot place its shadow where the kernel randomises a lot.
    const ran = await run('setarch', ['-R', process.execPath, ...args], { env, timeoutMs: 600_000 });
    const reports = filesBelow([join('.sluice', 'sanitizer', name)], new RegExp(`/${log.split('/').at(-1)}\\.\\d+$`));
    return { ...ran, reports: reports.map((file) => readFileSync(join(ROOT, file), 'utf8')) };
  };
}

/** The mistakes that were not reported. */
async function silentCanaries(name, play) {
  const { canaries } = SANITIZERS[name];
  const file = join(ROOT, 'build', name, 'canary.node');
  const includes = nodeHeaders().map((folder) => `-I${folder}`);
  const args = ['-std=c++20', '-g', '-shared', ...SANITIZED[name], ...includes, 'test/sanitizer/canary.cc', '-o', file];
  const built = await run('g++', args);
  if (built.code !== 0) return [`the canary was not built: ${built.output}`];
  const results = await mapLimit(canaries, 1, async (mistake) => {
    const { reports, output } = await play(['-e', `require(${JSON.stringify(file)}).commit('${mistake}')`]);
    // The undefined-behaviour runtime beside the address one writes to standard error, and ends the process.
    return [...reports, output].some((text) => text.includes('canary.cc:'))
      ? null
      : `${mistake} was not reported: ${output}`;
  });
  return results.filter((result) => result !== null);
}

/**
 * The tests of the boundary on an addon with a sanitizer, as a step of the tests.
 * @param {string} name of {@link SANITIZER_NAMES}
 * @param {{all?: boolean}} [options] `all`: not only the tests of the boundary itself
 * @returns {Promise<import('./lib/run.mjs').StepResult>}
 */
export async function sanitizerStep(name, { all = true } = {}) {
  const title = `addon under Node (${name} sanitizer)`;
  const paths = await Promise.all(SANITIZERS[name].runtimes.map((file) => run('gcc', [`-print-file-name=${file}`])));
  const runtimes = paths.map((path) => path.output.trim());
  const missing = runtimes.find((path) => !path.startsWith('/'));
  if (missing !== undefined) return skippedStep(title, `the compiler has no ${missing}`);
  if (which('setarch') === null) return skippedStep(title, 'setarch is not installed');
  const began = performance.now();
  const { addon, broken } = await buildAddon(name);
  if (broken.length > 0)
    return singleStep(title, { code: 1, ms: performance.now() - began, output: broken.join('\n') });
  const play = runner(name, addon, runtimes);
  const silent = await silentCanaries(name, play);
  const wanted = all ? [...TESTS, ...MORE_TESTS] : TESTS;
  const files = filesBelow(['dist/test'], /\.test\.js$/).filter((file) => wanted.some((one) => one.test(file)));
  // One after the other: they keep more than one processor busy by themselves, and have limits of time.
  const results = await mapLimit(files, 1, async (file) => verdict(file, await play([file])));
  const sum = (key) => results.reduce((total, result) => total + result[key], 0);
  return {
    name: title,
    passed: sum('passed') + SANITIZERS[name].canaries.length - silent.length,
    failed: sum('failed') + silent.length,
    skipped: sum('skipped'),
    ms: Math.round(performance.now() - began),
    notes: [...silent, ...results.flatMap((result) => result.notes)],
  };
}

/** A file that says that all is well has failed all the same when there is a report. */
function verdict(file, { code, output, reports }) {
  const { passed, failed, skipped, skips } = countTap(output);
  const wrong = failed > 0 || code !== 0 || reports.length > 0;
  const notes = wrong ? [`${file}: ${reports.length > 0 ? reports.join('\n') : output}`] : [];
  return {
    passed,
    failed: wrong ? Math.max(failed, 1) : 0,
    skipped,
    notes: [...notes, ...skips.map((s) => `skipped: ${s}`)],
  };
}

async function main(args) {
  let failed = 0;
  for (const name of args.length > 0 ? args : SANITIZER_NAMES) {
    if (!SANITIZER_NAMES.includes(name)) {
      console.error(`${name}: one of ${SANITIZER_NAMES.join(', ')}`);
      return 2;
    }
    const step = await sanitizerStep(name);
    for (const note of step.notes) console.log(note);
    console.log(`${step.name}: ${step.passed} passed, ${step.failed} failed, ${step.skipped} skipped (${step.ms} ms)`);
    failed += step.failed;
  }
  return failed > 0 ? 1 : 0;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) process.exitCode = await main(process.argv.slice(2));
