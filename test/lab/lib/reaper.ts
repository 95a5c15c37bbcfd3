import { spawn } from 'node:child_process';
import { readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exec, isAlive, signal, startTicks } from './process.js';

const NETNS = '/run/netns';
const NAME = /^sluice-(\d+)-(\d+)-/;

/** The prefix of everything one run makes: the pid alone could come back, with the start time it cannot. */
export function runPrefix(pid = process.pid): string {
  return `sluice-${pid}-${startTicks(pid) ?? 0}-`;
}

function namesUnder(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** The network namespaces of one run. */
export function namespacesOf(prefix: string): string[] {
  return namesUnder(NETNS).filter((name) => name.startsWith(prefix));
}

/** The processes in a namespace, whoever started them. */
export async function pidsIn(namespace: string): Promise<number[]> {
  const { stdout } = await exec(['ip', 'netns', 'pids', namespace]);
  return stdout.split('\n').filter(Boolean).map(Number);
}

/** Kills what still runs in a namespace, by pid, and deletes it. */
export async function removeNamespace(namespace: string): Promise<void> {
  for (const pid of await pidsIn(namespace)) if (pid !== process.pid) signal(pid, 'SIGKILL');
  await exec(['ip', 'netns', 'delete', namespace]);
}

/** Removes what runs left behind that were killed together with their reaper. Returns what it removed. */
export async function sweep(): Promise<string[]> {
  const gone = (name: string) => {
    const found = NAME.exec(name);
    return found !== null && startTicks(Number(found[1])) !== Number(found[2]);
  };
  const namespaces = namesUnder(NETNS).filter(gone);
  for (const namespace of namespaces) await removeNamespace(namespace);
  const folders = namesUnder(tmpdir()).filter((name) => name.endsWith('-logs') && gone(name));
  for (const folder of folders) rmSync(join(tmpdir(), folder), { recursive: true, force: true });
  return [...namespaces, ...folders];
}

/*
 * Waits for the end of its standard input, which comes with the end of the lab however it ends, then kills by pid what runs
 * in the run's namespaces and deletes them. A shell, because it must outlive the lab and costs next to nothing.
 */
const SCRIPT = `
trap '' INT TERM HUP
cat >/dev/null
for file in ${NETNS}/"$1"*; do
  [ -e "$file" ] || continue
  name=\${file##*/}
  for pid in $(ip netns pids "$name"); do kill -9 "$pid" 2>/dev/null; done
  ip netns delete "$name"
done
[ -n "$2" ] && rm -rf "$2"
exit 0
`;

/** The watcher of one run: cleans up when the lab is killed so that it cannot do so itself. */
export class Reaper {
  readonly #child;

  /**
   * @param prefix of the run's namespaces
   * @param folder removed as well
   */
  constructor(prefix: string, folder: string) {
    this.#child = spawn('sh', ['-c', SCRIPT, 'reaper', prefix, folder], {
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
      env: { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` },
    });
    this.#child.unref();
  }

  /** The lab has cleaned up: nothing is left to do. */
  async dismiss(): Promise<void> {
    const { pid } = this.#child;
    if (pid !== undefined && isAlive(pid)) signal(pid, 'SIGKILL');
  }
}
