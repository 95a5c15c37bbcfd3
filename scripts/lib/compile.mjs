// TypeScript and the addon: compiled when their sources changed, and only what changed.
import { existsSync, mkdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { assetSources, copyAssets } from './assets.mjs';
import { progress, runStep, StepError } from './child.mjs';
import { hasIsal } from './packages.mjs';
import { ROOT } from './run.mjs';
import { filesBelow, fingerprint, isStamped, readStamp, STATE, stamp, unstamp } from './stamp.mjs';

/** Folders with TypeScript; as in tsconfig.json. */
const TYPESCRIPT = ['daemon', 'test', 'bench'];
/** Compiled and copied by assets.mjs, with names of its own. */
const PAGE = 'daemon/admin/page/';
const ADDON = 'build/Release/sluice.node';

/** Compiles TypeScript to dist/ (incremental), takes out what has no source any more, and makes the status page. */
export async function ensureTypeScript() {
  const sources = filesBelow(TYPESCRIPT, /\.ts$/);
  const inputs = new Set([...sources, ...assetSources(), 'tsconfig.json', 'package-lock.json']);
  const current = fingerprint([...inputs].sort());
  if (isStamped('typescript', current) && existsSync(join(ROOT, 'dist/daemon'))) return;
  progress('compiling TypeScript');
  const wasDone = existsSync(join(ROOT, '.sluice', 'typescript.stamp'));
  unstamp('typescript');
  // After a broken-off run tsc's notes may claim files that were never written.
  if (!wasDone) rmSync(join(ROOT, 'dist'), { recursive: true, force: true });
  const compiler = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
  await runStep('tsc', process.execPath, [compiler, '-p', 'tsconfig.json'], { quiet: true });
  removeOrphans(new Set(sources.map((file) => file.replace(/\.ts$/, ''))));
  await copyAssets();
  stamp('typescript', current);
}

/** Compiled files of sources that are gone would still be imported or run as tests. */
function removeOrphans(sources) {
  for (const file of filesBelow(
    TYPESCRIPT.map((folder) => join('dist', folder)),
    /\.js(\.map)?$/,
  )) {
    const source = file.replace(/^dist\//, '').replace(/\.js(\.map)?$/, '');
    if (!sources.has(source) && !source.startsWith(PAGE)) rmSync(join(ROOT, file));
  }
}

const addonSources = () => filesBelow(['native'], /\.(cc|c|h)$/).filter((file) => !/^native\/(test|fuzz)\//.test(file));

/** What an addon was built with that may be there or not. */
const isalSalt = async () => ((await hasIsal()) ? ' isal' : '');

/** Compiles the addon with node-gyp (incremental make). */
export async function ensureAddon() {
  const sources = addonSources();
  const current = fingerprint([...sources, 'binding.gyp', 'package-lock.json'], process.version + (await isalSalt()));
  if (isStamped('addon', current) && existsSync(join(ROOT, ADDON))) return;
  progress('compiling the addon (a minute or two the first time)');
  unstamp('addon');
  touchChanged(sources);
  await distrustingHalfBuilds(async () => {
    await configure(sources.filter((file) => !file.endsWith('.h')));
    await nodeGyp('build', `--jobs=${availableParallelism()}`);
  });
  stamp('addon', current);
}

/** What a source of the addon was compiled to by {@link ensureAddon}. */
export function addonObject(file) {
  const object = join(ROOT, 'build', 'Release', 'obj.target', 'sluice', file.replace(/\.cc?$/, '.o'));
  return { object, code: 0, output: '' };
}

/** Make goes by time, and a copied or restored source may be new in content and old in time. */
function touchChanged(sources) {
  const hashes = Object.fromEntries(sources.map((file) => [file, fingerprint([file])]));
  const known = readStamp('addon-sources');
  const before = known === null ? hashes : JSON.parse(known);
  const now = new Date();
  for (const file of sources) if (before[file] !== hashes[file]) utimesSync(join(ROOT, file), now, now);
  stamp('addon-sources', JSON.stringify(hashes));
}

/** Make trusts whatever object file is there; after a run that was killed none of them is to be trusted. */
async function distrustingHalfBuilds(work) {
  const marker = join(STATE, 'addon.building');
  if (existsSync(marker)) rmSync(join(ROOT, 'build', 'Release'), { recursive: true, force: true });
  mkdirSync(STATE, { recursive: true });
  writeFileSync(marker, `${process.pid}\n`);
  try {
    await work();
  } catch (error) {
    // A compiler that fails by itself leaves no object behind.
    if (error instanceof StepError) rmSync(marker);
    throw error;
  }
  rmSync(marker);
}

/** Writes the Makefile when the list of sources, the settings or the place have changed. */
async function configure(sources) {
  const what = [process.version, process.execPath, ROOT, await isalSalt(), ...sources];
  const list = fingerprint(['binding.gyp'], what.join('\n'));
  if (isStamped('addon-configured', list) && existsSync(join(ROOT, 'build', 'Makefile'))) return;
  unstamp('addon-configured');
  await nodeGyp('configure');
  stamp('addon-configured', list);
}

/** node-gyp through npm: npm brings the settings that it reads. */
async function nodeGyp(command, ...more) {
  const headers = headersFolder();
  const options = headers === null ? more : [...more, `--nodedir=${headers}`];
  const args = ['exec', '--no', '--', 'node-gyp', command, '--loglevel=warn', ...options];
  await runStep(`node-gyp ${command}`, 'npm', args, { quiet: true });
}

/** Folders with the headers of this node. */
export function nodeHeaders() {
  const headers = headersFolder();
  return headers === null ? [] : [join(headers, 'include', 'node')];
}

/** Where this node's own headers are, so that nothing is downloaded; null when they are not installed. */
function headersFolder() {
  const prefix = join(dirname(process.execPath), '..');
  return existsSync(join(prefix, 'include', 'node', 'node_api.h')) ? prefix : null;
}
