import { z } from 'zod';
import { program } from '../lib/compile.js';
import type { Host, Switch } from '../lib/host.js';
import type { Lab } from '../lib/lab.js';
import type { End } from '../lib/link.js';
import { during, poll } from '../lib/poll.js';
import type { Child } from '../lib/process.js';

/**
 * Two ways from the source to the hosts' link, and a host behind the second of them:
 *
 *     source --- src0 up acc0 --- up0 acc lan0 ---+
 *                     alt0 --- alt0 acc           +--- switch --- hosts, host2 leaf0 --- leaf
 *                     two0 --- up0 second lan0 ---+
 */
export interface MulticastNet {
  readonly lab: Lab;
  readonly source: Host;
  readonly up: Host;
  readonly acc: Host;
  readonly second: Host;
  readonly hosts: readonly [Host, Host];
  readonly leaf: Host;
  readonly lanSwitch: Switch;
  /** The hosts' ends. */
  readonly cables: readonly [End, End];
  /** Where `acc` sends to hosts. */
  readonly lan: End;
}

export const SOURCES = {
  4: ['10.30.1.2', '10.30.1.3'],
  6: ['fd30:1::2', 'fd30:1::3'],
} as const;
/** Of `up` towards `acc`. */
export const UP = { 4: '10.30.2.1', 6: 'fd30:2::1' } as const;
/** The rendezvous point is `up`. */
export const RP = UP;
/** Another address of it, reached by the address of the link: pim6d says its others to nobody. */
export const FAR_RP = { 4: RP[4], 6: 'fd30:9::1' } as const;
/** Of `acc` towards `up`. */
export const ACC = { 4: '10.30.2.2', 6: 'fd30:2::2' } as const;
/** The rendezvous point is `acc`, again by an address that is reached by the one of the link. */
export const NEAR_RP = { 4: ACC[4], 6: 'fd30:8::1' } as const;
/** The second way from `up` to `acc`. */
export const ALTERNATIVE = { 4: '10.30.5.1', 6: 'fd30:5::1' } as const;
/** Of the host behind the second. */
export const LEAF = '10.30.6.2';
const PORT = 5000;
const EVERY_MS = 10;

export async function buildMulticastNet(lab: Lab): Promise<MulticastNet> {
  const source = await lab.host('source');
  const [up, acc, second] = [await lab.router('up'), await lab.router('acc'), await lab.router('second')];
  const lanSwitch = await lab.switch('switch');
  const hosts = [await lab.host('host1'), await lab.host('host2')] as const;
  const leaf = await lab.host('leaf');
  const counting = { offloads: false };
  const both = (net: number, host: number): string[] => [`10.30.${net}.${host}/24`, `fd30:${net}::${host}/64`];
  await lab.link(
    [source, { name: 'eth0', addresses: [...both(1, 2), ...both(1, 3)] }],
    [up, { name: 'src0', addresses: both(1, 1) }],
    counting,
  );
  const between = async (below: Host, net: number, [above, inside]: readonly [string, string]): Promise<void> => {
    await lab.link(
      [up, { name: above, addresses: both(net, 1) }],
      [below, { name: inside, addresses: both(net, 2) }],
      counting,
    );
  };
  await between(acc, 2, ['acc0', 'up0']);
  await between(acc, 5, ['alt0', 'alt0']);
  await between(second, 4, ['two0', 'up0']);
  const toLan = (router: Host, host: number, port: string) =>
    lab.link([router, { name: 'lan0', addresses: both(3, host) }], [lanSwitch, { name: port }], counting);
  const { a: accLan } = await toLan(acc, 1, 'acc');
  await toLan(second, 4, 'second');
  const cable = async (host: Host, number: number): Promise<End> => {
    const link = await lab.link(
      [host, { name: 'eth0', addresses: both(3, number) }],
      [lanSwitch, { name: host.name }],
      counting,
    );
    return link.a;
  };
  const cables = [await cable(hosts[0], 11), await cable(hosts[1], 12)] as const;
  await lab.link(
    [hosts[1], { name: 'leaf0', addresses: ['10.30.6.1/24'] }],
    [leaf, { name: 'eth0', addresses: [`${LEAF}/24`] }],
    counting,
  );
  await route([source], '10.30.1.1', 'fd30:1::1');
  await wayBack(acc, UP);
  await wayBack(second, { 4: '10.30.4.1', 6: 'fd30:4::1' });
  await route(hosts, '10.30.3.1', 'fd30:3::1');
  await up.ip('address', 'add', `${FAR_RP[6]}/128`, 'dev', 'lo');
  const { 6: six, device = '' } = await linkWay({ up });
  await acc.ip('-6', 'route', 'add', FAR_RP[6], 'via', six, 'dev', device);
  await acc.ip('address', 'add', `${NEAR_RP[6]}/128`, 'dev', 'lo');
  await up.ip('-6', 'route', 'add', NEAR_RP[6], 'via', await pimAddress(acc, 'up0', 6), 'dev', 'acc0');
  await up.route('10.30.3.0/24', ACC[4]);
  await up.route('fd30:3::/64', ACC[6]);
  return { lab, source, up, acc, second, hosts, leaf, lanSwitch, cables, lan: accLan };
}

/** A next hop; an address of the link needs the device. */
export interface Via {
  readonly 4: string;
  readonly 6: string;
  readonly device?: string;
}

/** From `acc` to `up` by the address of the link, as routing protocols have it. */
export async function linkWay({ up }: Pick<MulticastNet, 'up'>): Promise<Via> {
  return { 4: UP[4], 6: await pimAddress(up, 'acc0', 6), device: 'up0' };
}

/** Routes a router's way to the sources, from now on. */
export async function wayBack(router: Host, { 4: four, 6: six, device }: Via): Promise<void> {
  const on = device === undefined ? [] : ['dev', device];
  await router.ip('route', 'replace', '10.30.1.0/24', 'via', four, ...on);
  await router.ip('-6', 'route', 'replace', 'fd30:1::/64', 'via', six, ...on);
}

async function route(hosts: readonly Host[], ...vias: readonly string[]): Promise<void> {
  for (const host of hosts) for (const via of vias) await host.route('default', via);
}

const deviceAddresses = z.array(
  z.object({ addr_info: z.array(z.looseObject({ family: z.string(), scope: z.string(), local: z.string() })) }),
);

/** By which address PIM knows a router there: with IPv6 the one of the link. */
export async function pimAddress(host: Host, device: string, family: 4 | 6): Promise<string> {
  const { stdout } = await host.must(['ip', '-j', 'address', 'show', 'dev', device]);
  const all = deviceAddresses.parse(JSON.parse(stdout)).flatMap((one) => one.addr_info);
  const [wanted, scope] = family === 4 ? ['inet', 'global'] : ['inet6', 'link'];
  const found = all.find((one) => one.family === wanted && one.scope === scope);
  if (found === undefined) throw new Error(`${host.name}/${device} has no ${wanted} address of scope ${scope}`);
  return found.local;
}

const heard = z.array(
  z.object({
    group: z.string(),
    source: z.string(),
    packets: z.number(),
    missing: z.number(),
    again: z.number(),
  }),
);
export type Heard = z.infer<typeof heard>[number];

/** A sender of numbered datagrams, a hundred a second to each group unless told otherwise. */
export function talk(
  host: Host,
  source: string,
  groups: readonly string[],
  device = 'eth0',
  everyMs = EVERY_MS,
): Promise<Child> {
  const command = [process.execPath, program('multicast-host'), 'send', device, PORT, everyMs, source, ...groups];
  return host.spawn(`talk-${source.replaceAll(':', '.')}`, command.map(String));
}

/** A member of groups, as the kernel of its host reports it. */
export class Member {
  private constructor(readonly child: Child) {}

  /** @param channels `GROUP` or `GROUP/SOURCE` */
  static async join(host: Host, address: string, ...channels: readonly string[]): Promise<Member> {
    const command = [process.execPath, program('multicast-host'), 'receive', 'eth0', String(PORT), address];
    return new Member(await host.spawn(`member-${host.name}`, [...command, ...channels]));
  }

  /** What came so far. */
  heard(): Heard[] {
    const last = this.child.lines().at(-1);
    return last === undefined ? [] : heard.parse(JSON.parse(last));
  }

  packets(group: string, source: string): number {
    return this.heard().find((one) => one.group === group && one.source === source)?.packets ?? 0;
  }

  /** Waits until packets of the channel come, so many more than now. */
  async hears(group: string, source: string, timeoutMs = 10_000, more = 20): Promise<void> {
    const before = this.packets(group, source);
    const come = (): boolean => this.packets(group, source) >= before + more;
    await poll(come, timeoutMs, () => `packets of ${source} to ${group}; got ${JSON.stringify(this.heard())}`);
  }

  /** Leaves as a host does whose program ends: the kernel says so. */
  async leave(): Promise<void> {
    await this.child.stop();
  }
}

type Device = Pick<End, 'host' | 'name'>;

/** Packets that a device sent so far. */
async function sent({ host, name }: Device): Promise<number> {
  return Number((await host.must(['cat', `/sys/class/net/${name}/statistics/tx_packets`])).stdout);
}

/** Waits until a device sends no more than control messages. */
export async function stopsSending(end: Device, timeoutMs: number): Promise<number> {
  const began = performance.now();
  const quiet = async (): Promise<boolean> => {
    const before = await sent(end);
    await during(200);
    return (await sent(end)) - before < 200 / EVERY_MS / 4;
  };
  await poll(quiet, timeoutMs, `${end.host.name}/${end.name} to send no more`, 0);
  return performance.now() - began;
}
