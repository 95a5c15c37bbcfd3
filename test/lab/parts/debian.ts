import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { ROOT } from '../lib/compile.js';
import type { Host } from '../lib/host.js';
import type { Lab } from '../lib/lab.js';
import { poll } from '../lib/poll.js';
import { Child, type ExecResult, exec, must, signal } from '../lib/process.js';
import { expect, Skip } from '../lib/report.js';
import { need } from '../lib/tools.js';

/** The daemon's configuration, in the folder of the machine's files. */
export const CONFIG = 'etc/sluice/sluice.yaml';
const RELEASE = 'bookworm';
/** Besides what every Debian has: a service manager, and what the package depends on, since the machine has no way to the mirror. */
const PACKAGES = ['systemd', 'libisal2'];
/** Unpacked once from Debian's mirror, then kept: later runs need no network. */
const CACHE = join(ROOT, '.sluice', 'cache', `debian-${RELEASE}-${PACKAGES.join('-')}.tar`);
const BOOT = join(ROOT, 'test', 'lab', 'parts', 'debian-boot.sh');
const FETCH_MS = 600_000;

/** Files of a fresh Debian, as a tar archive. @throws {Skip} without the mirror */
export async function debianArchive(): Promise<string> {
  need('mmdebstrap');
  if (existsSync(CACHE)) return CACHE;
  mkdirSync(dirname(CACHE), { recursive: true });
  const draft = `${CACHE}.${process.pid}`;
  const options = ['--mode=root', '--variant=minbase', '--format=tar', `--include=${PACKAGES.join(',')}`];
  const made = await exec(['mmdebstrap', ...options, RELEASE, draft], { timeoutMs: FETCH_MS });
  if (made.code !== 0) throw new Skip(`no Debian from the mirror: ${made.stderr.trim().split('\n').at(-1) ?? ''}`);
  renameSync(draft, CACHE);
  return CACHE;
}

/** Where control groups are made by hand: systemd's own hierarchy of the old ones, or the new one. */
const GROUPS = ['/sys/fs/cgroup/systemd', '/sys/fs/cgroup'];

/** A Debian machine: its files, its own systemd where that can run here, and a host's network. */
export class Debian {
  private constructor(
    /** Its network, seen from outside. */
    readonly host: Host,
    private readonly child: Child,
    private readonly group: string,
    readonly root: string,
    private readonly init: number,
  ) {}

  /** Why systemd cannot run in a namespace here, or null. */
  static canBoot(): string | null {
    return groupPlace() === undefined ? 'there are no control groups that systemd could manage' : null;
  }

  /** Unpacks and boots. `systemd` tells whether its service manager is to run. */
  static async boot(lab: Lab, archive: string, systemd: boolean): Promise<Debian> {
    const root = lab.file('debian');
    mkdirSync(root);
    await must(['tar', '-C', root, '-xf', archive], { timeoutMs: 120_000 });
    const host = await lab.host('debian');
    const place = groupPlace();
    const group = systemd && place !== undefined ? join(place, host.namespace) : '';
    // Not by `ip netns exec`, which puts a /sys of its own before the control groups.
    const command = ['nsenter', `--net=/run/netns/${host.namespace}`, 'sh', BOOT, root, group];
    const child = await Child.start('boot', command, lab.logPrefix('boot'));
    lab.track(child);
    const init = await poll(() => childOf(child), 10_000, 'the first process of the Debian');
    const debian = new Debian(host, child, group, root, init);
    await poll(() => (existsSync(`/proc/${init}/root/run`) ? debian.isUp(systemd) : undefined), 60_000, 'the boot');
    return debian;
  }

  private async isUp(systemd: boolean): Promise<true | undefined> {
    const command = systemd ? ['systemctl', 'is-system-running'] : ['test', '-e', '/run'];
    const { stdout, code } = await this.run(command);
    return (systemd ? /^(running|degraded)/.test(stdout) : code === 0) ? true : undefined;
  }

  /** Runs a command inside, as root. */
  run(command: readonly string[], timeoutMs = 60_000): Promise<ExecResult> {
    return exec(this.inside(command), { timeoutMs });
  }

  /** As {@link run}; rejects unless the exit code is 0. */
  must(command: readonly string[], timeoutMs = 60_000): Promise<ExecResult> {
    return must(this.inside(command), { timeoutMs });
  }

  /** A command that runs inside, for a program that goes on. */
  inside(command: readonly string[]): string[] {
    const clean = ['env', '-i', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'DEBIAN_FRONTEND=noninteractive'];
    // -r enters the root folder, too; the network namespace is entered with the others.
    return ['nsenter', '-t', String(this.init), '-m', '-p', '-u', '-i', '-C', '-n', '-r', '-w', ...clean, ...command];
  }

  /** Runs a command of this machine in the Debian's network. */
  beside(command: readonly string[]): Promise<Child> {
    return this.host.spawn('beside', command);
  }

  /** One property of the service. */
  async property(name: string): Promise<string> {
    return (await this.must(['systemctl', 'show', 'sluice', '-p', name, '--value'])).stdout.trim();
  }

  /** The service's process; rejects when there is none, since 0 would mean whoever sends a signal. */
  async mainPid(): Promise<string> {
    const pid = await this.property('MainPID');
    expect(Number(pid) > 0, 'the service does not run');
    return pid;
  }

  /** Ends everything that runs inside, at once. */
  async halt(): Promise<void> {
    signal(this.init, 'SIGKILL');
    await this.child.exited;
    if (this.group !== '') removeGroups(this.group);
  }
}

/** What /proc/PID/status of a process inside says. */
export async function statusOf(debian: Debian, pid: string): Promise<Map<string, string>> {
  const { stdout } = await debian.must(['cat', `/proc/${pid}/status`]);
  return new Map(stdout.split('\n').map((line) => [line.split(':')[0] ?? '', line.split(':')[1]?.trim() ?? '']));
}

function groupPlace(): string | undefined {
  return GROUPS.find((folder) => {
    try {
      accessSync(join(folder, 'cgroup.procs'), constants.W_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** The process that `unshare` has started in the new process namespace. */
function childOf(child: Child): number | undefined {
  if (!child.running) throw new Error(`the Debian did not boot: ${child.tail()}`);
  const name = readFileSync(`/proc/${child.pid}/comm`, 'utf8').trim();
  const first = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim().split(' ')[0];
  return name === 'unshare' && first !== undefined && first !== '' ? Number(first) : undefined;
}

/** Control groups are folders that are removed from the inside out. */
function removeGroups(folder: string): void {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) removeGroups(join(folder, entry.name));
  }
  rmdirSync(folder);
}
