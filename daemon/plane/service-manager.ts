/**
 * The service manager (systemd) that this process runs under: it is told what state we are in, that we are alive, and it
 * keeps the listening sockets over a restart, so that nobody is refused meanwhile. Without one, nothing here does anything.
 */
import { describeError } from '../base/errors.js';
import type { Logger } from '../base/log.js';
import { type Endpoint, formatEndpoint, parseEndpoint } from '../config/units.js';
import { type Addon, loadAddon } from './addon.js';

/** Descriptors that are passed on begin here (sd_listen_fds(3)). */
const FIRST_DESCRIPTOR = 3;
/** What systemd tells a service by; none of it is for the programs that we start. */
const VARIABLES = [
  'NOTIFY_SOCKET',
  'WATCHDOG_USEC',
  'WATCHDOG_PID',
  'LISTEN_FDS',
  'LISTEN_PID',
  'LISTEN_FDNAMES',
  'STATE_DIRECTORY',
  'FDSTORE',
];

type Environment = Record<string, string | undefined>;
type Native = Pick<Addon, 'notifyService' | 'inheritListener' | 'dropInherited'>;

/** A listening socket that was kept for us. */
interface Kept {
  readonly fd: number;
  readonly name: string;
  readonly address: string | null;
}

export class ServiceManager {
  readonly #socket: string | undefined;
  readonly #watchdogMs: number;
  /** Where the service may keep what outlives it; undefined without one. */
  readonly stateFolder: string | undefined;
  readonly #most: number;
  readonly #log: Logger;
  readonly #native: () => Native;
  readonly #listeners = new Set<string>();
  #kept: Kept[];
  #timer: NodeJS.Timeout | undefined;
  #failing = false;

  /**
   * Reads what the manager has left in the environment, and takes it out.
   * @param native the addon; it is loaded only under a service manager
   */
  constructor(log: Logger, environment: Environment = process.env, native: () => Native = loadAddon) {
    this.#log = log;
    this.#native = native;
    this.#socket = environment['NOTIFY_SOCKET'];
    this.#watchdogMs = watchdogMs(environment);
    this.stateFolder = environment['STATE_DIRECTORY']?.split(':', 1)[0];
    this.#most = Number(environment['FDSTORE'] ?? 0);
    this.#kept = Number(environment['LISTEN_PID']) === process.pid ? this.#inherit(environment) : [];
    for (const name of VARIABLES) delete environment[name];
  }

  /** Everything is being served. Also ends {@link reloading}. */
  ready(status?: string): void {
    this.#tell(status === undefined ? 'READY=1' : `READY=1\nSTATUS=${oneLine(status)}`);
  }

  /** A new configuration is being taken in; {@link ready} follows. */
  reloading(): void {
    this.#tell(`RELOADING=1\nMONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`);
  }

  /** The end has begun. The watchdog goes on: an end that hangs is one too. */
  stopping(): void {
    this.#tell('STOPPING=1\nSTATUS=ending');
  }

  /** One line for `systemctl status`. */
  status(text: string): void {
    this.#tell(`STATUS=${oneLine(text)}`);
  }

  /**
   * Feeds the watchdog at half of its time. That the timer fires shows that this event loop lives; `alive` tells of whatever
   * else must.
   */
  watch(alive: () => boolean): void {
    if (this.#watchdogMs === 0 || this.#timer !== undefined) return;
    const feed = (): void => {
      if (alive()) this.#tell('WATCHDOG=1');
      else this.#log.error("the plane's loop has not moved; the watchdog is not fed");
    };
    this.#timer = setInterval(feed, this.#watchdogMs / 2);
    this.#timer.unref();
  }

  /** A kept socket that listens there; it is the caller's from now on. */
  takeListener(endpoint: Endpoint): number | undefined {
    const found = this.#kept.find(({ address }) => address === canonical(endpoint));
    this.#kept = this.#kept.filter((one) => one !== found);
    if (found === undefined) return undefined;
    this.#listeners.add(nameOf(endpoint));
    this.#log.info({ listen: found.address }, 'a listening socket was kept over the restart');
    return found.fd;
  }

  /** Where the manager is told; undefined without one. */
  get socket(): string | undefined {
    return this.#socket;
  }

  /** How many descriptors beside our listeners it keeps; 0: it does not say (systemd before 254). */
  get room(): number {
    return this.#most > 0 ? Math.max(1, this.#most - this.#listeners.size) : 0;
  }

  /** What was kept under names that match, and is no listener; it is the caller's from now on. */
  takeDescriptors(names: RegExp): { readonly name: string; readonly fd: number }[] {
    const found = this.#kept.filter(({ name, address }) => address === null && names.test(name));
    this.#kept = this.#kept.filter((one) => !found.includes(one));
    return found.map(({ name, fd }) => ({ name, fd }));
  }

  /** Has a listening socket kept for the next start. */
  keepListener(fd: number, endpoint: Endpoint): void {
    this.#listeners.add(nameOf(endpoint));
    this.#tell(`FDSTORE=1\nFDNAME=${nameOf(endpoint)}`, [fd]);
  }

  /** Has it kept no longer. The socket itself is shut by whoever owns it. */
  forgetListener(endpoint: Endpoint): void {
    this.#listeners.delete(nameOf(endpoint));
    if (endpoint.port !== 0) this.#tell(`FDSTOREREMOVE=1\nFDNAME=${nameOf(endpoint)}`);
  }

  /**
   * Gives up what was kept and nobody has taken: the configuration does not listen there any more. To be called before new
   * sockets are opened, since an old one may hold the port of a new one.
   * @param names only those
   */
  dropUntaken(names = /./): void {
    for (const { fd, name } of this.#kept.filter((one) => names.test(one.name))) {
      this.#tell(`FDSTOREREMOVE=1\nFDNAME=${name}`);
      this.#native().dropInherited(fd);
    }
    this.#kept = this.#kept.filter((one) => !names.test(one.name));
  }

  #inherit(environment: Environment): Kept[] {
    const count = Number(environment['LISTEN_FDS'] ?? 0);
    const names = (environment['LISTEN_FDNAMES'] ?? '').split(':');
    if (!Number.isInteger(count) || count <= 0) return [];
    return Array.from({ length: count }, (_, at) => {
      const fd = FIRST_DESCRIPTOR + at;
      const text = this.#native().inheritListener(fd);
      const where = text === null ? undefined : parseEndpoint(text);
      return { fd, name: names[at] ?? 'unknown', address: where === undefined ? null : canonical(where) };
    });
  }

  #tell(state: string, descriptors: readonly number[] = []): void {
    if (this.#socket === undefined) return;
    try {
      this.#native().notifyService(this.#socket, state, descriptors);
      this.#failing = false;
    } catch (error) {
      // Told once: the watchdog would tell it again and again.
      if (!this.#failing) this.#log.warn({ err: error }, `the service manager was not told: ${describeError(error)}`);
      this.#failing = true;
    }
  }
}

/** 0 without a watchdog. One that names a process is for that process only (sd_watchdog_enabled(3)). */
function watchdogMs(environment: Environment): number {
  const { WATCHDOG_USEC: time, WATCHDOG_PID: pid } = environment;
  const ms = pid === undefined || Number(pid) === process.pid ? Number(time ?? 0) / 1000 : 0;
  return Number.isFinite(ms) && ms > 0 ? ms : 0;
}

/** One spelling per address: `[::0]:80` and `[::]:80` are the same place. */
function canonical(endpoint: Endpoint): string {
  return new URL(`tcp://${formatEndpoint(endpoint)}`).host;
}

/** A line break would begin another assignment. */
function oneLine(text: string): string {
  return text.replaceAll(/\p{Cc}+/gu, ' ');
}

/** Names may not hold colons (sd_pid_notify_with_fds(3)). */
function nameOf(endpoint: Endpoint): string {
  return `viewers-${formatEndpoint(endpoint).replaceAll(':', '_')}`;
}
