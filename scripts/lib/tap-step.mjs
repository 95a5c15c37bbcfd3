// The TypeScript tests: tap over what was compiled, counted, with a line of coverage.
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { ROOT, run } from './run.mjs';
import { filesBelow } from './stamp.mjs';
import { ensureTap } from './tap-build.mjs';
import { countTap } from './tap-count.mjs';

/** Tests that take minutes (labs, long fuzz) end in `.long.test.ts`; they run with --all or by name. */
const LONG = /\.long\.test\.js$/;

/** The compiled tests. */
export function testFiles({ all }) {
  return filesBelow(['dist/test'], /\.test\.js$/).filter((file) => all || !LONG.test(file));
}

/** The compiled file for what a person names: a source or a compiled file. */
export function compiledTest(name) {
  const source = name.replace(/^\.\//, '');
  return source.startsWith('dist/') ? source : join('dist', source.replace(/\.ts$/, '.js'));
}

/** Per cent of lines of our own code, from the report that tap wrote. */
function coverageLine() {
  try {
    const totals = JSON.parse(readFileSync(join(ROOT, '.tap', 'report', 'coverage-summary.json'), 'utf8')).total;
    const part = (name) => `${totals[name].pct} % of ${totals[name].total} ${name}`;
    return `coverage: ${part('lines')}, ${part('branches')}, ${part('functions')}`;
  } catch {
    return 'coverage: no report was written';
  }
}

/**
 * Runs compiled tests by tap.
 * @param {readonly string[]} files
 * @param {{coverage: boolean, echo: boolean, node?: {version: string, program: string}}} options `node`: another than this one
 * @returns {Promise<import('./run.mjs').StepResult>}
 */
export async function tapStep(files, { coverage, echo, node = null }) {
  await ensureTap();
  mkdirSync(join(ROOT, '.sluice'), { recursive: true });
  const raw = join(ROOT, '.sluice', 'tests.tap');
  rmSync(raw, { force: true });
  const report = coverage ? ['--coverage-report=json-summary', '--coverage-report=text'] : ['--disable-coverage'];
  const tap = join(ROOT, 'node_modules', '.bin', 'tap');
  const args = [tap, 'run', ...report, '--reporter=tap', `--output-file=${raw}`, ...files];
  const ran = await run(node?.program ?? process.execPath, args, { echo, env: withNode(node) });
  const text = readText(raw);
  const counts = countTap(text);
  // tap itself broke, or said "not ok" for something that is no test.
  if (ran.code !== 0 && counts.failed === 0) {
    counts.failed = 1;
    counts.failures.push(`tap ended with code ${ran.code}`);
  }
  const notes = [...counts.skips.map((s) => `skipped: ${s}`), ...counts.failures.map((f) => `failed: ${f}`)];
  if (counts.failed > 0 && !echo) notes.push(failingParts(text) || ran.output);
  if (coverage) notes.push(coverageLine());
  const name = node === null ? 'TypeScript tests' : `TypeScript tests on Node ${node.version}`;
  return { name, ...counts, ms: ran.ms, notes };
}

/** Programs that tests start by the name `node` are to be the same. */
function withNode(node) {
  const path = process.env.PATH ?? '';
  return node === null ? process.env : { ...process.env, PATH: `${dirname(node.program)}${delimiter}${path}` };
}

function readText(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/** The output of the files that failed, without that of the others. */
function failingParts(text) {
  const parts = text.split(/^(?=# Subtest: )/m);
  return parts.filter((part) => /^not ok /m.test(part)).join('\n');
}
