import { z } from 'zod';
import { type Host, Switch } from './host.js';
import { poll } from './poll.js';
import { type Child, must } from './process.js';

/** One end of a link. */
export interface EndOptions {
  /** Interface name, at most 15 characters. */
  readonly name: string;
  /** With prefix lengths: `10.1.0.1/24`, `fd00:1::1/64`. */
  readonly addresses?: readonly string[];
}

/** What the userspace line does to packets, in each direction. */
export interface LineOptions {
  readonly delayMs?: number;
  /** Further delay, even in [0, jitterMs); keeps the order. */
  readonly jitterMs?: number;
  /** Share of packets lost, 0 to 1. */
  readonly loss?: number;
  /** Bits a second, 0 for no limit. */
  readonly rate?: number;
  /** Packets that wait at most, 1,000 by default; more are dropped. */
  readonly queue?: number;
  /** Share of packets that are held back. */
  readonly reorder?: number;
  /** How much longer those are held. */
  readonly reorderMs?: number;
  /** The same seed treats the same packets the same way. */
  readonly seed?: number;
}

export interface LinkOptions {
  readonly mtu?: number;
  /**
   * Segmentation and receive offloads; false where packets are lost or counted, so that a batch is not one packet. On by
   * default, as on real hosts. A line has none.
   */
  readonly offloads?: boolean;
  /** Joins the two ends by a userspace line on TUN devices in place of a veth pair (hosts only, no switches). */
  readonly line?: LineOptions;
}

const lineCounters = z.object({
  taken: z.number(),
  delivered: z.number(),
  lost: z.number(),
  overflowed: z.number(),
  reordered: z.number(),
  refused: z.number(),
});
const lineReport = z.object({ ab: lineCounters, ba: lineCounters });
export type LineReport = z.infer<typeof lineReport>;

const nftCounters = z.object({
  nftables: z.array(z.looseObject({ counter: z.object({ name: z.string(), packets: z.number() }).optional() })),
});

const OFFLOADS = ['tx-udp-segmentation', 'gro', 'gso', 'tso'];

/** One end of a link on its host. */
export class End {
  constructor(
    readonly host: Host,
    readonly name: string,
    readonly addresses: readonly string[],
  ) {}

  /** The first IPv4 (or IPv6) address without its prefix length. */
  address(family: 4 | 6 = 4): string {
    const found = this.addresses.find((one) => one.includes(':') === (family === 6));
    if (found === undefined) throw new Error(`${this.host.name}/${this.name} has no IPv${family} address`);
    return found.slice(0, found.indexOf('/'));
  }

  /**
   * Drops a random share of the packets that arrive at this end (nftables, ingress hook).
   *
   * @param share 0 to 1, in steps of a millionth
   * @param match an nftables condition, e.g. `udp dport 5000`; all packets without it
   */
  lose(share: number, match = ''): Promise<void> {
    return this.#drop(`${match} numgen random mod 1000000 < ${Math.round(share * 1_000_000)}`);
  }

  /** Drops `length` packets in a row of each `every` that arrive at this end and match, as {@link lose} does else. */
  loseBursts(length: number, every: number, match = ''): Promise<void> {
    return this.#drop(`${match} numgen inc mod ${every} < ${length}`);
  }

  /** As {@link loseBursts}, and of all that does not match a random share. */
  loseBurstsAndElse(length: number, every: number, match: string, share: number): Promise<void> {
    const bursts = `${match} numgen inc mod ${every} < ${length}`;
    return this.#drop(bursts, `${match} accept`, `numgen random mod 1000000 < ${Math.round(share * 1_000_000)}`);
  }

  /** Drops what meets a condition, unless one before it that ends in `accept` let it through. */
  async #drop(...conditions: readonly string[]): Promise<void> {
    await this.heal();
    const rules = conditions.map((one) => (one.endsWith(' accept') ? one : `${one} counter name lost drop`));
    await this.host.nft(`table netdev ${this.#table} {
      counter lost { }
      chain arriving {
        type filter hook ingress device "${this.name}" priority 0;
        ${rules.join('\n        ')}
      }
    }`);
  }

  /** Ends {@link lose} and {@link loseBursts}. */
  async heal(): Promise<void> {
    await this.host.exec(['nft', 'delete', 'table', 'netdev', this.#table]);
  }

  /** Packets that were dropped so far. */
  async lost(): Promise<number> {
    const { stdout } = await this.host.must(['nft', '-j', 'list', 'counters', 'table', 'netdev', this.#table]);
    const counters = nftCounters.parse(JSON.parse(stdout)).nftables;
    return counters.find((one) => one.counter?.name === 'lost')?.counter?.packets ?? 0;
  }

  /** Takes the cable out. */
  down(): Promise<void> {
    return this.host.ip('link', 'set', this.name, 'down');
  }

  up(): Promise<void> {
    return this.host.ip('link', 'set', this.name, 'up');
  }

  /** Waits until the kernel has noticed that the other end is there; until then nothing is sent. */
  async ready(timeoutMs = 5_000): Promise<void> {
    const up = async (): Promise<boolean> => {
      const { stdout } = await this.host.must(['cat', `/sys/class/net/${this.name}/operstate`]);
      return ['up', 'unknown'].includes(stdout.trim()); // a TUN device does not know
    };
    await poll(up, timeoutMs, `${this.host.name}/${this.name} to be up`, 20);
  }

  /** Whole batches count as one packet unless these are off. */
  async offloadsOff(): Promise<void> {
    const changes = OFFLOADS.flatMap((feature) => [feature, 'off']);
    await this.host.must(['ethtool', '-K', this.name, ...changes]);
  }

  get #table(): string {
    return `loss_${this.name.replace(/[^a-z0-9]/gi, '_')}`;
  }
}

/** What joins two hosts. */
export class Link {
  constructor(
    readonly a: End,
    readonly b: End,
    readonly line: Child | undefined,
  ) {}

  /** Counters of the userspace line so far; `ab` is from a to b. */
  async lineReport(timeoutMs = 2_000): Promise<LineReport> {
    if (this.line === undefined) throw new Error('this link has no line');
    const before = this.line.lines().length;
    this.line.signal('SIGUSR1');
    const line = this.line;
    const text = await poll(() => line.lines()[before], timeoutMs, 'the line to report');
    return lineReport.parse(JSON.parse(text));
  }
}

async function address(end: End, mtu: number | undefined): Promise<void> {
  for (const one of end.addresses) {
    const noDad = one.includes(':') ? ['nodad'] : [];
    await end.host.ip('address', 'add', one, 'dev', end.name, ...noDad);
  }
  if (mtu !== undefined) await end.host.ip('link', 'set', end.name, 'mtu', String(mtu));
  if (end.host instanceof Switch) await end.host.ip('link', 'set', end.name, 'master', Switch.BRIDGE);
  await end.up();
}

function lineArguments(options: LineOptions): string[] {
  const ppm = (share = 0) => String(Math.round(share * 1_000_000));
  const micros = (ms = 0) => String(Math.round(ms * 1_000));
  return [
    ...[
      '--delay-us',
      micros(options.delayMs),
      '--jitter-us',
      micros(options.jitterMs),
      '--loss-ppm',
      ppm(options.loss),
    ],
    ...[
      '--rate-kbit',
      String(Math.round((options.rate ?? 0) / 1_000)),
      '--queue-packets',
      String(options.queue ?? 1_000),
    ],
    ...['--reorder-ppm', ppm(options.reorder), '--reorder-us', micros(options.reorderMs)],
    ...['--seed', String(options.seed ?? 1)],
  ];
}

async function startLine(a: End, b: End, options: LineOptions, program: string): Promise<Child> {
  const at = (end: End) => `/run/netns/${end.host.namespace}:${end.name}`;
  const command = [program, '--a', at(a), '--b', at(b), ...lineArguments(options)];
  const line = await a.host.spawn(`line-${a.name}-${b.host.name}`, command);
  await line.waitForLine(/^ready$/m, 5_000);
  return line;
}

/**
 * Joins two hosts.
 *
 * @param lineProgram gives the compiled line; only called when it is needed
 */
export async function connect(
  [hostA, endA]: readonly [Host, EndOptions],
  [hostB, endB]: readonly [Host, EndOptions],
  options: LinkOptions,
  lineProgram: () => Promise<string>,
): Promise<Link> {
  const a = new End(hostA, endA.name, endA.addresses ?? []);
  const b = new End(hostB, endB.name, endB.addresses ?? []);
  let line: Child | undefined;
  if (options.line === undefined) {
    const peer = ['peer', 'name', b.name, 'netns', hostB.namespace];
    await must(['ip', 'link', 'add', a.name, 'netns', hostA.namespace, 'type', 'veth', ...peer]);
  } else {
    line = await startLine(a, b, options.line, await lineProgram());
  }
  for (const end of [a, b]) {
    await address(end, options.mtu);
    if (options.offloads === false && line === undefined) await end.offloadsOff();
  }
  await Promise.all([a.ready(), b.ready()]);
  return new Link(a, b, line);
}
