// Sources whose first router is not the rendezvous point: registers; and a point that is found by bootstrap messages.
import { poll } from '../lib/poll.js';
import { expect, type Report } from '../lib/report.js';
import { need } from '../lib/tools.js';
import { Capture } from '../parts/capture.js';
import {
  linkWay,
  Member,
  type MulticastNet,
  NEAR_RP,
  pimAddress,
  SOURCES,
  stopsSending,
  talk,
  UP,
  wayBack,
} from '../parts/multicast-net.js';
import {
  frr6Router,
  frrRouter,
  pimdRouter,
  type RouterKind,
  type RunningRouter,
  sluiceRouter,
} from '../parts/multicast-routers.js';
import { recorded } from '../parts/seeds.js';

const HOST = '10.30.3.11';
const GROUPS = { 4: ['239.30.5.1', '239.30.5.2'], 6: ['ff1e::30:51', 'ff1e::30:52'] } as const;

/** `first` is the sources' router, `point` the hosts' and the rendezvous point. */
interface Pair {
  readonly family: 4 | 6;
  readonly first: RouterKind;
  readonly point: RouterKind;
}

const PAIRS: readonly Pair[] = [
  { family: 4, first: sluiceRouter, point: sluiceRouter },
  { family: 4, first: sluiceRouter, point: frrRouter },
  { family: 4, first: frrRouter, point: sluiceRouter },
  { family: 4, first: pimdRouter, point: sluiceRouter },
  { family: 6, first: sluiceRouter, point: sluiceRouter },
  { family: 6, first: sluiceRouter, point: frr6Router },
  { family: 6, first: frr6Router, point: sluiceRouter },
];

async function meet(above: RunningRouter, below: RunningRouter, family: 4 | 6): Promise<void> {
  const addresses = [await pimAddress(below.host, 'up0', family), await pimAddress(above.host, 'acc0', family)];
  for (const [at, router] of [above, below].entries()) {
    const seen = async (): Promise<boolean> => (await router.neighbours()).includes(addresses[at] ?? '');
    if (router.tells) await poll(seen, 40_000, `${router.name} to have the neighbour ${addresses[at]}`, 100);
  }
}

/** How many registers with packets inside, and how many stops, so far. */
async function registers(capture: Capture): Promise<{ readonly carried: number; readonly stops: number }> {
  const rows = await capture.fields('pim.type in {1, 2}', ['pim.type', 'pim.register_flag.null_register']);
  const isOf = (type: string, nothing: RegExp) =>
    rows.filter(([kind, none = '']) => kind?.startsWith(type) && nothing.test(none));
  return { carried: isOf('1', /^(0|False)/).length, stops: isOf('2', /^$/).length };
}

/**
 * One source that speaks before anybody listens, one that comes after the join; in the end both come by their own trees and
 * no more in registers.
 */
async function registered(net: MulticastNet, { family, first, point }: Pair): Promise<string> {
  need('tshark', 'tcpdump');
  const [early, late] = GROUPS[family];
  const [source] = SOURCES[family];
  const up = await first.start(net.up, { pim: ['src0', 'acc0'], rp: NEAR_RP });
  const acc = await point.start(net.acc, { pim: ['up0', 'lan0'], hosts: ['lan0'], rp: NEAR_RP });
  await meet(up, acc, family);
  const capture = await Capture.start(
    net.acc,
    'up0',
    'ip proto 103 or ip6 proto 103',
    `registers-${family}-${up.name}-${acc.name}`,
  );
  await talk(net.source, source, [early]);
  await poll(async () => (await registers(capture)).stops > 0, 60_000, 'a register to be stopped', 200);
  const member = await Member.join(net.hosts[0], HOST, early, late);
  await member.hears(early, source, 20_000);
  await talk(net.source, source, [late]);
  await member.hears(late, source, 20_000);
  for (const group of [early, late]) {
    const natively = async (): Promise<boolean> =>
      (await up.routes()).some((row) => row.source === source && row.group === group && row.outgoing.includes('acc0'));
    await poll(natively, 20_000, `${up.name} to send ${group} natively`, 100);
  }
  const quiet = async (): Promise<boolean> => {
    const before = (await registers(capture)).carried;
    await member.hears(late, source, 10_000, 100);
    return (await registers(capture)).carried === before;
  };
  await poll(quiet, 20_000, 'registers to end');
  const { carried, stops } = await registers(capture);
  await capture.stop();
  const [one, two] = [early, late].map((group) => member.heard().find((heard) => heard.group === group));
  expect((one?.again ?? 0) < 50 && (two?.again ?? 0) < 50, `twice: ${JSON.stringify(member.heard())}`);
  await member.leave();
  await stopsSending(net.lan, 20_000);
  return `${carried} packets in registers, ${stops} stops; missing ${one?.missing} and ${two?.missing}, twice ${one?.again} and ${two?.again}`;
}

/** pimd is the bootstrap router and says that it is the rendezvous point: nobody else is configured with one. */
async function bootstrapped(net: MulticastNet): Promise<string> {
  const up = await pimdRouter.start(net.up, { pim: ['src0', 'acc0'], candidate: UP[4] });
  const acc = await sluiceRouter.start(net.acc, { pim: ['up0', 'lan0'], hosts: ['lan0'] });
  await meet(up, acc, 4);
  const [group] = GROUPS[4];
  const [source] = SOURCES[4];
  await talk(net.source, source, [group]);
  const began = performance.now();
  const member = await Member.join(net.hosts[0], HOST, group);
  await member.hears(group, source, 150_000);
  const took = performance.now() - began;
  const [heard] = member.heard();
  await member.leave();
  await stopsSending(net.lan, 20_000);
  return `flowing ${(took / 1000).toFixed(1)} s after the start of the host's program; ${heard?.missing} missing, ${heard?.again} twice`;
}

/** Rendezvous points that are not where the sources are. */
export async function playRendezvous(net: MulticastNet, report: Report): Promise<void> {
  await wayBack(net.acc, await linkWay(net));
  for (const pair of PAIRS) {
    const name = `${pair.first.name} registers at ${pair.point.name}${pair.family === 6 ? ', IPv6' : ''}`;
    const required = pair.first.rare !== true && pair.point.rare !== true;
    const step = () => report.step(name, () => registered(net, pair), { required });
    await recorded(net.acc, 'up0', name, step);
    await net.lab.stopChildren();
  }
  await wayBack(net.acc, UP);
  const name = 'pimd is the bootstrap router';
  const step = () => report.step(`${name}: sluice finds the rendezvous point`, () => bootstrapped(net));
  await recorded(net.acc, 'up0', name, step);
  await net.lab.stopChildren();
}
