// What programs take of the machine, from /proc.
import { readdirSync, readFileSync } from 'node:fs';

/** Fields of /proc/PID/stat after the name, which may hold blanks and brackets. */
function stat(pid: number): readonly string[] | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    return null;
  }
}

/** A process and all that it has started (a server may fork for every client). */
export function processTree(root: number): number[] {
  const parents = new Map<number, number>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const parent = stat(Number(name))?.[1];
    if (parent !== undefined) parents.set(Number(name), Number(parent));
  }
  const tree = [root];
  for (const member of tree) {
    for (const [pid, parent] of parents) if (parent === member) tree.push(pid);
  }
  return tree;
}

/**
 * CPU time so far of all threads of the processes, user and system, in seconds. The scheduler's own sums
 * (/proc/PID/task/TID/schedstat, nanoseconds) where the kernel keeps them, else the clock ticks of /proc/PID/stat (10 ms).
 */
export function cpuSeconds(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + (scheduledSeconds(pid) ?? tickSeconds(pid)), 0);
}

function scheduledSeconds(pid: number): number | null {
  try {
    const threads = readdirSync(`/proc/${pid}/task`);
    const sums = threads.map((tid) =>
      Number(readFileSync(`/proc/${pid}/task/${tid}/schedstat`, 'latin1').split(' ')[0]),
    );
    const sum = sums.reduce((a, b) => a + b, 0);
    return sum > 0 ? sum / 1e9 : null;
  } catch {
    return null;
  }
}

function tickSeconds(pid: number): number {
  const fields = stat(pid);
  // utime and stime are fields 14 and 15 of the whole line.
  return fields === null ? 0 : (Number(fields[11]) + Number(fields[12])) / 100;
}

/** Memory in bytes: proportional set size, shared memory included; kernel memory (sockets) is not. */
export function memoryBytes(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => {
    const pss = /^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1'))?.[1];
    return sum + Number(pss ?? 0) * 1024;
  }, 0);
}
