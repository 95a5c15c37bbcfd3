// Bridges with snooping beneath: a switch of its own, and one that is the router's own device.
import { z } from 'zod';
import type { Host } from '../lib/host.js';
import { poll } from '../lib/poll.js';
import { expect, type Report } from '../lib/report.js';
import { Member, type MulticastNet, stopsSending, talk, UP } from '../parts/multicast-net.js';
import { sluiceRouter } from '../parts/multicast-routers.js';

const VERSIONS = [
  { name: 'IGMPv2', family: 4, key: 'net.ipv4.conf.eth0.force_igmp_version', force: 2, group: '239.30.6.1' },
  { name: 'IGMPv3', family: 4, key: 'net.ipv4.conf.eth0.force_igmp_version', force: 3, group: '232.30.6.1' },
  { name: 'MLDv1', family: 6, key: 'net.ipv6.conf.eth0.force_mld_version', force: 1, group: 'ff1e::30:61' },
  { name: 'MLDv2', family: 6, key: 'net.ipv6.conf.eth0.force_mld_version', force: 2, group: 'ff3e::30:61' },
] as const;

/** Where it stands, the router's device on it, and its hosts, whose ports have their names. */
interface Bridge {
  readonly name: string;
  readonly at: Host;
  readonly bridge: string;
  readonly router: string;
  readonly hosts: readonly [Host, Host];
}

const OWN = 'br0';

/** A bridge in `acc` with two hosts. */
async function ownBridge({ lab, acc }: MulticastNet): Promise<Bridge> {
  await acc.ip('link', 'add', OWN, 'type', 'bridge', 'mcast_snooping', '1', 'mcast_query_response_interval', '100');
  await acc.ip('address', 'add', '10.30.7.1/24', 'dev', OWN);
  await acc.ip('address', 'add', 'fd30:7::1/64', 'dev', OWN);
  await acc.ip('link', 'set', OWN, 'up');
  const host = async (name: string, number: number): Promise<Host> => {
    const added = await lab.host(name);
    const addresses = [`10.30.7.${number}/24`, `fd30:7::${number}/64`];
    await lab.link([added, { name: 'eth0', addresses }], [acc, { name }], { offloads: false });
    await acc.ip('link', 'set', name, 'master', OWN);
    await added.route('default', '10.30.7.1');
    await added.route('default', 'fd30:7::1');
    return added;
  };
  const hosts = [await host('inside1', 11), await host('inside2', 12)] as const;
  return { name: "the router's own bridge", at: acc, bridge: OWN, router: OWN, hosts };
}

const database = z.array(
  z.object({ mdb: z.array(z.looseObject({ dev: z.string(), port: z.string(), grp: z.string() })).default([]) }),
);

/** Ports where a bridge has a group. */
async function ports({ at, bridge }: Bridge, group: string): Promise<string[]> {
  const { stdout } = await at.must(['bridge', '-j', 'mdb', 'show']);
  const all = database.parse(JSON.parse(stdout)).flatMap(({ mdb }) => mdb);
  const found = all.filter((one) => one.dev === bridge && one.grp === group && one.port !== bridge);
  return [...new Set(found.map(({ port }) => port))].sort();
}

/** Both hosts in turn and together: each port has packets while its host wants them, and no others. */
async function snooped(net: MulticastNet, bridge: Bridge, version: (typeof VERSIONS)[number]): Promise<string> {
  const { family, group } = version;
  const [first, second] = bridge.hosts;
  for (const host of bridge.hosts) await host.sysctl(version.key, version.force);
  const channel = version.force === (family === 4 ? 3 : 2) ? `${group}/${UP[family]}` : group;
  const address = async (host: Host): Promise<string> =>
    (
      await host.must(['sh', '-c', 'ip -4 -o address show dev eth0 | awk \'{ sub("/.*", "", $4); print $4 }\''])
    ).stdout.trim();
  const has = (...names: string[]) =>
    poll(
      async () => (await ports(bridge, group)).join() === names.join(),
      20_000,
      () => `the bridge to have ${group} at ${names.join()}`,
      100,
    );
  const one = await Member.join(first, await address(first), channel);
  await one.hears(group, UP[family]);
  await has(first.name);
  const before = await received(second);
  await one.hears(group, UP[family], 10_000, 100);
  const strays = (await received(second)) - before;
  expect(strays < 50, `${strays} packets at the port of a host that wants none`);
  const two = await Member.join(second, await address(second), channel);
  await two.hears(group, UP[family]);
  await has(first.name, second.name);
  await one.leave();
  await two.hears(group, UP[family], 10_000, 100);
  await two.leave();
  await stopsSending({ host: net.acc, name: bridge.router }, 15_000);
  return `${strays} packets of any kind at the port that wants none while 100 came at the other`;
}

async function received(host: Host): Promise<number> {
  return Number((await host.must(['cat', '/sys/class/net/eth0/statistics/rx_packets'])).stdout);
}

/** Hosts of every version on bridges that look into what they say. */
export async function playBridges(net: MulticastNet, report: Report): Promise<void> {
  const outside: Bridge = {
    name: 'a switch',
    at: net.lanSwitch,
    bridge: 'bridge',
    router: 'lan0',
    hosts: net.hosts,
  };
  for (const bridge of [outside, await ownBridge(net)]) {
    await sluiceRouter.start(net.acc, { hosts: [bridge.router, 'up0'] });
    for (const family of [4, 6] as const) {
      const groups = VERSIONS.filter((one) => one.family === family).map(({ group }) => group);
      await talk(net.up, UP[family], groups, 'acc0');
    }
    for (const version of VERSIONS) {
      await report.step(`${bridge.name} with snooping, ${version.name}`, () => snooped(net, bridge, version));
    }
    await net.lab.stopChildren();
  }
}
