/** Runs fuzz targets: first what is kept, then new damages. What fails is written to test/fuzz/crashes/NAME. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as fc from 'fast-check';
import type { Test } from 'tap';
import { describeError } from '../../../daemon/base/errors.js';
import { filesBelow, ROOT } from '../../quality/rooms.js';
import { damaged } from './mutate.js';
import type { FuzzTarget } from './target.js';

/** How much is tried: a number of documents, or as many as come in some time. */
export type Budget = { readonly runs: number } | { readonly seconds: number };

const CORPUS = 'test/fuzz/corpus';
const CRASHES = 'test/fuzz/crashes';

/** Every target there is. */
export async function fuzzTargets(): Promise<FuzzTarget[]> {
  const files = filesBelow('dist/test/fuzz/targets', /\.js$/);
  return Promise.all(files.map(async (file) => ((await import(join(ROOT, file))) as { target: FuzzTarget }).target));
}

/**
 * One test for each target. The seed of the random numbers is told when one fails, and SLUICE_FUZZ_SEED takes it.
 */
export async function campaign(t: Test, budget: Budget): Promise<void> {
  for (const target of await fuzzTargets()) {
    await t.test(target.name, async (t) => {
      for (const file of kept(CRASHES, target)) await t.resolves(checked(target, readFileSync(join(ROOT, file))), file);
      const seeds = [...kept(CORPUS, target), ...(target.seeds ?? []).flatMap(seedFiles)];
      const documents = seeds.map((file) => readFileSync(join(ROOT, file)));
      for (const [at, document] of documents.entries()) await t.resolves(checked(target, document), seeds[at] ?? '');
      await damage(t, target, documents, budget);
    });
  }
}

async function damage(t: Test, target: FuzzTarget, seeds: readonly Uint8Array[], budget: Budget): Promise<void> {
  const seed = Number(process.env.SLUICE_FUZZ_SEED ?? (Date.now() ^ (Math.random() * 0x1_0000_0000)) | 0);
  const property = fc.asyncProperty(damaged(seeds, target.tokens), (document) => checked(target, document));
  const limits =
    'runs' in budget
      ? { numRuns: budget.runs }
      : {
          numRuns: Number.MAX_SAFE_INTEGER,
          interruptAfterTimeLimit: budget.seconds * 1000,
          markInterruptAsFailure: false,
        };
  const result = await fc.check(property, { seed, ...limits });
  const crash = result.counterexample?.[0];
  const place = crash === undefined ? '' : `, the document is in ${keep(target, crash)}`;
  t.comment(`${target.name}: ${result.numRuns} documents`);
  t.notOk(
    result.failed,
    `seed ${seed}, ${result.numRuns} documents${place}: ${describeError(result.errorInstance ?? 'none fails')}`,
  );
}

async function checked(target: FuzzTarget, document: Uint8Array): Promise<void> {
  await target.check(document);
}

function keep(target: FuzzTarget, document: Uint8Array): string {
  const folder = join(CRASHES, target.name);
  mkdirSync(join(ROOT, folder), { recursive: true });
  const file = join(folder, createHash('sha256').update(document).digest('hex').slice(0, 16));
  writeFileSync(join(ROOT, file), document);
  return file;
}

function kept(folder: string, target: FuzzTarget): string[] {
  const own = join(folder, target.name);
  return existsSync(join(ROOT, own)) ? filesBelow(own, /./) : [];
}

function seedFiles(path: string): string[] {
  return statSync(join(ROOT, path)).isDirectory() ? filesBelow(path, /./) : [path];
}
