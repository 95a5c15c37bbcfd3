import { z } from 'zod';
import { poll } from '../lib/poll.js';
import { expect, type Report } from '../lib/report.js';
import { Member, type MulticastNet, RP, SOURCES, stopsSending, talk, UP } from '../parts/multicast-net.js';
import { type RouterPlan, type SluiceRouter, sluiceRouter } from '../parts/multicast-routers.js';
import { recorded } from '../parts/seeds.js';

/** What the kernels of hosts speak. */
interface Version {
  readonly name: string;
  readonly family: 4 | 6;
  /** As the sysctl that forces it has it. */
  readonly force: number;
  /** Sources can be named, and every host is known. */
  readonly tracked: boolean;
}

const VERSIONS: readonly Version[] = [
  { name: 'IGMPv1', family: 4, force: 1, tracked: false },
  { name: 'IGMPv2', family: 4, force: 2, tracked: false },
  { name: 'IGMPv3', family: 4, force: 3, tracked: true },
  { name: 'MLDv1', family: 6, force: 1, tracked: false },
  { name: 'MLDv2', family: 6, force: 2, tracked: true },
];
const GROUPS = { 4: ['239.30.1.1', '232.30.1.1'], 6: ['ff1e::30:1', 'ff3e::30:1'] } as const;
/** Robustness times the query interval and the time to answer, and what a busy machine takes besides. */
const EXPIRY_MS = 2 * 2_000 + 500;
const SLACK_MS = 5_000;

/** How the router gets what its hosts ask for. */
interface Above {
  readonly name: string;
  readonly plan: RouterPlan;
  /** Starts what it needs above it. */
  readonly start: (net: MulticastNet) => Promise<unknown>;
  /** Who sends, by family. */
  readonly sources: { readonly 4: string; readonly 6: string };
}

const BEYOND = { 4: SOURCES[4][0], 6: SOURCES[6][0] } as const;
const ABOVE: readonly Above[] = [
  {
    name: 'sources on links of ours',
    plan: { hosts: ['lan0', 'up0'] },
    start: () => Promise.resolve(),
    sources: UP,
  },
  {
    name: 'a querier above',
    plan: { hosts: ['lan0'], proxy: 'up0' },
    start: ({ up }) => sluiceRouter.start(up, { hosts: ['src0', 'acc0'] }),
    sources: BEYOND,
  },
  {
    name: 'PIM above',
    plan: { hosts: ['lan0'], pim: ['up0'], rp: RP },
    start: ({ up }) => sluiceRouter.start(up, { pim: ['src0', 'acc0'], rp: RP }),
    sources: BEYOND,
  },
];

const groupRow = z.object({ interface: z.string(), group: z.string(), version: z.string(), hosts: z.number() });

async function force(net: MulticastNet, { family, force: version }: Version): Promise<void> {
  const key = family === 4 ? 'net.ipv4.conf.eth0.force_igmp_version' : 'net.ipv6.conf.eth0.force_mld_version';
  for (const host of net.hosts) await host.sysctl(key, version);
}

/** Joins by two hosts; the first leaves, then the second; packets go while one of them wants them and no longer. */
async function joinAndLeave(
  net: MulticastNet,
  router: SluiceRouter,
  version: Version,
  source: string,
): Promise<string> {
  const [first, second] = net.hosts;
  const [group, specific] = GROUPS[version.family];
  const channels = version.tracked ? [group, `${specific}/${source}`] : [group];
  const began = performance.now();
  const one = await Member.join(first, '10.30.3.11', ...channels);
  await one.hears(group, source);
  if (version.tracked) await one.hears(specific, source);
  const joined = performance.now() - began;
  const shown = (await router.show('groups', groupRow)).find((row) => row.group === group && row.interface === 'lan0');
  expect(shown?.version === version.name, `show groups says ${shown?.version} of ${group}`);
  const two = await Member.join(second, '10.30.3.12', ...channels);
  await two.hears(group, source);
  await one.leave();
  await two.hears(group, source);
  await two.leave();
  const left = await stopsSending(net.lan, EXPIRY_MS + SLACK_MS);
  const heard = two.heard();
  expect(
    heard.every(({ again, missing }) => again === 0 && missing === 0),
    `not every packet once: ${JSON.stringify(heard)}`,
  );
  return `flowing ${joined.toFixed(0)} ms after the start of the first host's program, nothing sent ${left.toFixed(0)} ms after the last leave`;
}

/** A host whose cable is taken out says nothing more; after what the querier's times say its packets end. */
async function hostCrash(net: MulticastNet, version: Version, source: string): Promise<string> {
  const [group] = GROUPS[version.family];
  const [cable] = net.cables;
  const member = await Member.join(net.hosts[0], '10.30.3.11', group);
  await member.hears(group, source);
  await cable.down();
  const after = await stopsSending(net.lan, EXPIRY_MS + SLACK_MS);
  await member.child.stop('SIGKILL');
  await cable.up();
  await cable.ready();
  return `nothing sent ${(after / 1000).toFixed(1)} s after the cable was taken out`;
}

async function behind(net: MulticastNet, report: Report, above: Above): Promise<void> {
  await above.start(net);
  const router = await sluiceRouter.start(net.acc, above.plan);
  for (const family of [4, 6] as const) {
    const from = above.sources[family];
    const isUp = from === UP[family];
    await talk(isUp ? net.up : net.source, from, GROUPS[family], isUp ? 'acc0' : 'eth0');
  }
  if (above.name === 'PIM above') await poll(async () => (await router.neighbours()).length >= 2, 10_000, 'neighbours');
  for (const version of VERSIONS) {
    const source = above.sources[version.family];
    await force(net, version);
    await report.step(`${above.name}, ${version.name}: two hosts join and leave`, () =>
      joinAndLeave(net, router, version, source),
    );
    await report.step(`${above.name}, ${version.name}: a host crashes`, () => hostCrash(net, version, source));
  }
}

/** Kernels of hosts, of every version, behind our router with each of the three ways to get what they ask for. */
export async function playHosts(net: MulticastNet, report: Report): Promise<void> {
  for (const above of ABOVE) {
    await recorded(net.acc, 'lan0', `hosts, ${above.name}`, () => behind(net, report, above));
    await net.lab.stopChildren();
  }
}
