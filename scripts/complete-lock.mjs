// node scripts/complete-lock.mjs: after package-lock.json was written against a registry that carries only this platform's
// binaries, puts in the optional packages of the other platforms, without which `npm ci` refuses the file. Only packages
// whose version the depending package pins exactly can be put in; they get no integrity hash.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './lib/run.mjs';

const FILE = join(ROOT, 'package-lock.json');
/** `…-linux-x64-musl`, as native packages of the npm world are named. */
const PLATFORM = /(android|darwin|freebsd|linux|openharmony|win32)-([a-z0-9]+)(?:-([a-z]+))?$/;

function libcOf(abi) {
  if (abi?.startsWith('musl')) return { libc: ['musl'] };
  return abi?.startsWith('gnu') ? { libc: ['glibc'] } : {};
}

function entryOf(name, version, parent) {
  const match = PLATFORM.exec(name);
  if (match === null || !/^\d+\.\d+\.\d+[^\s]*$/.test(version)) return null;
  const [, os, cpu, abi] = match;
  const { dev, engines, license } = parent;
  const inherited = { ...(dev === true ? { dev } : {}), ...(engines === undefined ? {} : { engines }), license };
  return { version, cpu: [cpu], ...libcOf(abi), ...inherited, optional: true, os: [os] };
}

const lock = JSON.parse(readFileSync(FILE, 'utf8'));
const added = {};
for (const [path, parent] of Object.entries(lock.packages)) {
  if (path === '') continue;
  for (const [name, version] of Object.entries(parent.optionalDependencies ?? {})) {
    const key = `node_modules/${name}`;
    const entry = lock.packages[key] === undefined ? entryOf(name, version, parent) : null;
    if (entry !== null) added[key] = entry;
  }
}
const sorted = Object.entries({ ...lock.packages, ...added }).sort(([a], [b]) => (a < b ? -1 : 1));
lock.packages = Object.fromEntries(sorted);
writeFileSync(FILE, `${JSON.stringify(lock, null, 2)}\n`);
process.stdout.write(`${Object.keys(added).length} packages of other platforms put in\n`);
