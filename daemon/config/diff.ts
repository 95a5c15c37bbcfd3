import { isDeepStrictEqual } from 'node:util';
import { type Printable, printable } from './printable.js';

/** One difference between two configurations. */
export interface Change {
  /** `http.listen`, `channels[news].renditions[high].multicast.ttl`: entries that have an id are named by it. */
  readonly key: string;
  readonly kind: 'added' | 'removed' | 'changed';
  /** What stood there; null when there was nothing. Secrets are not shown: both sides may look the same. */
  readonly old: Printable;
  readonly new: Printable;
}

type PlainObject = Readonly<Record<string, unknown>>;
type Identified = PlainObject & { readonly id: string };

/**
 * What differs between two checked configurations. Lists of objects with an `id` are compared by it, so that their order does
 * not matter; other lists as a whole.
 */
export function diff(old: unknown, next: unknown): Change[] {
  return compare(comparable(old), comparable(next), '');
}

/** The same with URLs as text: what they say is private to the object, where a comparison of objects need not look. */
function comparable(value: unknown): unknown {
  if (value instanceof URL) return value.href;
  if (Array.isArray(value)) return value.map(comparable);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, comparable(inner)]));
}

function compare(old: unknown, next: unknown, key: string): Change[] {
  if (isDeepStrictEqual(old, next)) return [];
  const name = lastName(key);
  if (isIdentified(old, name) && isIdentified(next, name)) return compareLists(old, next, key);
  if (isComposite(old, name) && isComposite(next, name)) return compareObjects(old, next, key);
  const kind = old === undefined ? 'added' : next === undefined ? 'removed' : 'changed';
  return [{ key, kind, old: printable(old, name), new: printable(next, name) }];
}

function compareObjects(old: PlainObject, next: PlainObject, key: string): Change[] {
  const names = new Set([...Object.keys(old), ...Object.keys(next)]);
  return [...names].flatMap((name) => compare(old[name], next[name], key === '' ? name : `${key}.${name}`));
}

function compareLists(old: readonly Identified[], next: readonly Identified[], key: string): Change[] {
  const before = new Map(old.map((item) => [item.id, item]));
  const after = new Map(next.map((item) => [item.id, item]));
  const ids = new Set([...before.keys(), ...after.keys()]);
  return [...ids].flatMap((id) => compare(before.get(id), after.get(id), `${key}[${id}]`));
}

/** A map of settings, as opposed to what is shown as one value; what is below a secret is part of it. */
function isComposite(value: unknown, name: string): value is PlainObject {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const shown = printable(value, name);
  return typeof shown === 'object' && shown !== null;
}

function isIdentified(value: unknown, name: string): value is readonly Identified[] {
  return Array.isArray(value) && value.every((item) => isComposite(item, name) && typeof item['id'] === 'string');
}

/** The name of a secret stands before the brackets of a list. */
function lastName(key: string): string {
  return /([^.[\]]+)(?:\[[^\]]*\])*$/.exec(key)?.[1] ?? '';
}

/** A {@link Change} as it comes out of JSON. */
type ShownChange = Pick<Change, 'key' | 'kind'> & { readonly old: unknown; readonly new: unknown };

/** Changes as a table of {@link Registry}'s kind, for people. */
export function changeRows(changes: readonly ShownChange[]): {
  readonly columns: string[];
  readonly rows: ChangeRow[];
} {
  const rows = changes.map(({ key, kind, old, new: next }) => ({
    change: kind,
    key,
    running: cellOf(old),
    new: cellOf(next),
  }));
  return { columns: ['change', 'key', 'running', 'new'], rows };
}

export type ChangeRow = Readonly<Record<'change' | 'key', string> & Record<'running' | 'new', string | null>>;

const WIDEST_CELL = 60;

function cellOf(value: unknown): string | null {
  if (value === null || value === undefined) return null;
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return text.length > WIDEST_CELL ? `${text.slice(0, WIDEST_CELL - 1)}…` : text;
}
