import { during, poll } from '../lib/poll.js';
import { expect, type Report } from '../lib/report.js';
import {
  ALTERNATIVE,
  LEAF,
  linkWay,
  Member,
  type MulticastNet,
  pimAddress,
  RP,
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
  type RouterKind,
  type RunningRouter,
  sluiceRouter,
} from '../parts/multicast-routers.js';

const SOURCE = SOURCES[4][0];
const GROUP = '232.30.3.1';
/** By family, as {@link SOURCE} and {@link GROUP}. */
const CHANNELS = { 4: [SOURCE, GROUP], 6: [SOURCES[6][0], 'ff3e::30:31'] } as const;
const HOSTS = ['10.30.3.11', '10.30.3.12'] as const;
/** Of the routers on the hosts' link. */
const LAN = { acc: '10.30.3.1', second: '10.30.3.4' } as const;
const ABOVE = { pim: ['src0', 'acc0', 'alt0', 'two0'], rp: RP, helloS: 1 };
const BELOW = { pim: ['up0', 'lan0'], hosts: ['lan0'], rp: RP, helloS: 1 };

function neighbour(router: RunningRouter, address: string, there = true): Promise<unknown> {
  const seen = async (): Promise<boolean> => (await router.neighbours()).includes(address) === there;
  return poll(seen, 30_000, `${router.name} ${there ? 'to have' : 'to have lost'} the neighbour ${address}`, 100);
}

/** Of each packet one copy, from now on: forwarding twice may take a moment to end. */
async function oneCopy(member: Member, timeoutMs: number): Promise<number> {
  const counts = (): { packets: number; again: number } => {
    const heard = member.heard().find(({ group }) => group === GROUP);
    return { packets: heard?.packets ?? 0, again: heard?.again ?? 0 };
  };
  const single = async (): Promise<boolean> => {
    const before = counts();
    await poll(() => counts().packets >= before.packets + 50, 10_000, 'fifty packets more');
    return counts().again === before.again;
  };
  await poll(single, timeoutMs, () => `one copy of each packet; got ${JSON.stringify(member.heard())}`, 0);
  return counts().again;
}

/** The router above dies and comes back with another generation id: what was asked of it is asked again. */
async function neighbourCrash(net: MulticastNet, kind: RouterKind, family: 4 | 6): Promise<string> {
  const [source, group] = CHANNELS[family];
  const [above, below] = [await pimAddress(net.up, 'acc0', family), await pimAddress(net.acc, 'up0', family)];
  const up = await kind.start(net.up, ABOVE);
  const acc = await sluiceRouter.start(net.acc, BELOW);
  await talk(net.source, source, [group]);
  await neighbour(acc, above);
  await neighbour(up, below);
  const member = await Member.join(net.hosts[0], HOSTS[0], `${group}/${source}`);
  await member.hears(group, source);
  await up.crash();
  await neighbour(acc, above, false);
  const again = await kind.start(net.up, ABOVE);
  const began = performance.now();
  await member.hears(group, source, 30_000, 200);
  const back = performance.now() - began;
  await neighbour(again, below);
  return `flowing again ${(back / 1000).toFixed(1)} s after it was started again`;
}

/** The router below dies: what it asked for ends with its time; it comes back and asks again. */
async function crashBelow(net: MulticastNet, kind: RouterKind, family: 4 | 6): Promise<string> {
  const [source, group] = CHANNELS[family];
  const below = await pimAddress(net.acc, 'up0', family);
  const up = await sluiceRouter.start(net.up, ABOVE);
  const acc = await kind.start(net.acc, BELOW);
  await talk(net.source, source, [group]);
  await neighbour(up, below);
  await neighbour(acc, await pimAddress(net.up, 'acc0', family));
  const member = await Member.join(net.hosts[0], HOSTS[0], `${group}/${source}`);
  await member.hears(group, source);
  await acc.crash();
  const began = performance.now();
  const dropped = async (): Promise<boolean> =>
    !(await up.routes()).some((row) => row.group === group && row.outgoing.includes('acc0'));
  await poll(dropped, 60_000, 'our router above to send no more there', 100);
  const ended = performance.now() - began;
  await neighbour(up, below, false);
  const again = await kind.start(net.acc, BELOW);
  await neighbour(up, below);
  await member.hears(group, source, 30_000, 200);
  await again.stop();
  return `ours sends there no more ${(ended / 1000).toFixed(1)} s after its death, and again when it is back`;
}

/** Two routers on the hosts' link: the one that serves them dies, the other takes over. */
async function takeover(net: MulticastNet, dies: RouterKind, stays: RouterKind): Promise<string> {
  await sluiceRouter.start(net.up, ABOVE);
  const first = await dies.start(net.acc, { ...BELOW, drPriority: 10 });
  const other = await stays.start(net.second, BELOW);
  await talk(net.source, SOURCE, [GROUP]);
  await neighbour(other, LAN.acc);
  await neighbour(first, LAN.second);
  await neighbour(first, UP[4]);
  await neighbour(other, '10.30.4.1');
  const member = await Member.join(net.hosts[0], HOSTS[0], `${GROUP}/${SOURCE}`);
  await member.hears(GROUP, SOURCE);
  const twice = await oneCopy(member, 20_000);
  await first.crash();
  await net.lan.down(); // its kernel would go on with the routes that it has
  const began = performance.now();
  try {
    await member.hears(GROUP, SOURCE, 30_000, 100);
  } finally {
    await net.lan.up();
    await net.lan.ready();
  }
  const took = performance.now() - began;
  return `${stays.name} forwards ${(took / 1000).toFixed(1)} s after the death of ${dies.name}; ${twice} packets came twice before`;
}

/**
 * A router below on the hosts' link has its way back by the second, hosts are served by the first: both would forward.
 * @param settled resolves when the assert is decided
 */
async function assert(
  net: MulticastNet,
  [designated, joined]: readonly [RouterKind, RouterKind],
  settled: (first: RunningRouter, second: RunningRouter, member: Member) => Promise<string>,
): Promise<string> {
  await sluiceRouter.start(net.up, ABOVE);
  const first = await designated.start(net.acc, { ...BELOW, drPriority: 10 });
  const second = await joined.start(net.second, BELOW);
  const low = net.hosts[1];
  await wayBack(low, { 4: LAN.second, 6: 'fd30:3::4' });
  const below = await frrRouter.start(low, { pim: ['eth0', 'leaf0'], hosts: ['leaf0'], helloS: 1 });
  await talk(net.source, SOURCE, [GROUP]);
  const known = [
    [below, LAN.acc],
    [below, LAN.second],
    [first, UP[4]],
    [first, HOSTS[1]],
    [second, '10.30.4.1'],
    [second, HOSTS[1]],
  ] as const;
  for (const [router, other] of known) await neighbour(router, other);
  await Member.join(net.leaf, LEAF, `${GROUP}/${SOURCE}`);
  await poll(() => forwards(second), 20_000, `${second.name} to forward what the router below joined`);
  const member = await Member.join(net.hosts[0], HOSTS[0], `${GROUP}/${SOURCE}`);
  await member.hears(GROUP, SOURCE);
  return settled(first, second, member);
}

async function forwards(router: RunningRouter): Promise<boolean> {
  return (await router.routes()).some(({ group, outgoing }) => group === GROUP && outgoing.includes('lan0'));
}

/** In the end one of them forwards. */
async function oneForwards(first: RunningRouter, second: RunningRouter, member: Member): Promise<string> {
  const twice = await oneCopy(member, 30_000);
  const winner = async (): Promise<string | false> => {
    const [one, other] = [await forwards(first), await forwards(second)];
    return one !== other && (one ? LAN.acc : LAN.second);
  };
  return `${await poll(winner, 20_000, 'one of them to forward')} forwards; ${twice} packets came twice before`;
}

/** FRR 8.4 goes on forwarding to hosts of its own when it has lost, and never asserts for them: it says itself who won. */
async function frrHasLost(first: RunningRouter, _: RunningRouter, member: Member): Promise<string> {
  if (!(first instanceof FrrRouter)) throw new TypeError('not FRR');
  const said = async (): Promise<string | undefined> => {
    const line = (await first.vty('show ip pim assert')).split('\n').find((one) => one.includes(GROUP));
    return line !== undefined && /LOSER\s+10\.30\.3\.4 /.test(line) ? line.trim().replace(/\s+/g, ' ') : undefined;
  };
  const line = await poll(said, 30_000, 'FRR to say that it has lost', 200);
  await member.hears(GROUP, SOURCE);
  return `FRR says: ${line}`;
}

/** Killed under traffic and started again by a supervisor that takes its time: nobody misses a packet. */
async function killed(net: MulticastNet): Promise<string> {
  const plan = { ...BELOW, kept: true };
  await frrRouter.start(net.up, { ...ABOVE, helloS: 30 });
  const acc = await sluiceRouter.start(net.acc, { ...plan, helloS: 30 });
  await talk(net.source, SOURCE, [GROUP]);
  await neighbour(acc, UP[4]);
  const member = await Member.join(net.hosts[0], HOSTS[0], `${GROUP}/${SOURCE}`);
  await member.hears(GROUP, SOURCE);
  await acc.crash();
  await during(10_000);
  const again = await sluiceRouter.start(net.acc, { ...plan, helloS: 30 });
  try {
    await neighbour(again, UP[4]);
    await member.hears(GROUP, SOURCE, 10_000, 500);
    const [heard] = member.heard();
    expect(heard?.missing === 0 && heard.again === 0, JSON.stringify(heard));
    return `${heard.packets} packets, none missing, none twice`;
  } finally {
    await again.withdraw();
    await stopsSending(net.lan, 10_000);
  }
}

/** The way back changes: the tree moves, and nothing is left of the old one. */
async function rpfChange(net: MulticastNet, kind: RouterKind): Promise<string> {
  const up = await kind.start(net.up, ABOVE);
  const acc = await sluiceRouter.start(net.acc, { ...BELOW, pim: ['up0', 'alt0', 'lan0'] });
  await talk(net.source, SOURCE, [GROUP]);
  await neighbour(acc, UP[4]);
  await neighbour(acc, ALTERNATIVE[4]);
  await neighbour(up, '10.30.5.2');
  const member = await Member.join(net.hosts[0], HOSTS[0], `${GROUP}/${SOURCE}`);
  await member.hears(GROUP, SOURCE);
  await wayBack(net.acc, ALTERNATIVE);
  try {
    const moved = async (): Promise<boolean> => {
      const row = (await up.routes()).find(({ group }) => group === GROUP);
      return row?.outgoing.includes('alt0') === true && !row.outgoing.includes('acc0');
    };
    await poll(moved, 20_000, `${up.name} to send by the other link`, 100);
    await member.hears(GROUP, SOURCE);
    const [heard] = member.heard();
    return `${heard?.missing} packets missing, ${heard?.again} twice while it moved`;
  } finally {
    await wayBack(net.acc, UP);
  }
}

/** The same with IPv6 between routers of ours, whose next hops are not addresses of the link. */
async function version6(net: MulticastNet): Promise<string> {
  const [one, two] = SOURCES[6];
  const [specific, any] = ['ff3e::30:3', 'ff1e::30:3'];
  const up = await sluiceRouter.start(net.up, ABOVE);
  const acc = await sluiceRouter.start(net.acc, { ...BELOW, pim: ['up0', 'alt0', 'lan0'] });
  await talk(net.source, one, [specific, any]);
  await talk(net.source, two, [specific, any]);
  await poll(async () => (await acc.neighbours()).some((address) => address.startsWith('fe80')), 20_000, 'a neighbour');
  const member = await Member.join(net.hosts[0], HOSTS[0], `${specific}/${one}`, any);
  await member.hears(specific, one);
  await member.hears(any, one);
  await member.hears(any, two);
  expect(member.packets(specific, two) === 0, 'packets of a source that nobody asked for');
  await wayBack(net.acc, ALTERNATIVE);
  try {
    const moved = async (): Promise<boolean> => {
      const row = (await up.routes()).find(({ group, source }) => group === specific && source === one);
      return row?.outgoing.includes('alt0') === true && !row.outgoing.includes('acc0');
    };
    await poll(moved, 20_000, 'the tree to move to the other link', 100);
    await member.hears(specific, one);
    await member.hears(any, two);
  } finally {
    await wayBack(net.acc, UP);
  }
  const counts = member
    .heard()
    .map(({ group, source, missing, again }) => `${group} ${source}: ${missing} missing, ${again} twice`);
  await member.leave();
  await stopsSending(net.lan, 15_000);
  return counts.join('; ');
}

/** What goes wrong between routers, and what changes. */
export async function playTroubles(net: MulticastNet, report: Report): Promise<void> {
  const play = async (name: string, step: () => Promise<string>, kind?: RouterKind): Promise<void> => {
    await report.step(name, step, { required: kind?.rare !== true });
    await net.lab.stopChildren();
  };
  for (const [kind, family] of [
    [frrRouter, 4],
    [frr6Router, 6],
  ] as const) {
    await wayBack(net.acc, await linkWay(net));
    await play(`the router above crashes and comes back: ${kind.name}`, () => neighbourCrash(net, kind, family), kind);
    await play(`the router below crashes and comes back: ${kind.name}`, () => crashBelow(net, kind, family), kind);
    await wayBack(net.acc, UP);
  }
  await play('the router above crashes and comes back: sluice', () => neighbourCrash(net, sluiceRouter, 4));
  for (const kind of [frrRouter, sluiceRouter]) {
    await play(`the way back changes: ${kind.name} above`, () => rpfChange(net, kind));
  }
  await play('killed, and started again after 10 s', () => killed(net));
  await play('the designated router dies: ours, FRR takes over', () => takeover(net, sluiceRouter, frrRouter));
  await play('the designated router dies: FRR, ours takes over', () => takeover(net, frrRouter, sluiceRouter));
  await play('two would forward, both ours: one goes on', () => assert(net, [sluiceRouter, sluiceRouter], oneForwards));
  await play('two would forward, FRR was asked, ours is designated: one goes on', () =>
    assert(net, [sluiceRouter, frrRouter], oneForwards),
  );
  await play('two would forward, ours was asked, FRR is designated: FRR knows that it has lost', () =>
    assert(net, [frrRouter, sluiceRouter], frrHasLost),
  );
  await play('IPv6 between routers of ours', () => version6(net));
}
