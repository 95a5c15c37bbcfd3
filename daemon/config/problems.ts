import { z } from 'zod';
import { type Path, type Problem, pathText, type YamlSource } from './source.js';
import { suggest } from './suggest.js';

/** One finding of a check that looks at several parts together. */
export interface Finding {
  readonly path: Path;
  /** What is wrong, with its own "(expected …, got …)" where that helps. */
  readonly message: string;
}

/** Keys whose values are not quoted: problems are logged by a reload. */
const HIDDEN = /(secret|password|passphrase)$/i;

type Issue = z.core.$ZodIssue;
type JsonSchema = z.core.JSONSchema.BaseSchema;

/** A value as it is quoted in a sentence: short, one line, never a whole structure. */
export function quote(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object' && value !== null) return 'a map';
  const text = typeof value === 'number' ? String(value) : (JSON.stringify(value) ?? typeof value);
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}

/** zod's findings as problems with a place, a key and a sentence. */
export function problemsOf(issues: readonly Issue[], schema: z.ZodType, source: YamlSource): Problem[] {
  const shape = jsonSchemaOf(schema);
  return issues.flatMap((issue) => problemsOfIssue(issue, [], shape, source));
}

/** The schema of what an operator writes, as JSON Schema (draft 2020-12). */
export function jsonSchemaOf(schema: z.ZodType): JsonSchema {
  return z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any', reused: 'inline' });
}

function problemsOfIssue(issue: Issue, base: Path, shape: JsonSchema, source: YamlSource): Problem[] {
  const path = [...base, ...issue.path.map((step) => (typeof step === 'symbol' ? String(step) : step))];
  if (issue.code === 'unrecognized_keys') {
    const known = keysAt(shape, path);
    return issue.keys.map((key) => unknownKey([...path, key], key, known, source));
  }
  if (issue.code === 'invalid_union') {
    const branch = nearestBranch(issue.errors, source.valueAt(path));
    if (branch !== undefined) return branch.flatMap((inner) => problemsOfIssue(inner, path, shape, source));
  }
  const value = HIDDEN.test(String(path.at(-1))) ? '***' : source.valueAt(path);
  return [{ ...source.placeOf(path), key: pathText(path), message: sentence(issue, value) }];
}

/** Of a union, the branch that the value was meant for: the one that does not already refuse the value's own type. */
function nearestBranch(branches: readonly (readonly Issue[])[], value: unknown): readonly Issue[] | undefined {
  if (value === undefined) return undefined;
  const fitting = branches.filter(
    (issues) => !issues.some((one) => one.path.length === 0 && isOfAnotherType(one, value)),
  );
  return fitting.length === 1 ? fitting[0] : undefined;
}

function isOfAnotherType(issue: Issue, value: unknown): boolean {
  return issue.code === 'invalid_type' || (issue.code === 'invalid_value' && typeof value === 'object');
}

function unknownKey(path: Path, key: string, known: readonly string[], source: YamlSource): Problem {
  const meant = suggest(key, known);
  const hint = meant === undefined ? '' : `, did you mean ${meant}?`;
  const expected = known.length === 0 ? 'no keys here' : `one of ${known.join(', ')}`;
  const message = `unknown key${hint} (expected ${expected}, got ${quote(key)})`;
  return { ...source.placeOfKey(path), key: pathText(path), message };
}

/** The keys that the schema knows at a path, over all branches of unions. */
function keysAt(shape: JsonSchema, path: Path): string[] {
  let level: JsonSchema[] = branchesOf(shape);
  for (const step of path) {
    const next = typeof step === 'number' ? level.map((one) => one.items) : level.map((one) => one.properties?.[step]);
    level = next.flatMap((one) => (isSchema(one) ? branchesOf(one) : []));
  }
  return [...new Set(level.flatMap((one) => Object.keys(one.properties ?? {})))];
}

function isSchema(value: unknown): value is JsonSchema {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function branchesOf(schema: JsonSchema): JsonSchema[] {
  const inner = [...(schema.anyOf ?? []), ...(schema.oneOf ?? []), ...(schema.allOf ?? [])];
  return [schema, ...inner.flatMap((one) => (isSchema(one) ? branchesOf(one) : []))];
}

function sentence(issue: Issue, value: unknown): string {
  const got = quote(value);
  const expected = expectation(issue);
  if (expected !== null) {
    const wrong = value === undefined ? 'missing' : issue.code === 'invalid_type' ? 'wrong type' : 'not valid';
    return `${wrong} (${expected}, got ${got})`;
  }
  return issue.message.includes('(expected ') ? issue.message : `${issue.message} (got ${got})`;
}

const TYPE_NAMES: Readonly<Record<string, string>> = {
  object: 'a map',
  array: 'a list',
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
};

/** "expected …", from our own messages or from what zod tells; null for sentences that stand by themselves. */
function expectation(issue: Issue): string | null {
  if (issue.message.startsWith('expected ')) return issue.message;
  switch (issue.code) {
    case 'invalid_type':
      return `expected ${TYPE_NAMES[issue.expected] ?? issue.expected}`;
    case 'invalid_value':
      return `expected ${issue.values.length === 1 ? '' : 'one of '}${issue.values.map(String).join(', ')}`;
    case 'too_small':
      return `expected at least ${limit(issue.minimum, issue.origin)}`;
    case 'too_big':
      return `expected at most ${limit(issue.maximum, issue.origin)}`;
    case 'not_multiple_of':
      return `expected a multiple of ${issue.divisor}`;
    case 'invalid_format':
      return `expected ${issue.format}`;
    case 'invalid_union':
      return `expected ${unionTypes(issue.errors)}`;
    case 'custom':
    case 'unrecognized_keys':
    case 'invalid_key':
    case 'invalid_element':
      break;
  }
  return null;
}

function limit(count: number | bigint, origin: string): string {
  const unit = origin === 'string' ? ' characters' : origin === 'array' ? ' entries' : '';
  return `${count}${unit}`;
}

function unionTypes(branches: readonly (readonly Issue[])[]): string {
  const parts = branches.map((issues) => (issues[0] === undefined ? null : expectation(issues[0])));
  return [...new Set(parts.map((part) => part?.replace(/^expected /, '') ?? 'another form'))].join(' or ');
}
