// The routers of a multicast lab: ours and those that others wrote, each with one configuration that means the same.
import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { z } from 'zod';
import type { Host } from '../lib/host.js';
import { poll } from '../lib/poll.js';
import { type Child, must } from '../lib/process.js';
import { Skip } from '../lib/report.js';
import { need, which } from '../lib/tools.js';
import { Edge, sluice } from './sluice.js';

/** What a router is to do. */
export interface RouterPlan {
  /** Devices where PIM is spoken. */
  readonly pim?: readonly string[];
  /** Devices where hosts are asked. */
  readonly hosts?: readonly string[];
  /** Rendezvous points by family, of 239.0.0.0/8 and ff1e::/16. */
  readonly rp?: { readonly 4: string; readonly 6: string };
  /** Of all devices with PIM. */
  readonly drPriority?: number;
  /** Between hellos, of which three and a half may be missed; joins are repeated half as often. 5 s by default: pimd looks at its times no more often. */
  readonly helloS?: number;
  /** Between general queries, 2 s by default. */
  readonly queryS?: number;
  /** Device towards the querier above: a proxy. */
  readonly proxy?: string;
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
  async start(host, { pim = [], hosts = [], rp, drPriority = 1, helloS = 5, proxy, queryS = 2, kept = false, graceS }) {
    const quick = { hello_interval: `${helloS}s`, join_interval: `${2 * helloS}s`, dr_priority: drPriority };
    const asked = { query_interval: `${queryS}s`, query_response: '500ms', last_member_interval: '200ms' };
    const names = [...new Set([...pim, ...hosts, ...(proxy === undefined ? [] : [proxy])])];
    const interfaces = names.map((name) => ({
      name,
      ...(pim.includes(name) ? { pim: quick } : {}),
      ...(hosts.includes(name) ? { hosts: asked } : {}),
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

/** zebra and pimd of FRR, which is version 8.4 in Debian 12: IPv4 only. */
export class FrrRouter implements RunningRouter {
  readonly name = 'FRR';
  readonly tells = true;

  constructor(
    readonly host: Host,
    private readonly folder: string,
    private readonly zebra: Child,
    private readonly pimd: Child,
  ) {}

  get pids(): readonly number[] {
    return [this.zebra.pid, this.pimd.pid];
  }

  async groups(device: string, like: string): Promise<number> {
    const all = await this.vty('show ip igmp groups');
    return all.split('\n').filter((line) => {
      const [interface_, group = ''] = line.trim().split(/\s+/);
      return interface_ === device && alike(group, like);
    }).length;
  }

  /** What vtysh answers, as JSON. */
  async ask(command: string): Promise<unknown> {
    return JSON.parse((await this.vty(`${command} json`)) || '{}');
  }

  async vty(command: string): Promise<string> {
    const result = await this.host.must(['vtysh', '--vty_socket', this.folder, '-d', 'pimd', '-c', command]);
    return result.stdout;
  }

  async routes(): Promise<readonly RouteRow[]> {
    const all = frrRoutes.parse(await this.ask('show ip mroute'));
    return Object.entries(all).flatMap(([group, sources]) =>
      Object.entries(sources).map(([source, { oil = {} }]) => ({ source, group, outgoing: Object.keys(oil) })),
    );
  }

  async neighbours(): Promise<readonly string[]> {
    return Object.values(frrNeighbours.parse(await this.ask('show ip pim neighbor'))).flatMap((one) =>
      Object.keys(one),
    );
  }

  async stop(): Promise<void> {
    await this.pimd.stop();
    await this.zebra.stop();
  }

  async crash(): Promise<void> {
    await this.pimd.stop('SIGKILL');
    await this.zebra.stop('SIGKILL');
  }
}

function frrConfiguration({ pim = [], hosts = [], rp, drPriority, helloS = 5, queryS = 2 }: RouterPlan): string {
  const devices = [...new Set([...pim, ...hosts])];
  const lines = devices.flatMap((device) => [
    `interface ${device}`,
    ...(pim.includes(device) ? [' ip pim', ` ip pim hello ${helloS} ${Math.ceil(3.5 * helloS)}`] : []),
    ...(pim.includes(device) && drPriority !== undefined ? [` ip pim drpriority ${drPriority}`] : []),
    ...(hosts.includes(device)
      ? [
          ' ip igmp',
          ` ip igmp query-interval ${queryS}`,
          ' ip igmp query-max-response-time 5',
          ' ip igmp last-member-query-count 1',
          ' ip igmp last-member-query-interval 1',
        ]
      : []),
  ]);
  const point = rp === undefined ? [] : [`ip pim rp ${rp[4]} 239.0.0.0/8`];
  return `${['ip pim join-prune-interval 5', ...point, ...lines].join('\n')}\n`;
}

const FRR = '/usr/lib/frr';

export const frrRouter: RouterKind<FrrRouter> = {
  name: 'FRR',
  async start(host, plan) {
    need('vtysh');
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
    writeFileSync(`${folder}/pimd.conf`, frrConfiguration(plan));
    await must(['chown', '-R', 'frr:frr', folder]);
    const spawn = (daemon: string, ...further: string[]): Promise<Child> => {
      const own = ['-f', `${folder}/${daemon}.conf`, '-i', `${folder}/${daemon}.pid`, '-z', `${folder}/zserv.api`];
      const command = [`${FRR}/${daemon}`, ...own, '--vty_socket', folder, '-P', '0', '--log', 'stdout', ...further];
      return host.spawn(`frr-${daemon}`, command);
    };
    const zebra = await spawn('zebra');
    await socketThere(zebra, host, `${folder}/zserv.api`);
    const pimd = await spawn('pimd');
    await socketThere(pimd, host, `${folder}/pimd.vty`);
    return new FrrRouter(host, folder, zebra, pimd);
  },
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
  async start(host, { pim = [], hosts = [], rp }) {
    const path = process.env['SLUICE_PEER_PIMD'] ?? which('pimd');
    if (path === undefined) throw new Skip('pimd not found; unpack its package and give the path by SLUICE_PEER_PIMD');
    const file = host.lab.file(`${host.name}-pimd.conf`);
    const devices = [...new Set([...pim, ...hosts])];
    const lines = [
      'hello-interval 30',
      ...devices.map((device) => `phyint ${device} enable`),
      ...(rp === undefined ? [] : [`rp-address ${rp[4]} 239.0.0.0/8`]),
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
