// npm run fuzz [-- [NAME …] [--seconds N] [--list]]: the native fuzz targets. Every native/fuzz/NAME_fuzz.cc is one; seeds in
// native/fuzz/corpus/NAME and inputs that once failed in native/fuzz/crashes/NAME are replayed first.
import { existsSync, mkdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { LIBRARIES, missingLibrary, objectCompiler } from './lib/native-objects.mjs';
import { linkedSources, nativeFiles } from './lib/native-sources.mjs';
import { mapLimit, ROOT, run, skippedStep, which } from './lib/run.mjs';
import { filesBelow } from './lib/stamp.mjs';

const USAGE = 'usage: npm run fuzz -- [NAME …] [--seconds N] [--list]';
const SANITIZERS = 'address,undefined';
const FLAGS = [
  '-O1',
  '-fno-omit-frame-pointer',
  `-fsanitize=fuzzer-no-link,${SANITIZERS}`,
  '-fno-sanitize-recover=all',
];
/** One input may take so long and so much; a target that needs more has found something. */
const BOUNDS = ['-timeout=20', '-rss_limit_mb=2048'];
const SUFFIX = '_fuzz.cc';

/** The names of all targets. */
export function fuzzTargets() {
  return nativeFiles(/_fuzz\.cc$/, join(ROOT, 'native', 'fuzz')).map((file) => basename(file, SUFFIX));
}

const sourceOf = (name) => `native/fuzz/${name}${SUFFIX}`;
const crashesOf = (name) => join('native', 'fuzz', 'crashes', name);

/** Why targets cannot be built here, or null. */
async function missing() {
  if (which('clang++') === null) return 'clang is not installed';
  const library = `libclang_rt.fuzzer-${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}.a`;
  // The name comes back as it is where there is no such file.
  const found = (await run('clang++', [`-print-file-name=${library}`])).output.trim();
  return found === library ? 'libFuzzer is not installed (libclang-rt-14-dev)' : missingLibrary();
}

/**
 * Compiles and links targets; only what they use, and only what changed.
 * @returns {Promise<Map<string, string>>} what went wrong, by target
 */
async function buildTargets(names) {
  const compile = await objectCompiler({ c: 'clang', cxx: 'clang++', flags: FLAGS, cache: 'fuzz' });
  const sources = new Map(names.map((name) => [name, linkedSources(sourceOf(name))]));
  const all = [...new Set([...sources.values()].flat())];
  const results = await mapLimit(all, availableParallelism(), async (file) => [file, await compile(file)]);
  const objects = new Map(results);
  mkdirSync(join(ROOT, 'build', 'fuzz'), { recursive: true });
  const wrong = new Map();
  await mapLimit(names, availableParallelism(), async (name) => {
    const parts = sources.get(name).map((file) => objects.get(file));
    const broken = parts.filter((part) => part.code !== 0);
    const link = [`-fsanitize=fuzzer,${SANITIZERS}`, '-pthread', ...parts.map((part) => part.object), ...LIBRARIES];
    const linked = broken.length > 0 ? null : await run('clang++', [...link, '-o', programOf(name)]);
    if (linked?.code !== 0) wrong.set(name, [...broken, linked].map((part) => part?.output ?? '').join('\n'));
  });
  return wrong;
}

const programOf = (name) => join(ROOT, 'build', 'fuzz', name);

function play(name, args, timeoutMs) {
  const env = {
    ...process.env,
    ASAN_OPTIONS: 'detect_leaks=1:strict_string_checks=1',
    UBSAN_OPTIONS: 'print_stacktrace=1',
  };
  return run(programOf(name), [...BOUNDS, ...args], { env, timeoutMs });
}

/**
 * Replays what is kept, then looks for more.
 * @param {{seconds: number, keep: boolean}} options `keep`: what reached new code is kept in .sluice/fuzz for the next time
 * @returns {Promise<{name: string, executions: number, replayed: number, failure: string|null}>}
 */
async function fuzzOne(name, { seconds, keep }) {
  const kept = filesBelow([`native/fuzz/corpus/${name}`, crashesOf(name)], /./);
  const replay = kept.length > 0 ? await play(name, kept, 300_000) : { code: 0, output: '' };
  if (replay.code !== 0) return { name, executions: 0, replayed: kept.length, failure: replay.output.trimEnd() };
  if (seconds <= 0) return { name, executions: 0, replayed: kept.length, failure: null };
  const seeds = [`native/fuzz/corpus/${name}`, crashesOf(name)].filter((folder) => existsSync(join(ROOT, folder)));
  const grown = join('.sluice', 'fuzz', name);
  for (const folder of [crashesOf(name), ...(keep ? [grown] : [])]) mkdirSync(join(ROOT, folder), { recursive: true });
  const dictionary = `native/fuzz/${name}.dict`;
  const options = [
    `-max_total_time=${seconds}`,
    `-artifact_prefix=${crashesOf(name)}/`,
    '-print_final_stats=1',
    ...(existsSync(join(ROOT, dictionary)) ? [`-dict=${dictionary}`] : []),
  ];
  const ran = await play(name, [...options, ...(keep ? [grown] : []), ...seeds], (seconds + 120) * 1000);
  // What libFuzzer tells while it looks is of no use afterwards.
  const told = ran.output.replace(/^(#\d+|INFO:).*\n/gm, '').trimEnd();
  const executions = Number(/stat::number_of_executed_units:\s*(\d+)/.exec(ran.output)?.[1] ?? 0);
  return { name, executions, replayed: kept.length, failure: ran.code === 0 ? null : told };
}

/**
 * The fuzz targets as a step of the tests: one test for each.
 * @param {{names?: readonly string[], seconds: number, keep?: boolean}} options `seconds` for each target, after the replay
 * @returns {Promise<import('./lib/run.mjs').StepResult>}
 */
export async function fuzzStep({ names = fuzzTargets(), seconds, keep = false }) {
  const title = `native fuzz targets, ${seconds} s each`;
  const reason = await missing();
  if (reason !== null) return skippedStep(title, reason);
  const began = performance.now();
  const wrong = await buildTargets(names);
  const built = names.filter((name) => !wrong.has(name));
  const results = await mapLimit(built, availableParallelism(), (name) => fuzzOne(name, { seconds, keep }));
  const failed = results.filter((result) => result.failure !== null);
  return {
    name: title,
    passed: results.length - failed.length,
    failed: failed.length + wrong.size,
    skipped: 0,
    ms: Math.round(performance.now() - began),
    notes: [
      ...[...wrong].map(([name, output]) => `${name} was not built\n${output}`),
      ...failed.map(
        ({ name, failure }) => `${name}: ${failure}\nthe input is in ${crashesOf(name)}: keep it in the repository`,
      ),
      results
        .map((r) => `${r.name} ${r.executions + r.replayed}`)
        .join(', ')
        .replace(/^/, 'executions: '),
    ],
  };
}

async function main(args) {
  const at = args.indexOf('--seconds');
  const seconds = at < 0 ? 60 : Number(args[at + 1]);
  const names = (at < 0 ? args : args.toSpliced(at, 2)).filter((arg) => arg !== '--list');
  const all = fuzzTargets();
  const unknown = names.filter((name) => !all.includes(name));
  if (unknown.length > 0 || !(seconds >= 0)) {
    console.error(`${unknown.map((name) => `${name}: no such target`).join('\n')}\n${USAGE}\n${all.join(' ')}`);
    return 2;
  }
  if (args.includes('--list')) {
    console.log(all.join('\n'));
    return 0;
  }
  const step = await fuzzStep({ names: names.length > 0 ? names : all, seconds, keep: true });
  for (const note of step.notes) console.log(note);
  console.log(`${step.name}: ${step.passed} passed, ${step.failed} failed, ${step.skipped} skipped (${step.ms} ms)`);
  return step.failed > 0 ? 1 : 0;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) process.exitCode = await main(process.argv.slice(2));
