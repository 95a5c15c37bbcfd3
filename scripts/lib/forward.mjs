// A program in the place of this one: it gets our signals, ends when our parent ends, and its exit code is ours.
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** How often the parents are looked at. */
const POLL_MS = 300;

/** Parent and name of a process; null when it is gone. */
function statOf(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const end = stat.lastIndexOf(')');
    const [state, parent] = stat.slice(end + 2).split(' ');
    return state === 'Z' ? null : { name: stat.slice(stat.indexOf('(') + 1, end), parent: Number(parent) };
  } catch {
    return null;
  }
}

/**
 * The processes whose end is ours: the parent, and npm where it runs us through a shell, since that shell would outlive it.
 * A process that init started has none.
 */
function parents() {
  const first = process.ppid;
  if (first <= 1) return [];
  const stat = statOf(first);
  const shell =
    stat !== null && /^(sh|dash|bash|ash)$/.test(stat.name) && process.env.npm_lifecycle_event !== undefined;
  return shell && stat.parent > 1 ? [first, stat.parent] : [first];
}

/** Calls `onEnd` once when one of our parents ends. */
function watchParents(onEnd) {
  const watched = parents();
  if (watched.length === 0) return;
  const timer = setInterval(() => {
    if (process.ppid === watched[0] && watched.every((pid) => statOf(pid) !== null)) return;
    clearInterval(timer);
    onEnd();
  }, POLL_MS);
  timer.unref();
}

/**
 * Runs a program with our standard streams until it ends.
 * @returns {Promise<number>} its exit code, or 128 + the signal that ended it
 */
export function runInstead(command, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: 'inherit' });
    // In a terminal the child gets Ctrl-C itself; a second one must do it no harm.
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
    watchParents(() => child.kill('SIGTERM'));
    child.on('error', reject);
    child.on('exit', (code, signal) => resolve(code ?? 128 + (signal === 'SIGKILL' ? 9 : 15)));
  });
}
