// node scripts/native-test.mjs [--variant NAME] [DOCTEST OPTIONS]: builds native/test with doctest, each of the ways below, and runs it.
import { existsSync, mkdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { addonObject, ensureAddon } from './lib/compile.mjs';
import { LIBRARIES, missingLibrary, objectCompiler, SANITIZED } from './lib/native-objects.mjs';
import { includes, nativeFiles, thirdPartySources } from './lib/native-sources.mjs';
import { hasIsal } from './lib/packages.mjs';
import { mapLimit, ROOT, run, skippedStep, which } from './lib/run.mjs';

/** Enough for reports with lines; all that a debugger can show takes a third of the time to compile. */
const LINES = '-g1';

/** The three ways: what each finds, the others cannot. */
const VARIANTS = {
  // The objects of the addon as it is shipped, with ISA-L where that has it.
  plain: { flags: ['-O1', LINES], env: {}, shipped: true },
  address: {
    flags: SANITIZED.address,
    env: { ASAN_OPTIONS: 'detect_leaks=1:strict_string_checks=1', UBSAN_OPTIONS: 'print_stacktrace=1' },
  },
  thread: {
    flags: SANITIZED.thread,
    env: { TSAN_OPTIONS: 'halt_on_error=1:second_deadlock_stack=1' },
    // There is nothing for it to find where there is one thread only.
    skips: (file) => file.endsWith('_test.cc') && !includes(file, '<thread>'),
  },
};

/** Everything but the addon, the programs and the fuzz targets: what can be tested without Node. */
function sources({ skips = () => false }) {
  const ours = nativeFiles(/\.cc$/).filter((f) => !/^native\/(addon|keeper|fuzz)\//.test(f));
  return [...ours.filter((file) => !skips(file)), ...thirdPartySources()];
}

/**
 * Builds and runs one variant.
 * @param {string} variant a name of {@link VARIANTS}
 * @param {readonly string[]} [doctest] options for doctest
 * @returns {Promise<import('./lib/run.mjs').StepResult & {output: string}>} `output` is all that the program printed
 */
export async function nativeTestStep(variant, doctest = []) {
  return (await startNativeTests(variant, doctest)).ended;
}

/**
 * The same, but resolves as soon as it is built: most of the time that the tests take they wait.
 * @returns {Promise<{ended: ReturnType<typeof nativeTestStep>}>}
 */
export async function startNativeTests(variant, doctest = []) {
  const name = `native tests (${variant})`;
  const began = performance.now();
  const done = (counts, notes, output = '') => ({
    name,
    ...counts,
    ms: Math.round(performance.now() - began),
    notes,
    output,
  });
  const ended = (step) => ({ ended: Promise.resolve(step) });
  if (which('g++') === null) return ended(skippedStep(name, 'g++ is not installed'));
  if (!existsSync('/usr/include/doctest/doctest.h')) return ended(skippedStep(name, 'doctest-dev is not installed'));
  if (missingLibrary() !== null) return ended(skippedStep(name, missingLibrary()));
  const built = await build(variant);
  if (built.broken.length > 0) return ended(done({ passed: 0, failed: built.broken.length, skipped: 0 }, built.broken));
  const finish = async () => {
    const { counts, notes, output } = await runProgram(variant, built.program, doctest);
    return done(counts, notes, output);
  };
  return { ended: finish() };
}

/** What the compiler has to say where it fails. */
async function build(variant) {
  const { shipped = false } = VARIANTS[variant];
  if (shipped) await ensureAddon();
  const isal = shipped && (await hasIsal());
  const flags = [...VARIANTS[variant].flags, ...(isal ? ['-DSLUICE_ISAL'] : [])];
  const compile = await objectCompiler({ c: 'gcc', cxx: 'g++', flags, cache: 'native-test' });
  const object = (file) => (shipped && !file.startsWith('native/test/') ? addonObject(file) : compile(file));
  const objects = await mapLimit(sources(VARIANTS[variant]), availableParallelism(), object);
  const broken = objects.filter((o) => o.code !== 0).map((o) => o.output);
  mkdirSync(join(ROOT, 'build', 'native-test'), { recursive: true });
  const program = join(ROOT, 'build', 'native-test', variant);
  if (broken.length > 0) return { program, broken };
  const more = isal ? ['-lisal'] : [];
  const link = ['-pthread', ...flags, ...objects.map((o) => o.object), ...LIBRARIES, ...more, '-o', program];
  const linked = await run('g++', link);
  return { program, broken: linked.code === 0 ? [] : [linked.output] };
}

async function runProgram(variant, program, doctest) {
  // Thread sanitizer cannot place its shadow where the kernel randomises a lot; setarch switches that off for one program.
  const [command, ...args] = which('setarch') === null ? [program] : ['setarch', '-R', program];
  const env = { ...process.env, ...VARIANTS[variant].env };
  const ran = await run(command, [...args, '--no-colors=true', ...doctest], { env, timeoutMs: 600_000 });
  const summary = /test cases:\s+\d+\s+\|\s+(\d+) passed\s+\|\s+(\d+) failed\s+\|\s+(\d+) skipped/.exec(ran.output);
  const passed = Number(summary?.[1] ?? 0);
  const failed = Number(summary?.[2] ?? 0);
  const ok = ran.code === 0 && failed === 0 && summary !== null;
  return {
    counts: { passed, failed: ok ? 0 : Math.max(failed, 1), skipped: 0 },
    notes: ok ? [] : [ran.output.trimEnd()],
    output: ran.output,
  };
}

export const NATIVE_VARIANTS = Object.keys(VARIANTS);

async function main(args) {
  const at = args.indexOf('--variant');
  const wanted = at < 0 ? NATIVE_VARIANTS : [args[at + 1]];
  if (wanted.some((v) => !NATIVE_VARIANTS.includes(v))) {
    console.error(`--variant: one of ${NATIVE_VARIANTS.join(', ')}`);
    return 2;
  }
  const doctest = at < 0 ? args : args.toSpliced(at, 2);
  let failed = 0;
  for (const variant of wanted) {
    const result = await nativeTestStep(variant, doctest);
    console.log(result.notes.length > 0 ? result.notes.join('\n') : result.output.trimEnd());
    console.log(
      `${result.name}: ${result.passed} passed, ${result.failed} failed, ${result.skipped} skipped (${result.ms} ms)`,
    );
    failed += result.failed;
  }
  return failed > 0 ? 1 : 0;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) process.exitCode = await main(process.argv.slice(2));
