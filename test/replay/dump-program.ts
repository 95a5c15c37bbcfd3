import { mkdirSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import tap from 'tap';
import { ROOT } from '../../daemon/cli/root.js';
import { must } from './tshark.js';

/**
 * Compiles a program that prints what our codecs read; it is gone after the tests.
 *
 * @param source relative to the checkout
 * @param codecs sources in native/codec, without the ending
 * @returns the program's path
 */
export function dumpProgram(source: string, codecs: readonly string[]): string {
  const folder = join(ROOT, 'build', 'test');
  mkdirSync(folder, { recursive: true });
  const program = join(folder, `${basename(source, '.cc')}.${process.pid}`);
  const flags = ['-std=c++20', '-O1', '-Wall', '-Wextra', '-Inative', '-o', program];
  must('g++', [...flags, source, ...codecs.map((name) => `native/codec/${name}.cc`)], ROOT);
  tap.teardown(() => rmSync(program));
  return program;
}
