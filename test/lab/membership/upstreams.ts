import { during, poll } from '../lib/poll.js';
import { expect, type Report } from '../lib/report.js';
import { Member, type MulticastNet, RP, SOURCES, stopsSending, talk } from '../parts/multicast-net.js';
import {
  frrRouter,
  igmpproxyRouter,
  pimdRouter,
  type RouterKind,
  type RouterPlan,
  type RunningRouter,
  sluiceRouter,
} from '../parts/multicast-routers.js';

const [ONE, TWO] = SOURCES[4];
const HOST = '10.30.3.11';
const SPECIFIC = '232.30.2.1';
const SHARED = '239.30.2.1';
const LATER = '239.30.2.2';
const PRUNE_MS = 20_000;

/** A router of somebody's between source and hosts, and one that is above it. */
interface Pair {
  readonly up: RouterKind;
  readonly acc: RouterKind;
  readonly above: RouterPlan;
  readonly below: RouterPlan;
  /** What the one below can: ask for one source, and hear that a host has left a group (pimd does not when it is said by IGMPv3). */
  readonly specific: boolean;
  readonly leaves: boolean;
}

const PIM_ABOVE: RouterPlan = { pim: ['src0', 'acc0'], rp: RP };
const PIM_BELOW: RouterPlan = { pim: ['up0', 'lan0'], hosts: ['lan0'], rp: RP };
/** PIM besides, because FRR forwards only where it is spoken. */
const QUERIER_ABOVE: RouterPlan = { ...PIM_ABOVE, hosts: ['acc0'] };
const PROXY_BELOW: RouterPlan = { hosts: ['lan0'], proxy: 'up0' };
const pim = { above: PIM_ABOVE, below: PIM_BELOW, specific: true, leaves: true };
const proxied = { above: QUERIER_ABOVE, below: PROXY_BELOW, specific: true, leaves: true };

const PAIRS: readonly Pair[] = [
  { up: frrRouter, acc: sluiceRouter, ...pim },
  { up: pimdRouter, acc: sluiceRouter, ...pim },
  { up: sluiceRouter, acc: sluiceRouter, ...pim },
  { up: frrRouter, acc: sluiceRouter, ...proxied },
  { up: sluiceRouter, acc: frrRouter, ...pim },
  { up: sluiceRouter, acc: pimdRouter, ...pim, leaves: false },
  { up: sluiceRouter, acc: igmpproxyRouter, ...proxied, above: { hosts: ['src0', 'acc0'] }, specific: false },
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

/** Of one source: join, packets, tables of both; leave, no more packets. */
async function oneSource(net: MulticastNet, { up, acc }: Routers): Promise<string> {
  const began = performance.now();
  const member = await Member.join(net.hosts[0], HOST, `${SPECIFIC}/${ONE}`);
  await member.hears(SPECIFIC, ONE, 20_000);
  const joined = performance.now() - began;
  await tableOf(up, ONE, SPECIFIC, 'acc0', true);
  await tableOf(acc, ONE, SPECIFIC, 'lan0', true);
  await during(300);
  expect(member.packets(SPECIFIC, TWO) === 0, 'packets of a source that nobody asked for');
  once(member);
  const late = member.heard().find(({ missing }) => missing > 0);
  expect(late === undefined || [up.name, acc.name].some((name) => name !== 'sluice'), 'packets of before the join');
  await member.leave();
  await stopsSending(net.lan, 15_000);
  await tableOf(up, ONE, SPECIFIC, 'acc0', false);
  return `flowing ${joined.toFixed(0)} ms after the start of the host's program; gone from ${up.name}'s table after the leave`;
}

/** Of any source: two that are there before the join, one group whose source comes after it. */
async function anySource(net: MulticastNet, { up, acc }: Routers, leaves: boolean): Promise<string> {
  const member = await Member.join(net.hosts[0], HOST, SHARED, LATER);
  await member.hears(SHARED, ONE, 20_000);
  await member.hears(SHARED, TWO, 20_000);
  const began = performance.now();
  const later = await talk(net.source, ONE, [LATER]);
  await member.hears(LATER, ONE, 20_000);
  const came = performance.now() - began;
  await tableOf(up, ONE, SHARED, 'acc0', true);
  await tableOf(acc, TWO, SHARED, 'lan0', true);
  await later.stop();
  const counts = member
    .heard()
    .map(({ group, source, missing, again }) => `${group} ${source}: ${missing} missing, ${again} twice`);
  await member.leave();
  if (leaves) await stopsSending(net.lan, 15_000);
  return `the source after the join heard ${came.toFixed(0)} ms after its program's start; ${counts.join('; ')}`;
}

async function exchange(net: MulticastNet, report: Report, pair: Pair): Promise<void> {
  const name = `${pair.acc.name} below ${pair.up.name}${pair.below.proxy === undefined ? '' : ', by proxy'}`;
  const routers: { up?: RunningRouter; acc?: RunningRouter } = {};
  const ready = await report.step(`${name}: neighbours`, async () => {
    const up = await pair.up.start(net.up, pair.above);
    const acc = await pair.acc.start(net.acc, pair.below);
    Object.assign(routers, { up, acc });
    await talk(net.source, ONE, [SPECIFIC, SHARED]);
    await talk(net.source, TWO, [SPECIFIC, SHARED]);
    if (pair.below.proxy !== undefined) return 'a proxy needs none';
    await seeEachOther(routers as Routers);
    return 'both have the other in their tables';
  });
  const { up, acc } = routers;
  if (ready && up !== undefined && acc !== undefined) {
    if (pair.specific) await report.step(`${name}: (S,G)`, () => oneSource(net, { up, acc }));
    await report.step(`${name}: (*,G)`, () => anySource(net, { up, acc }, pair.leaves));
  }
  await net.lab.stopChildren();
}

async function seeEachOther({ up, acc }: Routers): Promise<void> {
  for (const [router, other] of [
    [up, '10.30.2.2'],
    [acc, '10.30.2.1'],
  ] as const) {
    const seen = async (): Promise<boolean> => (await router.neighbours()).includes(other);
    if (router.name !== 'pimd') await poll(seen, 40_000, `${router.name} to have the neighbour ${other}`, 100);
  }
}

/** Our router below and above those that others wrote. */
export async function playUpstreams(net: MulticastNet, report: Report): Promise<void> {
  for (const pair of PAIRS) await exchange(net, report, pair);
}
