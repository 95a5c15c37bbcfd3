import type { Lab } from './lab.js';
import { Child, type ExecOptions, type ExecResult, exec, must } from './process.js';

/** What a URL answered. */
export interface Answer {
  readonly status: number;
  readonly body: string;
}

const GET = `fetch(process.argv[1], { signal: AbortSignal.timeout(5000), redirect: 'manual' }).then(
  async (r) => process.stdout.write(r.status + '\\n' + (await r.text())),
  (e) => { console.error(String(e.cause ?? e)); process.exitCode = 7; });`;

/** A machine of the lab: one network namespace. */
export class Host {
  constructor(
    readonly lab: Lab,
    readonly name: string,
    /** As `ip netns` knows it. */
    readonly namespace: string,
  ) {}

  /** Runs a short program inside to its end. */
  exec(command: readonly string[], options: ExecOptions = {}): Promise<ExecResult> {
    return exec(this.inside(command), options);
  }

  /** As {@link exec}; rejects unless the exit code is 0. */
  must(command: readonly string[], options: ExecOptions = {}): Promise<ExecResult> {
    return must(this.inside(command), options);
  }

  /** Starts a program inside that runs on; the lab ends it at the latest when it is closed. */
  async spawn(
    name: string,
    command: readonly string[],
    options: Pick<ExecOptions, 'cwd' | 'env'> = {},
  ): Promise<Child> {
    const child = await Child.start(name, this.inside(command), this.lab.logPrefix(`${this.name}-${name}`), options);
    this.lab.track(child);
    return child;
  }

  /** `ip` in this namespace. */
  async ip(...args: string[]): Promise<void> {
    await must(['ip', '-n', this.namespace, ...args]);
  }

  /** `sysctl -w KEY=VALUE`; keys of the network are the namespace's own. */
  async sysctl(key: string, value: string | number): Promise<void> {
    await this.must(['sysctl', '-qw', `${key}=${value}`]);
  }

  /** Adds a route, e.g. `route('default', '10.1.0.1')`; an interface's name as `via` makes it direct. */
  async route(destination: string, via: string): Promise<void> {
    const direct = !/^[0-9.]+$/.test(via) && !via.includes(':');
    const family = destination.includes(':') || via.includes(':') ? ['-6'] : [];
    await this.ip(...family, 'route', 'add', destination, direct ? 'dev' : 'via', via);
  }

  /** Loads nftables rules (the text of `nft -f`). */
  async nft(rules: string): Promise<void> {
    await this.must(['nft', '-f', '-'], { input: rules });
  }

  /** GET from inside; rejects when there is no answer. */
  async get(url: string): Promise<Answer> {
    const { stdout } = await this.must([process.execPath, '-e', GET, url]);
    const newline = stdout.indexOf('\n');
    return { status: Number(stdout.slice(0, newline)), body: stdout.slice(newline + 1) };
  }

  /** GET from inside, parsed as JSON; rejects unless the answer is 200. */
  async getJson(url: string): Promise<unknown> {
    const answer = await this.get(url);
    if (answer.status !== 200) throw new Error(`${url}: status ${answer.status}: ${answer.body.slice(0, 300)}`);
    return JSON.parse(answer.body);
  }

  inside(command: readonly string[]): string[] {
    return ['ip', 'netns', 'exec', this.namespace, ...command];
  }
}

/** A bridge: a switch with or without IGMP and MLD snooping. */
export class Switch extends Host {
  static readonly BRIDGE = 'bridge';
}
