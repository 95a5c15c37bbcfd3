// System packages: looked for first, installed by apt where that is needed and allowed.
import { existsSync } from 'node:fs';
import { progress, runStep, StepError } from './child.mjs';
import { run, which } from './run.mjs';
import { readStamp, stamp } from './stamp.mjs';

/** What compiling the addon needs: a program (or a file, by its path) and the Debian package that brings it. */
export const COMPILER = [
  { needs: 'g++', package: 'g++' },
  { needs: 'make', package: 'make' },
  { needs: 'python3', package: 'python3' },
];

/** What the addon is built with where it is there: without them it is slower. */
const WANTED = [
  { needs: 'pkg-config', package: 'pkg-config' },
  { needs: '/usr/include/isa-l/erasure_code.h', package: 'libisal-dev' },
];

/** Whether ISA-L is there to be built in; binding.gyp asks the same. */
export async function hasIsal() {
  return which('pkg-config') !== null && (await run('pkg-config', ['--exists', 'libisal'])).code === 0;
}

/**
 * Packages of the list that are missing.
 * @param {readonly {needs: string, package: string}[]} list
 */
export function missingPackages(list) {
  const there = ({ needs }) => (needs.startsWith('/') ? existsSync(needs) : which(needs) !== null);
  return [...new Set(list.filter((one) => !there(one)).map((one) => one.package))];
}

/** Whether {@link installPackages} can work here. */
export function canInstall() {
  return process.getuid?.() === 0 && which('apt-get') !== null;
}

/**
 * Installs packages by apt.
 * @param {readonly string[]} names
 */
export async function installPackages(names) {
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  const options = ['-qq', '-o', 'DPkg::Lock::Timeout=300', '-o', 'Dpkg::Use-Pty=0'];
  // Lists may be missing (containers) or older than the mirror.
  await runStep('reading the package lists', 'apt-get', [...options, 'update'], { env, quiet: true });
  const install = [...options, 'install', '-y', '--no-install-recommends', ...names];
  await runStep('installing packages', 'apt-get', install, { env, quiet: true });
}

/** Makes sure that the compiler is there; else fails with one line that names what to install. */
export async function ensureCompiler() {
  const missing = missingPackages(COMPILER);
  if (missing.length === 0) return installWanted();
  const names = missing.join(' ');
  if (!canInstall()) throw new StepError(`compiler packages are missing; as root run: apt-get install ${names}`);
  progress(`installing ${names} (apt)`);
  await installPackages(missing);
  const still = missingPackages(COMPILER);
  if (still.length > 0) throw new StepError(`${still.join(', ')} still missing after apt-get install ${names}`);
  await installWanted();
}

/** Tries once on a machine where it can; an addon without them is whole. */
async function installWanted() {
  const missing = missingPackages(WANTED);
  if (missing.length === 0 || !canInstall() || readStamp('wanted') === missing.join(' ')) return;
  progress(`installing ${missing.join(' ')} (apt)`);
  try {
    await installPackages(missing);
  } catch (error) {
    progress(`going on without ${missing.join(' ')}: ${error.message.trim().split('\n').at(-1)}`);
    stamp('wanted', missing.join(' '));
  }
}
