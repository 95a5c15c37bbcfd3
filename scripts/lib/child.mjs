// Programs that set-up starts: shown while they run, and ended as a whole when set-up is interrupted.
import { spawn } from 'node:child_process';
import { ROOT } from './run.mjs';

/** A step that failed; the message is for a person and complete. */
export class StepError extends Error {}

/** The set-up was told to end. */
export class Interrupted extends Error {
  constructor(signal) {
    super(`interrupted by ${signal}; run the command again to go on`);
    this.signal = signal;
  }
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'];
/** How long a program may take to end after the signal. */
const GRACE_MS = 3000;

/**
 * Runs a program to its end in a process group of its own, so that an interruption ends what it has started, too.
 * @param {string} what the step, for messages
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{env?: Record<string, string>, quiet?: boolean}} [options] `quiet` shows the output only when it fails
 */
export async function runStep(what, command, args, options = {}) {
  const child = spawn(command, args, {
    cwd: ROOT,
    env: { ...process.env, ...options.env },
    stdio: ['ignore', options.quiet === true ? 'pipe' : 2, options.quiet === true ? 'pipe' : 2],
    detached: true,
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream?.setEncoding('utf8').on('data', (text) => (output += text));
  const { code, signal, interrupted, error } = await ended(child);
  if (interrupted !== null) throw new Interrupted(interrupted);
  if (error !== null) throw new StepError(`${what}: ${command} cannot be started (${error.message})`);
  if (code === 0) return;
  throw new StepError(`${output}${what} failed: ${command} ${args.join(' ')} ended with ${signal ?? `code ${code}`}`);
}

function ended(child) {
  return new Promise((resolve) => {
    let interrupted = null;
    let killer;
    const forward = (signal) => {
      interrupted ??= signal;
      signalGroup(child, signal);
      killer ??= setTimeout(() => signalGroup(child, 'SIGKILL'), GRACE_MS);
    };
    for (const signal of SIGNALS) process.on(signal, forward);
    const finish = (result) => {
      clearTimeout(killer);
      for (const signal of SIGNALS) process.off(signal, forward);
      resolve({ code: null, signal: null, error: null, ...result, interrupted });
    };
    child.on('error', (error) => finish({ error }));
    child.on('close', (code, signal) => finish({ code, signal }));
  });
}

function signalGroup(child, signal) {
  try {
    process.kill(-child.pid, signal);
  } catch {
    // Already gone.
  }
}

/** One line of progress on stderr: standard output belongs to what the command prints. */
export function progress(text) {
  process.stderr.write(`sluice: ${text}\n`);
}
