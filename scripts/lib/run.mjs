// Running programs and counting what they prove. Node built-ins only: used before node_modules exists.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The root of the checkout. */
export const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

/** Path of a program on PATH, or null. */
export function which(program) {
  for (const folder of `${process.env.PATH ?? ''}${delimiter}/usr/sbin${delimiter}/sbin`.split(delimiter)) {
    if (folder !== '' && existsSync(join(folder, program))) return join(folder, program);
  }
  return null;
}

/**
 * Runs a program to its end. Never rejects: a program that could not be started has code 127.
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{cwd?: string, env?: NodeJS.ProcessEnv, echo?: boolean, timeoutMs?: number}} [options] `echo` also shows the output
 * @returns {Promise<{code: number, output: string, ms: number}>} standard output and standard error in one text
 */
export function run(command, args, options = {}) {
  const began = performance.now();
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: options.cwd ?? ROOT,
      env: options.env ?? process.env,
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: options.timeoutMs ?? 0,
      killSignal: 'SIGKILL',
    });
    let output = '';
    const take = (chunk) => {
      output += chunk;
      if (options.echo === true) process.stdout.write(chunk);
    };
    const finish = (code) => resolve({ code, output, ms: Math.round(performance.now() - began) });
    child.stdout.setEncoding('utf8').on('data', take);
    child.stderr.setEncoding('utf8').on('data', take);
    child.on('error', (error) => {
      output += `${error.message}\n`;
      finish(127);
    });
    child.on('close', (code, signal) => {
      if (signal !== null) output += `${command} was ended by ${signal}\n`;
      finish(code ?? 1);
    });
  });
}

/**
 * Calls `work` for every item, at most `width` at a time; results keep the order of the items.
 * @template T, R
 * @param {readonly T[]} items
 * @param {number} width
 * @param {(item: T) => Promise<R>} work
 * @returns {Promise<R[]>}
 */
export async function mapLimit(items, width, work) {
  const results = [];
  let next = 0;
  const worker = async () => {
    while (next < items.length) {
      const index = next++;
      results[index] = await work(items[index]);
    }
  };
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, worker));
  return results;
}

/**
 * What one step of the tests found.
 * @typedef {{name: string, passed: number, failed: number, skipped: number, ms: number, notes: string[]}} StepResult
 * `notes` are shown under the step: reasons of failures and skips.
 */

/** A step that could not run here. @returns {StepResult} */
export function skippedStep(name, reason) {
  return { name, passed: 0, failed: 0, skipped: 1, ms: 0, notes: [`skipped: ${reason}`] };
}

/** A step that is one test: a linter, a build. @returns {StepResult} */
export function singleStep(name, result) {
  const ok = result.code === 0;
  return {
    name,
    passed: ok ? 1 : 0,
    failed: ok ? 0 : 1,
    skipped: 0,
    ms: result.ms,
    notes: ok ? [] : [result.output.trimEnd()],
  };
}
