import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import type { Lab } from '../lib/lab.js';
import { during, poll } from '../lib/poll.js';
import { expect, type Report } from '../lib/report.js';
import { CONFIG, type Debian, statusOf } from '../parts/debian.js';
import { Member, talk } from '../parts/multicast-net.js';

/** CAP_NET_BIND_SERVICE, CAP_NET_ADMIN and CAP_NET_RAW, as /proc/PID/status shows them. */
const ROUTER_RIGHTS = '0000000000003400';
const DROP_IN = '/usr/lib/sluice/systemd/router.conf';
const SWITCHES = 'etc/systemd/system/sluice.service.d';
/** After it what nobody asked the new daemon for has ended. */
const GRACE_MS = 6_000;
const HOST = '10.50.3.11';
const CHANNELS = [
  { source: '10.50.1.2', group: '232.50.1.1' },
  { source: 'fd50:1::2', group: 'ff3e::50:1' },
] as const;

const shownGroups = z.object({ rows: z.array(z.object({ interface: z.string(), group: z.string() })) });

/** A source, the Debian as a router, and a host that asks for a channel of each family: `source --- up0 debian lan0 --- host`. */
export class RoutingDebian {
  private constructor(
    private readonly debian: Debian,
    private readonly member: Member,
  ) {}

  /** Puts source and host beside it. A thousand packets a second of each channel come to it from now on. */
  static async build(lab: Lab, debian: Debian): Promise<RoutingDebian> {
    const [source, host] = [await lab.host('source'), await lab.host('host')];
    const both = (net: number, one: number): string[] => [`10.50.${net}.${one}/24`, `fd50:${net}::${one}/64`];
    const end = (name: string, net: number, one: number) => ({ name, addresses: both(net, one) });
    await lab.link([source, end('eth0', 1, 2)], [debian.host, end('up0', 1, 1)], { offloads: false });
    await lab.link([debian.host, end('lan0', 3, 1)], [host, end('eth0', 3, 11)], { offloads: false });
    await host.route('default', '10.50.3.1');
    await host.route('default', 'fd50:3::1');
    for (const { source: from, group } of CHANNELS) await talk(source, from, [group], 'eth0', 1);
    const wanted = CHANNELS.map(({ source: from, group }) => `${group}/${from}`);
    return new RoutingDebian(debian, await Member.join(host, HOST, ...wanted));
  }

  /** What came while something was done, and went on to come after it: everything, once. */
  async whileReceiving(act: () => Promise<unknown>): Promise<string> {
    await act();
    await this.hears();
    const heard = this.member.heard();
    expect(
      heard.every(({ missing, again }) => missing === 0 && again === 0),
      `not every packet once: ${JSON.stringify(heard)}`,
    );
    return heard.map(({ group, packets }) => `${packets} packets of ${group} so far, none missing`).join('; ');
  }

  async hears(): Promise<void> {
    for (const { group, source } of CHANNELS) await this.member.hears(group, source, 20_000, 500);
  }

  /** What nobody has asked the new daemon for ends after the grace: it goes on because the host was heard again. */
  async learnsAgain(): Promise<void> {
    const asked = async (): Promise<boolean> => {
      const { stdout } = await this.debian.run(['sluice', 'show', 'groups', '--json']);
      const { rows } = shownGroups.catch({ rows: [] }).parse(stdout === '' ? {} : JSON.parse(stdout));
      return CHANNELS.every((one) => rows.some(({ group, interface: name }) => group === one.group && name === 'lan0'));
    };
    await poll(asked, 20_000, 'the groups that the host wants', 200);
    await during(GRACE_MS + 2_000);
  }
}

function configure(debian: Debian): void {
  const file = join(debian.root, CONFIG);
  const quick = '{ query_interval: 2s, query_response: 500ms }';
  const interfaces = `interfaces: [{ name: up0, pim: {} }, { name: lan0, hosts: ${quick} }]\n`;
  const text = readFileSync(file, 'utf8')
    .replace('  upstream: none', '  upstream: pim')
    .replace(/^ {2}restart_grace: \d+s/m, `  restart_grace: ${GRACE_MS}ms`);
  writeFileSync(file, interfaces + text);
}

async function restart(debian: Debian): Promise<void> {
  await debian.must(['systemctl', 'restart', 'sluice']);
}

/** Ends it without a word; systemd starts it again. */
async function kill(debian: Debian): Promise<void> {
  const [pid, restarts] = [await debian.mainPid(), Number(await debian.property('NRestarts'))];
  await debian.must(['sh', '-c', `kill -KILL ${pid}`]);
  const again = async (): Promise<boolean> =>
    Number(await debian.property('NRestarts')) > restarts && (await debian.property('ActiveState')) === 'active';
  await poll(again, 30_000, 'systemd to have started it again');
}

/** As {@link kill}, by a supervisor that waits ten seconds. */
async function killSlowly(debian: Debian): Promise<void> {
  const slow = join(debian.root, SWITCHES, 'slow.conf');
  writeFileSync(slow, '[Service]\nRestartSec=10\n');
  await debian.must(['systemctl', 'daemon-reload']);
  await kill(debian);
  rmSync(slow);
  await debian.must(['systemctl', 'daemon-reload']);
}

async function refused(debian: Debian): Promise<string> {
  configure(debian);
  expect((await debian.run(['systemctl', 'restart', 'sluice'])).code !== 0, 'it started');
  const { stdout } = await debian.must(['journalctl', '-u', 'sluice', '-n', '100', '-o', 'cat']);
  expect(stdout.includes('ROUTING_REFUSED'), stdout.slice(-1_000));
  return 'ROUTING_REFUSED';
}

async function switchOn(debian: Debian): Promise<string> {
  const folder = join(debian.root, SWITCHES);
  mkdirSync(folder, { recursive: true });
  symlinkSync(DROP_IN, join(folder, 'router.conf'));
  await debian.must(['systemctl', 'daemon-reload']);
  await restart(debian);
  const facts = await statusOf(debian, await debian.mainPid());
  const rights = ['CapEff', 'CapPrm', 'CapBnd', 'CapAmb'].map((name) => facts.get(name));
  expect(
    rights.every((mask) => mask === ROUTER_RIGHTS),
    rights.join(' '),
  );
  const user = facts.get('Uid')?.split('\t')[0];
  expect(user !== '0' && facts.get('NoNewPrivs') === '1' && facts.get('Seccomp') === '2', `user ${user}, its sandbox`);
  const { stdout } = await debian.must(['systemd-analyze', 'security', '--offline=yes', 'sluice.service']);
  const level = /Overall exposure level for sluice.service: ([\d.]+)/.exec(stdout)?.[1];
  expect(level !== undefined && Number(level) < 2.5, `exposure ${level}`);
  return `user ${user}, capabilities ${rights[0]}, exposure level ${level} of 10`;
}

/**
 * The service as a multicast router: what it is refused, what the drop-in gives it, and that nothing is lost.
 * @returns null when nothing is routed
 */
export async function routerSteps(lab: Lab, debian: Debian, report: Report): Promise<RoutingDebian | null> {
  await report.step('a multicast router is refused by name without its rights', () => refused(debian));
  const rights = await report.step("the router's drop-in gives its rights and no more", () => switchOn(debian));
  if (!rights) return null;
  const routing = await RoutingDebian.build(lab, debian);
  const routes = await report.step('hosts join channels of both families, behind the unprivileged user', () =>
    routing.whileReceiving(() => routing.learnsAgain()),
  );
  if (!routes) return null;
  await report.step('a restart loses no packet of them', () =>
    routing.whileReceiving(async () => {
      await restart(debian);
      await routing.learnsAgain();
    }),
  );
  await report.step('kill -9 loses no packet of them: three times, and started again after 10 s', async () => {
    const seen = await routing.whileReceiving(async () => {
      for (let time = 0; time < 3; time++) await kill(debian);
      await killSlowly(debian);
      await routing.learnsAgain();
    });
    return `${seen}; ${await debian.property('NFileDescriptorStore')} descriptors in the store`;
  });
  return routing;
}
