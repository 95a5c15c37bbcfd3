import { during, poll } from '../lib/poll.js';
import { expect, type Report } from '../lib/report.js';
import type { Scenario } from '../lib/scenario.js';
import { startSmcroute } from '../parts/access-router.js';
import {
  buildMulticastNet,
  Member,
  type MulticastNet,
  RP,
  SOURCES,
  stopsSending,
  talk,
  UP,
} from '../parts/multicast-net.js';
import {
  frrRouter,
  igmpproxyRouter,
  KernelRouter,
  pimdRouter,
  type RouterKind,
  type RouterPlan,
  type RunningRouter,
  SluiceRouter,
  sluiceRouter,
} from '../parts/multicast-routers.js';

const SOURCE = SOURCES[4][0];
const GROUP = '239.30.4.1';
const HOST = '10.30.3.11';
/** Until a supervisor starts again what was killed. */
const DELAYS_S = [0.5, 3, 10];
/** Between two packets. */
const EVERY_MS = 1;
/** As long as anybody here needs until packets flow; pimd's joins wait for its timers. */
const FLOWS_MS = 90_000;
/** How long it is watched after packets flow again: longer than ours goes on with what it has not been asked for anew. */
const WATCHED_MS = 10_000;
const GRACE_S = 8;

/**
 * Ours is above all of them: it speaks PIM to those who do, and is a querier for the others. (FRR 8.4, first router and rendezvous
 * point of a source, chokes on its own registers at this rate.)
 */
const ABOVE: RouterPlan = { pim: ['src0', 'acc0'], hosts: ['acc0'], rp: RP, helloS: 30 };
const PIM: RouterPlan = { pim: ['up0', 'lan0'], hosts: ['lan0'], rp: RP, helloS: 30 };
const PROXY: RouterPlan = { hosts: ['lan0'], proxy: 'up0' };
const KEPT = { kept: true, graceS: GRACE_S };

const staticRoutes: RouterKind = {
  name: 'static routes (smcroute)',
  async start(host) {
    const route = { from: 'up0', source: SOURCE, group: GROUP, to: 'lan0' };
    const join = { on: 'up0', source: SOURCE, group: GROUP };
    return new KernelRouter('static routes (smcroute)', host, await startSmcroute(host, [route], [join]));
  },
};

/** Who is killed. */
interface Killed {
  readonly name: string;
  readonly kind: RouterKind;
  readonly plan: RouterPlan;
}

const KILLED: readonly Killed[] = [
  { name: 'ours, PIM above', kind: sluiceRouter, plan: { ...PIM, ...KEPT } },
  { name: 'ours, as a proxy', kind: sluiceRouter, plan: { ...PROXY, ...KEPT } },
  { name: 'FRR', kind: frrRouter, plan: PIM },
  { name: 'pimd', kind: pimdRouter, plan: PIM },
  { name: 'igmpproxy', kind: igmpproxyRouter, plan: PROXY },
  { name: staticRoutes.name, kind: staticRoutes, plan: {} },
];

function counts(member: Member): { readonly packets: number; readonly missing: number; readonly again: number } {
  const found = member.heard().find(({ group, source }) => group === GROUP && source === SOURCE);
  return found ?? { packets: 0, missing: 0, again: 0 };
}

/** Nothing was lost and nothing came twice for a second: who switches from the shared tree to the source's has done so. */
async function steady(member: Member): Promise<void> {
  const calm = async (): Promise<boolean> => {
    const before = counts(member);
    await member.hears(GROUP, SOURCE, FLOWS_MS, 1_000 / EVERY_MS);
    const after = counts(member);
    return after.missing === before.missing && after.again === before.again;
  };
  await poll(calm, FLOWS_MS, 'a second without loss', 0);
}

async function start(net: MulticastNet, { kind, plan }: Killed): Promise<RunningRouter> {
  const router = await kind.start(net.acc, plan);
  const known = async (): Promise<boolean> => (await router.neighbours()).includes(UP[4]);
  if (router.tells && plan.pim !== undefined) await poll(known, 60_000, `${router.name} to have its neighbour`, 200);
  return router;
}

/** Ends, and takes away what the kernel would go on forwarding, so that the next can begin. */
async function end(net: MulticastNet, router: RunningRouter): Promise<void> {
  if (router instanceof SluiceRouter) await router.withdraw();
  else await router.stop();
  await stopsSending(net.lan, 10_000);
}

/** Killed under traffic, and started again by a supervisor that takes its time. */
async function kill(net: MulticastNet, killed: Killed, delayS: number): Promise<string> {
  const first = await start(net, killed);
  const member = await Member.join(net.hosts[0], HOST, GROUP);
  let running: RunningRouter | null = first;
  try {
    await steady(member);
    const before = counts(member);
    await first.crash();
    running = null;
    await during(delayS * 1_000);
    running = await killed.kind.start(net.acc, killed.plan);
    await member.hears(GROUP, SOURCE, FLOWS_MS, 1_000 / EVERY_MS);
    await during(WATCHED_MS);
    const after = counts(member);
    const [lost, again] = [after.missing - before.missing, after.again - before.again];
    const figure = `${lost} of ${after.packets - before.packets + lost} packets lost, ${again} twice`;
    expect(lost === 0 || first.name !== 'sluice', figure);
    return figure;
  } finally {
    await member.leave();
    if (running !== null) await end(net, running);
  }
}

/** `npm run lab -- kills` */
export const killsLab: Scenario = {
  name: 'kills',
  summary: 'kill -9 of a router under traffic, ours and those that others wrote, and how many packets a host loses',
  async play(lab, report) {
    const net = await buildMulticastNet(lab);
    const ready = await report.step('a router above, and a thousand packets a second', async () => {
      await sluiceRouter.start(net.up, ABOVE);
      await talk(net.source, SOURCE, [GROUP], 'eth0', EVERY_MS);
      return 'PIM and a querier';
    });
    if (ready) for (const killed of KILLED) await killEach(net, report, killed);
  },
};

async function killEach(net: MulticastNet, report: Report, killed: Killed): Promise<void> {
  for (const delayS of DELAYS_S) {
    const name = `${killed.name}: killed, started again after ${delayS} s`;
    await report.step(name, () => kill(net, killed, delayS));
  }
}
