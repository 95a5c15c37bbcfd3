import { mkdirSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compile } from './compile.js';
import { Host, Switch } from './host.js';
import { connect, type EndOptions, type Link, type LinkOptions } from './link.js';
import { type Child, must } from './process.js';
import { namespacesOf, pidsIn, Reaper, removeNamespace, runPrefix, sweep } from './reaper.js';

export interface SwitchOptions {
  /** IGMP and MLD snooping, on by default as the kernel has it. */
  readonly snooping?: boolean;
  /** Whether the switch itself asks for memberships. */
  readonly querier?: boolean;
}

/**
 * A topology of network namespaces. Everything it makes carries the run's prefix and is gone after {@link close}; when the
 * lab is killed, a reaper does that; when both are, the next run sweeps.
 */
export class Lab {
  readonly #prefix: string;
  readonly #folder: string;
  readonly #reaper: Reaper;
  readonly #children: Child[] = [];
  readonly #hosts = new Map<string, Host>();
  #logs = 0;
  #closing: Promise<void> | undefined;

  private constructor(prefix: string, folder: string) {
    this.#prefix = prefix;
    this.#folder = folder;
    this.#reaper = new Reaper(prefix, folder);
  }

  /** Sweeps what dead runs left and opens an empty lab. One lab per process at a time. */
  static async open(): Promise<Lab> {
    await sweep();
    const prefix = runPrefix();
    const folder = join(tmpdir(), `${prefix}logs`);
    mkdirSync(folder, { mode: 0o700 });
    return new Lab(prefix, folder);
  }

  /** Where logs, captures and generated files of this run go. */
  get folder(): string {
    return this.#folder;
  }

  /** Programs that were started and not yet reported as ended. */
  get running(): readonly Child[] {
    return this.#children.filter((child) => child.running);
  }

  file(name: string): string {
    return join(this.#folder, name);
  }

  /** Where a child's logs go; unique. */
  logPrefix(name: string): string {
    return this.file(`${String(this.#logs++).padStart(2, '0')}-${name}`);
  }

  track(child: Child): void {
    this.#children.push(child);
  }

  /** Adds an end host. */
  async host(name: string): Promise<Host> {
    return this.#add(new Host(this, name, this.#prefix + name));
  }

  /** Adds a host that forwards IPv4 and IPv6. */
  async router(name: string): Promise<Host> {
    const router = await this.host(name);
    await router.sysctl('net.ipv4.ip_forward', 1);
    await router.sysctl('net.ipv6.conf.all.forwarding', 1);
    return router;
  }

  /** Adds a switch. */
  async switch(name: string, options: SwitchOptions = {}): Promise<Switch> {
    const added = await this.#add(new Switch(this, name, this.#prefix + name));
    const bridge = (...flags: string[]) => ['dev', Switch.BRIDGE, 'type', 'bridge', ...flags];
    await added.ip(
      'link',
      'add',
      Switch.BRIDGE,
      'type',
      'bridge',
      'mcast_snooping',
      options.snooping === false ? '0' : '1',
    );
    // In hundredths of a second, and first: the kernel's own querier does not count before this time has passed.
    await added.ip('link', 'set', ...bridge('mcast_query_response_interval', '100'));
    if (options.querier === true) await added.ip('link', 'set', ...bridge('mcast_querier', '1'));
    await added.ip('link', 'set', Switch.BRIDGE, 'up');
    return added;
  }

  /** Joins two hosts; see {@link LinkOptions} for what the link does to packets. */
  link(a: readonly [Host, EndOptions], b: readonly [Host, EndOptions], options: LinkOptions = {}): Promise<Link> {
    return connect(a, b, options, () => compile('line', ['test/lab/line/line.cc']));
  }

  async #add<T extends Host>(host: T): Promise<T> {
    if (this.#hosts.has(host.name)) throw new Error(`there is a host ${host.name} already`);
    await must(['ip', 'netns', 'add', host.namespace]);
    this.#hosts.set(host.name, host);
    await host.ip('link', 'set', 'lo', 'up');
    // Addresses are usable at once; duplicates are the scenario's own fault.
    await host.sysctl('net.ipv6.conf.all.accept_dad', 0);
    await host.sysctl('net.ipv6.conf.default.accept_dad', 0);
    // Two machines in one kernel: replies may leave by another interface than the one asked.
    await host.sysctl('net.ipv4.conf.all.rp_filter', 0);
    await host.sysctl('net.ipv4.conf.default.rp_filter', 0);
    return host;
  }

  /** Ends all tracked programs, the last started first. */
  async stopChildren(): Promise<void> {
    for (const child of [...this.running].reverse()) await child.stop();
  }

  /** Processes that still live in the lab's namespaces. */
  async leftovers(): Promise<number[]> {
    const all = await Promise.all([...this.#hosts.values()].map((host) => pidsIn(host.namespace)));
    return all.flat();
  }

  /**
   * Ends every program and deletes every namespace.
   *
   * @param keepFolderAs moves logs and captures there, e.g. after a failure; they are deleted without it
   */
  close(keepFolderAs?: string): Promise<void> {
    this.#closing ??= this.#close(keepFolderAs);
    return this.#closing;
  }

  async #close(keepFolderAs: string | undefined): Promise<void> {
    await this.stopChildren();
    for (const namespace of namespacesOf(this.#prefix)) await removeNamespace(namespace);
    await this.#reaper.dismiss();
    if (keepFolderAs !== undefined) renameSync(this.#folder, keepFolderAs);
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
