// Set-up and build as functions, for every command that needs them. Node built-ins only: nothing is installed yet.
import { join } from 'node:path';
import { Interrupted, progress, StepError } from './child.mjs';
import { ensureAddon, ensureTypeScript } from './compile.mjs';
import { ensureNodeModules } from './install.mjs';
import { takeLock } from './lock.mjs';
import { ensureCompiler } from './packages.mjs';
import { STATE } from './stamp.mjs';

/** Least version of Node.js; as in package.json. */
const NODE = [20, 11];

function checkNode() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major > NODE[0] || (major === NODE[0] && minor >= NODE[1])) return;
  throw new StepError(`Node.js ${NODE.join('.')} or later is needed (this is ${process.versions.node})`);
}

async function locked(work) {
  const wait = (pid) => progress(`another set-up is running (process ${pid}); waiting for it`);
  const unlock = await takeLock(join(STATE, 'setup.lock'), wait);
  try {
    await work();
  } finally {
    unlock();
  }
}

async function installAll() {
  checkNode();
  await ensureCompiler();
  await ensureNodeModules();
}

/** Compiler packages and npm packages; does only what is missing. */
export function setUp() {
  return locked(installAll);
}

/** {@link setUp}, then TypeScript and the addon; does only what is out of date. */
export function build() {
  return locked(async () => {
    await installAll();
    await ensureTypeScript();
    await ensureAddon();
  });
}

const SIGNAL_NUMBERS = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 };

/** Runs a step as a command: one line and exit code 1 when it fails, 128 + signal when it was interrupted. */
export async function asCommand(work) {
  try {
    await work();
  } catch (error) {
    const known = error instanceof StepError || error instanceof Interrupted;
    progress(known ? error.message : (error.stack ?? String(error)));
    process.exitCode = error instanceof Interrupted ? 128 + (SIGNAL_NUMBERS[error.signal] ?? 0) : 1;
    return false;
  }
  return true;
}
