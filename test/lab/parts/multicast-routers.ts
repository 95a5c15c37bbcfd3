// The routers of a multicast lab: ours and those that others wrote, each with one configuration that means the same.
import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { z } from 'zod';
import type { Host } from '../lib/host.js';
import { poll } from '../lib/poll.js';
import { type Child, must } from '../lib/process.js';
import { Skip } from '../lib/report.js';
import { isExecutable, need, which } from '../lib/tools.js';
import { Edge, sluice } from './sluice.js';

/** What a router is to do. */
export interface RouterPlan {
  /** Devices where PIM is spoken. */
  readonly pim?: readonly string[];
  /** Devices where hosts are asked. */
  readonly hosts?: readonly string[];
  /** Rendezvous points by family, of 239.0.0.0/8 and ff1e::/16. */
  readonly rp?: { readonly 4: string; readonly 6: string };
  /** pimd only: the address by which it offers itself as bootstrap router and rendezvous point of 239.0.0.0/8. */
  readonly candidate?: string;
  /** Of all devices with PIM. */
  readonly drPriority?: number;
  /** Between hellos, of which three and a half may be missed; joins are repeated half as often. 5 s by default: pimd looks at its times no more often. */
  readonly helloS?: number;
  /** Between general queries, 2 s by default. */
  readonly queryS?: number;
  /** Device towards the querier above: a proxy. */
  readonly proxy?: string;
  /** Ours: who is behind the devices in `hosts`, as in the configuration. */
  readonly subscriber?: object;
  /** Whether ours leaves its routes to a keeper when it ends; else the next router of another kind could not begin. */
  readonly kept?: boolean;
  /** How long ours goes on after a start with what it took over and nobody has asked for again. */
  readonly graceS?: number;
}

/** A route as a router's own table has it. */
export interface RouteRow {
  readonly source: string;
  readonly group: string;
  readonly outgoing: readonly string[];
}

/** A router that runs. */
export interface RunningRouter {
  readonly name: string;
  readonly host: Host;
  /** Its processes. */
  readonly pids: readonly number[];
  /** Whether it has tables of neighbours and groups that can be asked for. */
  readonly tells: boolean;
  /** By its own account. */
  routes(): Promise<readonly RouteRow[]>;
  /** Addresses of its PIM neighbours, by its own account. */
  neighbours(): Promise<readonly string[]>;
  /** How many groups hosts on a device want of those that begin as this one does (its first byte), by its own account. */
  groups(device: string, like: string): Promise<number>;
  stop(): Promise<void>;
  /** Without a word to anybody. */
  crash(): Promise<void>;
}

/** A way to run a router. */
export interface RouterKind<R extends RunningRouter = RunningRouter> {
  readonly name: string;
  /** A lab means something without it: no distribution has it. */
  readonly rare?: boolean;
  /** @throws Skip where it is not there */
  start(host: Host, plan: RouterPlan): Promise<R>;
}

const rows = z.object({ rows: z.array(z.looseObject({})) });
const routeRow = z.object({ source: z.string(), group: z.string(), outgoing: z.string() });
const neighbourRow = z.object({ neighbor: z.string(), dr: z.boolean() });

function alike(group: string, like: string): boolean {
  return group.split('.')[0] === like.split('.')[0];
}

/** Ours. */
export class SluiceRouter implements RunningRouter {
  readonly name = 'sluice';
  readonly tells = true;
  readonly host: Host;
  readonly pids: readonly number[];

  constructor(readonly edge: Edge) {
    this.host = edge.host;
    this.pids = [edge.child.pid];
  }

  /** Rows of `sluice show NOUN`. */
  async show<T>(noun: string, row: z.ZodType<T>): Promise<T[]> {
    const shown = rows.parse(await this.host.getJson(`http://127.0.0.1:9480/v1/show/${noun}`));
    return z.array(row).parse(shown.rows);
  }

  async routes(): Promise<readonly RouteRow[]> {
    const all = await this.show('mroute', routeRow);
    return all.map(({ source, group, outgoing }) => ({ source, group, outgoing: outgoing.split(' ').filter(Boolean) }));
  }

  async neighbours(): Promise<readonly string[]> {
    return (await this.show('neighbors', neighbourRow)).map(({ neighbor }) => neighbor);
  }

  async groups(device: string, like: string): Promise<number> {
    const all = await this.show('groups', z.object({ interface: z.string(), group: z.string() }));
    return all.filter((row) => row.interface === device && alike(row.group, like)).length;
  }

  async stop(): Promise<void> {
    await this.edge.child.stop();
  }

  /** Ends, and takes away what the kernel would go on forwarding. */
  async withdraw(): Promise<void> {
    const { host, child } = this.edge;
    const socket = host.lab.file(`${host.name}.sock`);
    await host.must(sluice('stop', '--withdraw', '--admin', socket));
    await child.exited;
  }

  async crash(): Promise<void> {
    await this.edge.child.stop('SIGKILL');
  }
}

export const sluiceRouter: RouterKind<SluiceRouter> = {
  name: 'sluice',
  async start(
    host,
    { pim = [], hosts = [], rp, drPriority = 1, helloS = 5, proxy, queryS = 2, kept = false, graceS, subscriber },
  ) {
    const quick = { hello_interval: `${helloS}s`, join_interval: `${2 * helloS}s`, dr_priority: drPriority };
    const asked = { query_interval: `${queryS}s`, query_response: '500ms', last_member_interval: '200ms' };
    const names = [...new Set([...pim, ...hosts, ...(proxy === undefined ? [] : [proxy])])];
    const interfaces = names.map((name) => ({
      name,
      ...(pim.includes(name) ? { pim: quick } : {}),
      ...(hosts.includes(name) ? { hosts: asked, ...(subscriber === undefined ? {} : { subscriber }) } : {}),
    }));
    const points =
      rp === undefined
        ? []
        : [
            { address: rp[4], groups: '239.0.0.0/8' },
            { address: rp[6], groups: 'ff1e::/16' },
          ];
    const upstream =
      proxy === undefined
        ? { upstream: pim.length === 0 ? 'none' : 'pim', rendezvous_points: points }
        : { upstream: 'proxy', proxy_interface: proxy };
    const restart = {
      keeper: kept ? 'auto' : 'none',
      ...(graceS === undefined ? {} : { restart_grace: `${graceS}s` }),
    };
    return new SluiceRouter(await Edge.start(host, [], {}, { interfaces, membership: { ...upstream, ...restart } }));
  },
};

const frrRoutes = z.record(
  z.string(),
  z.record(
    z.string(),
    z.looseObject({ oil: z.record(z.string(), z.looseObject({ outboundInterface: z.string() })).optional() }),
  ),
);
const frrNeighbours = z.record(z.string(), z.record(z.string(), z.looseObject({ neighbor: z.string().optional() })));

const frrJoins = z.record(
  z.string(),
  z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.record(z.string(), z.unknown())])),
);

/** The programs of FRR for each family, and what its commands call it. */
const FAMILIES = {
  4: { name: 'FRR', daemon: 'pimd', ip: 'ip', hosts: 'igmp', groups: '239.0.0.0/8' },
  6: { name: 'FRR pim6d', daemon: 'pim6d', ip: 'ipv6', hosts: 'mld', groups: 'ff1e::/16' },
} as const;
type Family = keyof typeof FAMILIES;

/** zebra with pimd or pim6d of FRR, which is version 8.4 in Debian 12, where it has no pim6d. */
export class FrrRouter implements RunningRouter {
  readonly tells = true;

  constructor(
    readonly host: Host,
    private readonly family: Family,
    private readonly folder: string,
    private readonly zebra: Child,
    private readonly daemon: Child,
  ) {}

  get name(): string {
    return FAMILIES[this.family].name;
  }

  get pids(): readonly number[] {
    return [this.zebra.pid, this.daemon.pid];
  }

  async groups(device: string, like: string): Promise<number> {
    const all = await this.vty('show ip igmp groups');
    return all.split('\n').filter((line) => {
      const [interface_, group = ''] = line.trim().split(/\s+/);
      return interface_ === device && alike(group, like);
    }).length;
  }

  /** What its daemon answers, as JSON. */
  async ask(command: string): Promise<unknown> {
    return JSON.parse((await this.vty(`${command} json`)) || '{}');
  }

  async vty(command: string): Promise<string> {
    return (await converse(`${this.folder}/${FAMILIES[this.family].daemon}.vty`, [command])).join('');
  }

  async routes(): Promise<readonly RouteRow[]> {
    const all = frrRoutes.parse(await this.ask(`show ${FAMILIES[this.family].ip} mroute`));
    return Object.entries(all).flatMap(([group, sources]) =>
      Object.entries(sources).map(([source, { oil = {} }]) => ({ source, group, outgoing: Object.keys(oil) })),
    );
  }

  /** Whether a router on a device has joined, by its table of joins. */
  async joined(device: string, source: string, group: string): Promise<boolean> {
    const all = frrJoins.parse(await this.ask(`show ${FAMILIES[this.family].ip} pim join`));
    const sources = all[device]?.[group];
    return typeof sources === 'object' && source in sources;
  }

  async neighbours(): Promise<readonly string[]> {
    const all = frrNeighbours.parse(await this.ask(`show ${FAMILIES[this.family].ip} pim neighbor`));
    return Object.values(all).flatMap((one) => Object.keys(one));
  }

  async stop(): Promise<void> {
    await this.daemon.stop();
    await this.zebra.stop();
  }

  async crash(): Promise<void> {
    await this.daemon.stop('SIGKILL');
    await this.zebra.stop('SIGKILL');
  }
}

/**
 * What a daemon of FRR answers on the socket that vtysh uses: to each command a text, three zeros and a status.
 * @throws when a command is refused
 */
async function converse(path: string, commands: readonly string[]): Promise<string[]> {
  const socket = connect(path);
  socket.setTimeout(10_000, () => socket.destroy(new Error(`${path} does not answer`)));
  const pieces: AsyncIterator<Buffer> = socket[Symbol.asyncIterator]();
  const ended = (all: Buffer): boolean => all.length >= 4 && !all.subarray(-4, -1).some(Boolean);
  const answers: string[] = [];
  try {
    for (const command of commands) {
      socket.write(`${command}\0`);
      let all = Buffer.alloc(0);
      while (!ended(all)) {
        const piece = await pieces.next();
        if (piece.done === true) throw new Error(`${path} ends at ${command}`);
        all = Buffer.concat([all, piece.value]);
      }
      const answer = all.subarray(0, -4).toString();
      if (all.at(-1) !== 0) throw new Error(`${command}: ${answer}`);
      answers.push(answer);
    }
    return answers;
  } finally {
    socket.destroy();
  }
}

function frrConfiguration(
  family: Family,
  { pim = [], hosts = [], rp, drPriority, helloS = 5, queryS = 2 }: RouterPlan,
): string[] {
  const { ip, hosts: asking, groups } = FAMILIES[family];
  const devices = [...new Set([...pim, ...hosts])];
  // A rendezvous point's address is its own where PIM is on for the device that has it.
  const loopback = rp === undefined ? [] : ['interface lo', `${ip} pim`, 'exit'];
  const lines = devices.flatMap((device) => [
    `interface ${device}`,
    ...(pim.includes(device) ? [`${ip} pim`, `${ip} pim hello ${helloS} ${Math.ceil(3.5 * helloS)}`] : []),
    ...(pim.includes(device) && drPriority !== undefined ? [`${ip} pim drpriority ${drPriority}`] : []),
    ...(hosts.includes(device)
      ? [
          `${ip} ${asking}`,
          // First: an interval shorter than the time to answer is refused.
          `${ip} ${asking} query-max-response-time 5`,
          `${ip} ${asking} query-interval ${queryS}`,
          `${ip} ${asking} last-member-query-count 1`,
          `${ip} ${asking} last-member-query-interval 1`,
        ]
      : []),
    'exit',
  ]);
  const point = rp === undefined ? [] : [`${ip} pim rp ${rp[family]} ${groups}`];
  return ['enable', 'configure terminal', `${ip} pim join-prune-interval 5`, ...loopback, ...lines, ...point];
}

const FRR = '/usr/lib/frr';

/** Where a daemon is; Debian has no pim6d, so that its path is given. */
function programOf(daemon: 'zebra' | 'pimd' | 'pim6d'): string {
  const six = process.env['SLUICE_PEER_PIM6D'];
  const path = daemon === 'pim6d' ? (six ?? `${FRR}/pim6d`) : `${FRR}/${daemon}`;
  if (isExecutable(path)) return path;
  if (daemon === 'pim6d') throw new Skip('pim6d of FRR not found; build it and give its path by SLUICE_PEER_PIM6D');
  throw new Skip(`${path} not found; install frr`);
}

async function startFrr(family: Family, host: Host, plan: RouterPlan): Promise<FrrRouter> {
  const { daemon } = FAMILIES[family];
  const [zebraPath, pimPath] = [programOf('zebra'), programOf(daemon)];
  const { lab, name } = host;
  const folder = lab.file(`frr-${name}`);
  // As root pimd of FRR does not work; what it makes is its own user's, and found through the lab's folder.
  const owned = await host.exec(['id', '-u', 'frr']);
  if (owned.code !== 0 || process.getuid?.() !== 0) throw new Skip('FRR needs root and a user frr');
  chmodSync(lab.folder, 0o711);
  // Sockets of one that ran here before would be taken for this one's: pimd looks again for zebra only after 10 s.
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
  writeFileSync(`${folder}/zebra.conf`, '');
  writeFileSync(`${folder}/${daemon}.conf`, '');
  await must(['chown', '-R', 'frr:frr', folder]);
  const spawn = (one: string, path: string): Promise<Child> => {
    const own = ['-f', `${folder}/${one}.conf`, '-i', `${folder}/${one}.pid`, '-z', `${folder}/zserv.api`];
    return host.spawn(`frr-${one}`, [path, ...own, '--vty_socket', folder, '-P', '0', '--log', 'stdout']);
  };
  const zebra = await spawn('zebra', zebraPath);
  await socketThere(zebra, host, `${folder}/zserv.api`);
  const pim = await spawn(daemon, pimPath);
  const vty = `${folder}/${daemon}.vty`;
  await socketThere(pim, host, vty);
  // By commands and not from a file: pim6d 8.4 never again finds a device that it was told of before zebra named it.
  const named = async (): Promise<boolean> =>
    (await converse(`${folder}/zebra.vty`, ['enable', 'show zebra client'])).join('').includes('Client: pim');
  await poll(named, 10_000, `zebra to know ${daemon}`);
  await converse(vty, frrConfiguration(family, plan));
  return new FrrRouter(host, family, folder, zebra, pim);
}

export const frrRouter: RouterKind<FrrRouter> = {
  name: FAMILIES[4].name,
  start: (host, plan) => startFrr(4, host, plan),
};

/** IPv6 only. */
export const frr6Router: RouterKind<FrrRouter> = {
  name: FAMILIES[6].name,
  rare: true,
  start: (host, plan) => startFrr(6, host, plan),
};

async function socketThere(child: Child, host: Host, path: string): Promise<void> {
  const there = async (): Promise<boolean> => {
    if (!child.running) throw new Error(`${child.name} ended: ${child.tail()}`);
    return (await host.exec(['test', '-S', path])).code === 0;
  };
  await poll(there, 10_000, () => `${child.name}: ${child.tail()}`);
}

/** A router that shows nothing by itself: what the kernel of its host has. */
export class KernelRouter implements RunningRouter {
  readonly tells = false;

  constructor(
    readonly name: string,
    readonly host: Host,
    private readonly child: Child,
  ) {}

  async routes(): Promise<readonly RouteRow[]> {
    const { stdout } = await this.host.must(['ip', 'mroute', 'show']);
    const line = /^\((\S+),(\S+)\)\s+Iif: \S+\s+(?:Oifs: (.*?))?\s*(?:State: \S+)?$/gm;
    return [...stdout.matchAll(line)].map(([, source = '', group = '', outgoing = '']) => ({
      source,
      group,
      outgoing: outgoing.trim().split(/\s+/).filter(Boolean),
    }));
  }

  get pids(): readonly number[] {
    return [this.child.pid];
  }

  neighbours(): Promise<readonly string[]> {
    return Promise.resolve([]);
  }

  groups(): Promise<number> {
    return Promise.resolve(0);
  }

  async stop(): Promise<void> {
    await this.child.stop();
  }

  async crash(): Promise<void> {
    await this.child.stop('SIGKILL');
  }
}

/** pimd 2.3: it conflicts with FRR in Debian, so that its path may be given. */
export const pimdRouter: RouterKind = {
  name: 'pimd',
  async start(host, { pim = [], hosts = [], rp, candidate }) {
    const path = process.env['SLUICE_PEER_PIMD'] ?? which('pimd');
    if (path === undefined) throw new Skip('pimd not found; unpack its package and give the path by SLUICE_PEER_PIMD');
    const file = host.lab.file(`${host.name}-pimd.conf`);
    const devices = [...new Set([...pim, ...hosts])];
    const lines = [
      'hello-interval 30',
      ...devices.map((device) => `phyint ${device} enable`),
      ...(rp === undefined ? [] : [`rp-address ${rp[4]} 239.0.0.0/8`]),
      ...(candidate === undefined
        ? []
        : [`bsr-candidate ${candidate} priority 5`, `rp-candidate ${candidate} time 10`, 'group-prefix 239.0.0.0/8']),
      'spt-threshold packets 0 interval 5',
    ];
    writeFileSync(file, `${lines.join('\n')}\n`);
    return new KernelRouter('pimd', host, await host.spawn('pimd', [path, '-f', '-N', '-c', file]));
  },
};

async function devicesOf(host: Host): Promise<string[]> {
  const { stdout } = await host.must(['ls', '/sys/class/net']);
  return stdout.split('\n').filter(Boolean);
}

/** igmpproxy: a proxy only. */
export const igmpproxyRouter: RouterKind = {
  name: 'igmpproxy',
  async start(host, { hosts = [], proxy = '' }) {
    need('igmpproxy');
    const file = host.lab.file(`${host.name}-igmpproxy.conf`);
    const devices = (await devicesOf(host)).filter((device) => device !== proxy && !hosts.includes(device));
    const lines = [
      'quickleave',
      `phyint ${proxy} upstream ratelimit 0 threshold 1`,
      '  altnet 10.0.0.0/8',
      ...hosts.map((device) => `phyint ${device} downstream ratelimit 0 threshold 1`),
      ...devices.map((device) => `phyint ${device} disabled`),
    ];
    writeFileSync(file, `${lines.join('\n')}\n`);
    return new KernelRouter('igmpproxy', host, await host.spawn('igmpproxy', ['igmpproxy', '-n', '-v', file]));
  },
};
