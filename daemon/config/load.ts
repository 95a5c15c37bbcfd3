import { readFile, stat } from 'node:fs/promises';
import type { z } from 'zod';
import { SluiceError } from '../base/errors.js';
import { type Finding, problemsOf } from './problems.js';
import { type Problem, pathText, YamlSource } from './source.js';

export type { Finding } from './problems.js';
export type { Problem } from './source.js';

/** Largest configuration file: several thousand channels. */
const MAX_FILE_BYTES = 4 * 2 ** 20;
/** Problems that are told at once; what follows is counted. */
const MAX_PROBLEMS = 100;

/** What a file is checked against. */
export interface Rules<Schema extends z.ZodType> {
  readonly schema: Schema;
  /**
   * Looks at several parts together. Given the file's data as it was written, checked by nothing yet, so that its findings
   * come out together with the schema's.
   */
  cross?(data: unknown): readonly Finding[];
}

/**
 * Reads and checks a configuration file.
 * @returns the checked values, defaults filled in, frozen through and through
 * @throws SluiceError CONFIG_UNREADABLE when there is no such text; CONFIG_INVALID with all problems at once, one
 *   `FILE:LINE:COLUMN: key: what is wrong (expected …, got …)` per line and as data in `details.problems`
 */
export async function loadConfig<Schema extends z.ZodType>(
  file: string,
  rules: Rules<Schema>,
): Promise<Readonly<z.output<Schema>>> {
  return parseConfig(await readText(file), file, rules);
}

/** Checks the text of a configuration file; see {@link loadConfig}. `file` stands in the messages. */
export function parseConfig<Schema extends z.ZodType>(
  text: string,
  file: string,
  rules: Rules<Schema>,
): Readonly<z.output<Schema>> {
  const source = new YamlSource(text);
  const problems: Problem[] = [...source.problems];
  if (source.data !== undefined) {
    // An empty file is a map without keys: only what is required is missing.
    const data = source.data ?? {};
    const result = rules.schema.safeParse(data);
    if (!result.success) problems.push(...problemsOf(result.error.issues, rules.schema, source));
    for (const { path, message } of rules.cross?.(data) ?? []) {
      problems.push({ ...source.placeOf(path), key: pathText(path), message });
    }
    if (problems.length === 0 && result.success) return deepFreeze(result.data);
  }
  throw invalid(file, problems);
}

function invalid(file: string, found: readonly Problem[]): SluiceError {
  const ordered = [...found].sort((a, b) => a.line - b.line || a.column - b.column);
  const lines = ordered.slice(0, MAX_PROBLEMS).map((problem) => problemLine(file, problem));
  if (ordered.length > MAX_PROBLEMS) lines.push(`${file}: and ${ordered.length - MAX_PROBLEMS} more problems`);
  return new SluiceError('CONFIG_INVALID', lines.join('\n'), { file, problems: ordered.slice(0, MAX_PROBLEMS) });
}

/** One line whatever a key or a value of the file holds: it goes to terminals and logs. */
function problemLine(file: string, { line, column, key, message }: Problem): string {
  const text = `${file}:${line}:${column}: ${key === '' ? '' : `${key}: `}${message}`;
  return text.replace(/[\p{Cc}\u2028\u2029]/gu, '\ufffd');
}

async function readText(file: string): Promise<string> {
  try {
    const { size } = await stat(file);
    if (size > MAX_FILE_BYTES) {
      throw new SluiceError(
        'CONFIG_UNREADABLE',
        `${file}: too large (expected at most ${MAX_FILE_BYTES} bytes, got ${size})`,
      );
    }
    return new TextDecoder('utf-8', { fatal: true }).decode(await readFile(file));
  } catch (error) {
    if (error instanceof SluiceError) throw error;
    throw new SluiceError('CONFIG_UNREADABLE', `${file}: ${unreadable(error)}`, { file }, { cause: error });
  }
}

function unreadable(error: unknown): string {
  if (error instanceof TypeError) return 'not a text (expected UTF-8)';
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'ENOENT') return 'there is no such file';
  if (code === 'EACCES') return 'not readable for this user';
  if (code === 'EISDIR') return 'a directory (expected a file)';
  return error instanceof Error ? error.message : String(error);
}

/** Freezes a value and everything in it; returns the same value. */
export function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value) && !ArrayBuffer.isView(value)) {
    Object.freeze(value);
    for (const inner of Object.values(value)) deepFreeze(inner);
  }
  return value;
}
