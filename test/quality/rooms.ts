// The import rules of the house (ARCHITECTURE.md): which room may use which, in both languages.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The root of the checkout; this file is compiled to dist/test/quality. */
export const ROOT = normalize(join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..'));

/** Room -> rooms it may use. A room may always use itself. */
export type Rules = Readonly<Record<string, readonly string[]>>;

const BASE = ['base'];
const FOUNDATION = [...BASE, 'config', 'protocols', 'plane'];
const MODEL = [...FOUNDATION, 'store', 'membership', 'streams'];
const SYSTEMS = [...MODEL, 'delivery', 'flows', 'cdn'];
const SURFACE = [...SYSTEMS, 'systems'];

/**
 * TypeScript, each row only those above it. `main.ts` is the composition root; the command line stands outside of it, since
 * `sluice run` is what starts it.
 */
export const DAEMON_RULES: Rules = {
  base: [],
  config: BASE,
  protocols: BASE,
  plane: [...BASE, 'config', 'protocols'],
  host: FOUNDATION,
  store: FOUNDATION,
  replay: FOUNDATION,
  membership: [...FOUNDATION, 'store'],
  streams: [...FOUNDATION, 'store'],
  delivery: MODEL,
  flows: MODEL,
  cdn: [...MODEL, 'delivery'],
  systems: SYSTEMS,
  admin: SURFACE,
  // Beside main.ts: it knows every part's schema, too, and `sluice check` needs nothing else.
  'settings.ts': [...SURFACE, 'admin'],
  'main.ts': [...SURFACE, 'admin', 'settings.ts'],
  cli: [...SURFACE, 'admin', 'replay', 'host', 'main.ts', 'settings.ts'],
};

/** C++. Carried-along sources (third_party) are no room. */
export const NATIVE_RULES: Rules = {
  codec: [],
  kernel: [],
  repair: ['codec'],
  membership: ['codec'],
  secure: ['codec', 'kernel'],
  objects: ['codec', 'kernel'],
  http: ['codec', 'objects', 'secure', 'kernel'],
  plane: ['codec', 'kernel', 'repair', 'membership', 'secure', 'objects', 'http'],
  addon: ['plane'],
  // A program of its own.
  keeper: ['kernel'],
};

/** One use of a file by another, both as paths below the folder of the rules. */
export interface Use {
  readonly file: string;
  readonly uses: string;
}

/** Every file below `folder` whose name matches, as paths relative to the root. */
export function filesBelow(folder: string, pattern: RegExp): string[] {
  const entries = readdirSync(join(ROOT, folder), { withFileTypes: true, recursive: true });
  return entries
    .filter((e) => e.isFile() && pattern.test(e.name))
    .map((e) => relative(ROOT, join(e.parentPath, e.name)))
    .filter((f) => !/(^|\/)(node_modules|third_party)\//.test(f))
    .toSorted();
}

export function readSource(file: string): string {
  return readFileSync(join(ROOT, file), 'utf8');
}

const IMPORT = /(?:\bfrom\s*|\bimport\s*\(?\s*)'([^']+)'/g;
const INCLUDE = /^\s*#\s*include\s+([<"])([^>"]+)[>"]/gm;

/** Module names that a TypeScript source imports, as written. */
export function importsOf(source: string): string[] {
  return [...source.matchAll(IMPORT)].map((m) => m[1] ?? '');
}

/** Headers that a C++ source includes, as written, with the kind of bracket. */
export function includesOf(source: string): { readonly name: string; readonly own: boolean }[] {
  return [...source.matchAll(INCLUDE)].map((m) => ({ name: m[2] ?? '', own: m[1] === '"' }));
}

/** Uses of our own files between the rooms of daemon/. */
export function daemonUses(): Use[] {
  return filesBelow('daemon', /\.ts$/).flatMap((file) =>
    importsOf(readSource(file))
      .filter((name) => name.startsWith('.'))
      .map((name) => ({ file: relative('daemon', file), uses: relative('daemon', join(dirname(file), name)) })),
  );
}

/** Uses of our own headers between the rooms of native/ (tests and fuzz targets may use every room). */
export function nativeUses(): Use[] {
  return filesBelow('native', /\.(cc|h)$/)
    .filter((file) => !/^native\/(test|fuzz)\//.test(file))
    .flatMap((file) =>
      includesOf(readSource(file))
        .filter((include) => include.own && include.name.includes('/'))
        .map((include) => ({ file: relative('native', file), uses: include.name })),
    );
}

/** The room of a path: its first folder, or the file itself where it stands in none. */
function roomOf(path: string): string {
  return (path.split('/')[0] ?? '').replace(/\.js$/, '.ts');
}

/** `system/NAME` of a path in systems/, else null. */
function systemOf(path: string): string | null {
  const [room, name] = path.split('/');
  return room === 'systems' && name !== undefined ? name : null;
}

/** What breaks the rules, one sentence each. */
export function violations(uses: readonly Use[], rules: Rules): string[] {
  return uses.flatMap(({ file, uses: used }) => {
    const [from, to] = [roomOf(file), roomOf(used)];
    const allowed = rules[from];
    if (allowed === undefined) return [`${file}: the room ${from} is not in the rules`];
    if (used.startsWith('..')) return [`${file} uses ${used}, which is outside`];
    if (from === 'systems' && to === 'systems' && systemOf(file) !== systemOf(used)) {
      return [`${file} uses ${used}: a system never uses another`];
    }
    return from === to || allowed.includes(to) ? [] : [`${file} uses ${used}: ${from} may not use ${to}`];
  });
}
