/** The packages, built once per test file. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { ROOT } from '../../daemon/cli/root.js';

const BUILD_MS = 300_000;

export interface Packages {
  readonly npm: string;
  readonly deb: string;
}

/** Why packages cannot be built here, or false. */
export const cannotBuild: string | false =
  spawnSync('dpkg-shlibdeps', ['--version']).status === 0 ? false : 'dpkg-dev is not installed';

/** Builds both into a folder, compressed little. */
export function buildPackages(folder: string): Packages {
  const ran = spawnSync(process.execPath, [join(ROOT, 'scripts', 'package.mjs'), '--fast', '--output', folder], {
    cwd: ROOT,
    encoding: 'utf8',
    timeout: BUILD_MS,
  });
  const [npm = '', deb = ''] = ran.stdout.trim().split('\n');
  if (ran.status !== 0) throw new Error(`no packages were built: ${ran.stdout}${ran.stderr}`);
  return { npm, deb };
}

/** Runs a program to its end; throws with what it said unless it ends with 0. */
export function output(
  command: string,
  args: readonly string[],
  options: { cwd?: string; timeout?: number } = {},
): string {
  const ran = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 2 ** 26, timeout: 60_000, ...options });
  if (ran.status === 0) return ran.stdout;
  throw new Error(`${command} ${args.join(' ')} ended with ${ran.status ?? ran.signal}: ${ran.stdout}${ran.stderr}`);
}

/** The user who owns nothing, where this process may become him: what runs so needs no rights. */
export const unprivileged: readonly string[] =
  process.getuid?.() === 0 && spawnSync('setpriv', ['--version']).status === 0
    ? ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', '--no-new-privs', '--bounding-set=-all']
    : [];
