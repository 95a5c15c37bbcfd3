import { spawn, spawnSync } from 'node:child_process';
import { must } from './process.js';

const INSIDE = 'SLUICE_LAB_INSIDE';

/** Why no namespaces can be made here, for a "skipped" line. */
export class NoNamespaces extends Error {
  override readonly name = 'NoNamespaces';
}

/** Whether this process may make network namespaces as it is. */
function mayUnshare(): boolean {
  return process.getuid?.() === 0 && spawnSync('unshare', ['-n', 'true']).status === 0;
}

/**
 * Makes sure that network namespaces can be made: as root nothing is needed; an ordinary user runs the same program again
 * in a user, network and mount namespace of his own with a private /run, where `ip netns` keeps its files.
 *
 * @param script the program to run again
 * @param args its arguments
 * @returns undefined in the process that shall go on, or the exit code of the one that ran instead
 * @throws {NoNamespaces} when neither is allowed here
 */
export async function enterNamespaces(script: string, args: readonly string[]): Promise<number | undefined> {
  if (process.env[INSIDE] !== undefined) {
    await must(['mount', '-t', 'tmpfs', '-o', 'mode=755', 'tmpfs', '/run']);
    return undefined;
  }
  if (mayUnshare()) return undefined;
  if (spawnSync('unshare', ['-Urnm', 'true']).status !== 0) {
    throw new NoNamespaces('needs root, or user namespaces for ordinary users (sysctl user.max_user_namespaces)');
  }
  return runAgain(script, args);
}

function runAgain(script: string, args: readonly string[]): Promise<number> {
  const child = spawn('unshare', ['-Urnm', process.execPath, script, ...args], {
    stdio: 'inherit',
    env: { ...process.env, [INSIDE]: '1' },
  });
  // A terminal's Ctrl-C reaches both; a signal to this process alone has to be handed on.
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => child.kill(name));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code) => resolve(code ?? 1));
  });
}
