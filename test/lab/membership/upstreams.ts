import { during, poll } from '../lib/poll.js';
import { expect, type Report } from '../lib/report.js';
import {
  FAR_RP,
  linkWay,
  Member,
  type MulticastNet,
  pimAddress,
  SOURCES,
  stopsSending,
  talk,
  UP,
  wayBack,
} from '../parts/multicast-net.js';
import {
  FrrRouter,
  frr6Router,
  frrRouter,
  igmpproxyRouter,
  pimdRouter,
  type RouterKind,
  type RouterPlan,
  type RunningRouter,
  sluiceRouter,
} from '../parts/multicast-routers.js';
import { recorded } from '../parts/seeds.js';

const HOST = '10.30.3.11';
const GROUPS = {
  4: { specific: '232.30.2.1', shared: '239.30.2.1', later: '239.30.2.2' },
  6: { specific: 'ff3e::30:21', shared: 'ff1e::30:21', later: 'ff1e::30:22' },
} as const;
const PRUNE_MS = 20_000;

/** A router of somebody's between source and hosts, and one that is above it. */
interface Pair {
  readonly family: 4 | 6;
  readonly up: RouterKind;
  readonly acc: RouterKind;
  readonly above: RouterPlan;
  readonly below: RouterPlan;
  /** What the one below can: ask for one source, and hear that a host has left a group (pimd does not when it is said by IGMPv3). */
  readonly specific: boolean;
  readonly leaves: boolean;
}

const PIM_ABOVE: RouterPlan = { pim: ['src0', 'acc0'], rp: FAR_RP };
const PIM_BELOW: RouterPlan = { pim: ['up0', 'lan0'], hosts: ['lan0'], rp: FAR_RP };
/** PIM besides, because FRR forwards only where it is spoken. */
const QUERIER_ABOVE: RouterPlan = { ...PIM_ABOVE, hosts: ['acc0'] };
const PROXY_BELOW: RouterPlan = { hosts: ['lan0'], proxy: 'up0' };
const pim = { family: 4, above: PIM_ABOVE, below: PIM_BELOW, specific: true, leaves: true } as const;
const proxied = { ...pim, above: QUERIER_ABOVE, below: PROXY_BELOW } as const;

const PAIRS: readonly Pair[] = [
  { up: frrRouter, acc: sluiceRouter, ...pim },
  { up: pimdRouter, acc: sluiceRouter, ...pim },
  { up: sluiceRouter, acc: sluiceRouter, ...pim },
  { up: frrRouter, acc: sluiceRouter, ...proxied },
  { up: sluiceRouter, acc: frrRouter, ...pim },
  { up: sluiceRouter, acc: pimdRouter, ...pim, leaves: false },
  { up: sluiceRouter, acc: igmpproxyRouter, ...proxied, above: { hosts: ['src0', 'acc0'] }, specific: false },
  { up: sluiceRouter, acc: sluiceRouter, ...pim, family: 6 },
  { up: frr6Router, acc: sluiceRouter, ...pim, family: 6 },
  { up: sluiceRouter, acc: frr6Router, ...pim, family: 6 },
];

interface Routers {
  readonly up: RunningRouter;
  readonly acc: RunningRouter;
}

/** Whether a router's own table says that it sends a source's packets there. */
async function sends(router: RunningRouter, source: string, group: string, device: string): Promise<boolean> {
  const all = await router.routes();
  return all.some((one) => one.source === source && one.group === group && one.outgoing.includes(device));
}

function tableOf(router: RunningRouter, source: string, group: string, device: string, yes: boolean): Promise<unknown> {
  const asSaid = async (): Promise<boolean> => (await sends(router, source, group, device)) === yes;
  const what = `${router.name} to have (${source}, ${group}) ${yes ? 'to' : 'not to'} ${device}`;
  return poll(asSaid, PRUNE_MS, what, 100);
}

function once(member: Member): void {
  const heard = member.heard();
  expect(
    heard.every(({ again }) => again === 0),
    `packets came twice: ${JSON.stringify(heard)}`,
  );
}

/** FRR's table of joins says so besides its routes. */
function joinKnown(up: FrrRouter, source: string, group: string): Promise<unknown> {
  const known = (): Promise<boolean> => up.joined('acc0', source, group);
  return poll(known, 5_000, `FRR to have the join of (${source}, ${group})`, 100);
}

/** Of one source: join, packets, tables of both; leave, no more packets. */
async function oneSource(net: MulticastNet, { up, acc }: Routers, { family, below }: Pair): Promise<string> {
  const [source, other] = SOURCES[family];
  const group = GROUPS[family].specific;
  const began = performance.now();
  const member = await Member.join(net.hosts[0], HOST, `${group}/${source}`);
  await member.hears(group, source, 20_000);
  const joined = performance.now() - began;
  await tableOf(up, source, group, 'acc0', true);
  await tableOf(acc, source, group, 'lan0', true);
  if (up instanceof FrrRouter && below.proxy === undefined) await joinKnown(up, source, group);
  await during(300);
  expect(member.packets(group, other) === 0, 'packets of a source that nobody asked for');
  once(member);
  const late = member.heard().find(({ missing }) => missing > 0);
  expect(late === undefined || [up.name, acc.name].some((name) => name !== 'sluice'), 'packets of before the join');
  await member.leave();
  await stopsSending(net.lan, 15_000);
  await tableOf(up, source, group, 'acc0', false);
  return `flowing ${joined.toFixed(0)} ms after the start of the host's program; gone from ${up.name}'s table after the leave`;
}

/** Of any source: two that are there before the join, one group whose source comes after it. */
async function anySource(net: MulticastNet, { up, acc }: Routers, { family, leaves }: Pair): Promise<string> {
  const [one, two] = SOURCES[family];
  const { shared, later } = GROUPS[family];
  const member = await Member.join(net.hosts[0], HOST, shared, later);
  await member.hears(shared, one, 20_000);
  await member.hears(shared, two, 20_000);
  const began = performance.now();
  const latest = await talk(net.source, one, [later]);
  await member.hears(later, one, 20_000);
  const came = performance.now() - began;
  await tableOf(up, one, shared, 'acc0', true);
  await tableOf(acc, two, shared, 'lan0', true);
  await latest.stop();
  const counts = member
    .heard()
    .map(({ group, source, missing, again }) => `${group} ${source}: ${missing} missing, ${again} twice`);
  await member.leave();
  if (leaves) await stopsSending(net.lan, 15_000);
  return `the source after the join heard ${came.toFixed(0)} ms after its program's start; ${counts.join('; ')}`;
}

function nameOf({ up, acc, below, family }: Pair): string {
  return `${acc.name} below ${up.name}${below.proxy === undefined ? '' : ', by proxy'}${family === 6 ? ', IPv6' : ''}`;
}

async function exchange(net: MulticastNet, report: Report, pair: Pair): Promise<void> {
  const { family } = pair;
  const name = nameOf(pair);
  const required = pair.up.rare !== true && pair.acc.rare !== true;
  const routers: { up?: RunningRouter; acc?: RunningRouter } = {};
  const { specific, shared } = GROUPS[family];
  const begin = async (): Promise<string> => {
    const up = await pair.up.start(net.up, pair.above);
    const acc = await pair.acc.start(net.acc, pair.below);
    Object.assign(routers, { up, acc });
    for (const source of SOURCES[family]) await talk(net.source, source, [specific, shared]);
    if (pair.below.proxy !== undefined) return 'a proxy needs none';
    await seeEachOther({ up, acc }, family);
    return 'both have the other in their tables';
  };
  const ready = await report.step(`${name}: neighbours`, begin, { required });
  const { up, acc } = routers;
  if (ready && up !== undefined && acc !== undefined) {
    if (pair.specific) await report.step(`${name}: (S,G)`, () => oneSource(net, { up, acc }, pair));
    await report.step(`${name}: (*,G)`, () => anySource(net, { up, acc }, pair));
  }
}

async function seeEachOther({ up, acc }: Routers, family: 4 | 6): Promise<void> {
  const [above, below] = [await pimAddress(up.host, 'acc0', family), await pimAddress(acc.host, 'up0', family)];
  for (const [router, other] of [
    [up, below],
    [acc, above],
  ] as const) {
    const seen = async (): Promise<boolean> => (await router.neighbours()).includes(other);
    if (router.name !== 'pimd') await poll(seen, 40_000, `${router.name} to have the neighbour ${other}`, 100);
  }
}

/** Our router below and above those that others wrote. */
export async function playUpstreams(net: MulticastNet, report: Report): Promise<void> {
  await wayBack(net.acc, await linkWay(net));
  for (const pair of PAIRS) {
    await recorded(net.acc, 'up0', nameOf(pair), () => exchange(net, report, pair));
    await net.lab.stopChildren();
  }
  await wayBack(net.acc, UP);
}
