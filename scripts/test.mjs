// npm test [-- [--all] [FILE …]]: set-up, build, linters, native tests, TypeScript tests; the last line counts them.
// FILE is a TypeScript test (test/….test.ts) or a native one (native/test/…_test.cc): only that is run.
import { basename } from 'node:path';
import { fuzzStep } from './fuzz.mjs';
import { clangTidyStep } from './lib/clang-tidy.mjs';
import { biomeStep, clangFormatStep, oxlintStep } from './lib/lint.mjs';
import { fetchNode, OTHER_NODES } from './lib/node-versions.mjs';
import { run, singleStep, skippedStep } from './lib/run.mjs';
import { asCommand, build } from './lib/setup.mjs';
import { compiledTest, tapStep, testFiles } from './lib/tap-step.mjs';
import { setUpTests } from './lib/test-setup.mjs';
import { NATIVE_VARIANTS, nativeTestStep, startNativeTests } from './native-test.mjs';
import { SANITIZER_NAMES, sanitizerStep } from './sanitize.mjs';

const USAGE = 'usage: npm test -- [--all] [test/….test.ts | native/test/…_test.cc …]';

function parse(args) {
  const unknown = args.filter((a) => a.startsWith('-') && a !== '--all');
  const files = args.filter((a) => !a.startsWith('-'));
  const native = files.filter((f) => f.endsWith('_test.cc'));
  const script = files.filter((f) => /\.test\.(ts|js)$/.test(f));
  const wrong = [...unknown, ...files.filter((f) => !native.includes(f) && !script.includes(f))];
  return { all: args.includes('--all'), native, script, wrong, some: files.length > 0 };
}

/** Prints what a step found and adds it up. */
function makeReport() {
  const total = { passed: 0, failed: 0, skipped: 0 };
  return {
    total,
    add(step) {
      for (const note of step.notes) console.log(note);
      const counts = `${step.passed} passed, ${step.failed} failed, ${step.skipped} skipped`;
      console.log(`-- ${step.name}: ${counts} (${(step.ms / 1000).toFixed(1)} s)`);
      for (const key of Object.keys(total)) total[key] += step[key];
    },
  };
}

async function runSome({ native, script }, report) {
  if (native.length > 0) {
    const only = `--source-file=${native.map((f) => `*${basename(f)}`).join(',')}`;
    for (const variant of NATIVE_VARIANTS) report.add(await nativeTestStep(variant, [only]));
  }
  if (script.length > 0) report.add(await tapStep(script.map(compiledTest), { coverage: false, echo: true }));
}

async function runAll({ all }, report) {
  for (const step of [biomeStep, oxlintStep, clangFormatStep]) report.add(await step());
  // It takes longest and at the lowest priority: in the time that all the tests spend waiting.
  const tidy = clangTidyStep({ all });
  // The tests of one wait for their sockets and timers while the next is compiled.
  const started = [];
  for (const variant of NATIVE_VARIANTS) started.push(await startNativeTests(variant));
  const fuzzed = fuzzStep(all ? { seconds: 60, keep: true } : { seconds: 3 });
  // One after the other: each keeps the processors busy by itself.
  const sanitized = (async () => {
    for (const name of all ? SANITIZER_NAMES : ['address']) report.add(await sanitizerStep(name, { all }));
  })();
  report.add(await fuzzed);
  await sanitized;
  for (const { ended } of started) report.add(await ended);
  report.add(await tapStep(testFiles({ all }), { coverage: true, echo: false }));
  report.add(await tidy);
  if (all) for (const step of await longSteps()) report.add(await step());
}

/** The TypeScript tests on another Node. */
async function otherNodeStep(version) {
  const found = await fetchNode(version);
  if ('missing' in found) return skippedStep(`TypeScript tests on Node ${version}`, found.missing);
  const node = { version, program: found.program };
  return tapStep(testFiles({ all: false }), { coverage: false, echo: false, node });
}

/** Scenarios that end by themselves. */
const LABS = [
  'helper',
  'main-job',
  'bad-input',
  'http-attacks',
  'stampede',
  'players',
  'repair',
  'membership',
  'kills',
  'packet-path',
  'install',
];

/** What only --all runs besides the long test files: other versions of Node, every lab, and every bench quickly. */
async function longSteps() {
  const { benchNames } = await import('./bench.mjs');
  const nodes = OTHER_NODES.map((version) => () => otherNodeStep(version));
  const labs = LABS.map((name) => () => labStep(name));
  return [...nodes, ...labs, ...benchNames().map((name) => () => benchStep(name))];
}

/** A lab: its steps are counted one by one, from the line for machines. */
async function labStep(name) {
  const ran = await run(process.execPath, ['scripts/lab.mjs', name, '--json'], { timeoutMs: 900_000 });
  const line = ran.output.split('\n').findLast((text) => text.startsWith('{"lab"'));
  if (line === undefined) return singleStep(`lab ${name}`, { ...ran, code: ran.code || 1 });
  const { ok, steps, skipped } = JSON.parse(line);
  const failures = steps.filter((step) => !step.ok);
  return {
    name: `lab ${name}`,
    passed: steps.length - failures.length,
    // Not ok though every step passed: something that is required was skipped.
    failed: ok ? 0 : Math.max(failures.length, 1),
    skipped: skipped.length,
    ms: ran.ms,
    notes: [
      ...failures.map((f) => `failed: ${f.name}: ${f.figure}`),
      ...skipped.map((k) => `skipped: ${k.name}: ${k.reason}`),
    ],
  };
}

async function benchStep(name) {
  const ran = await run(process.execPath, ['scripts/bench.mjs', name, '--quick', '--json'], { timeoutMs: 900_000 });
  return ran.code === 77 ? skippedStep(`bench ${name}`, ran.output.trim()) : singleStep(`bench ${name}`, ran);
}

async function main(options) {
  const report = makeReport();
  const missing = await setUpTests();
  if (missing !== null) console.log(`tests that need it are skipped: ${missing}`);
  const began = performance.now();
  const built = await asCommand(build);
  const verdict = built ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 };
  report.add({ name: 'build', ...verdict, skipped: 0, ms: performance.now() - began, notes: [] });
  if (built) await (options.some ? runSome(options, report) : runAll(options, report));
  const { passed, failed, skipped } = report.total;
  console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
  return failed > 0 ? 1 : 0;
}

const options = parse(process.argv.slice(2));
if (options.wrong.length > 0) {
  console.error(`${options.wrong.join(' ')}: not known\n${USAGE}`);
  process.exitCode = 2;
} else {
  process.exitCode = await main(options);
}
