// One set-up at a time: a lock file that names its owner, and is taken over when that process is gone.
import { linkSync, mkdirSync, readFileSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

/** Between two looks at a lock that another process holds. */
const POLL_MS = 200;

/** When the process started, in clock ticks since boot (proc(5), field 22); null when there is no such process. */
function startOf(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name in parentheses may itself hold spaces and parentheses.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? null : fields[19];
  } catch {
    return null;
  }
}

function ownerOf(file) {
  try {
    const [pid, start] = readFileSync(file, 'utf8').trim().split(' ');
    return { pid: Number(pid), start };
  } catch {
    return null;
  }
}

/** Makes the lock in one step, whole or not at all; false when it exists. */
function tryLock(file, mine) {
  const draft = `${file}.${process.pid}`;
  writeFileSync(draft, mine);
  try {
    linkSync(draft, file);
    return true;
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
    return false;
  } finally {
    rmSync(draft, { force: true });
  }
}

/**
 * Waits for the lock and takes it. A lock whose owner is gone (by pid and start time) is stale and removed.
 * @param {string} file
 * @param {(pid: number) => void} [onWait] called once when another process holds it
 * @param {number} [limitMs] how long to wait, at most
 * @returns {Promise<() => void>} gives the lock back
 */
export async function takeLock(file, onWait = () => {}, limitMs = 30 * 60_000) {
  mkdirSync(dirname(file), { recursive: true });
  const mine = `${process.pid} ${startOf(process.pid) ?? 0}\n`;
  const deadline = performance.now() + limitMs;
  let told = false;
  while (!tryLock(file, mine)) {
    const owner = ownerOf(file);
    if (owner !== null && startOf(owner.pid) !== owner.start) {
      removeStale(file, owner);
      continue;
    }
    if (!told && owner !== null) onWait(owner.pid);
    told = true;
    if (performance.now() > deadline) throw new Error(`${file} is still held by process ${owner?.pid}`);
    await delay(POLL_MS);
  }
  return () => {
    if (ownerOf(file)?.pid === process.pid) rmSync(file, { force: true });
  };
}

/** Another waiter may have removed it and locked anew in between: only the owner that was seen dead is removed. */
function removeStale(file, dead) {
  const now = ownerOf(file);
  if (now === null || now.pid !== dead.pid || now.start !== dead.start) return;
  try {
    unlinkSync(file);
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
  }
}
