import { expect, type Report } from '../lib/report.js';
import { startSmcroute } from '../parts/access-router.js';
import { LEAF, Member, type MulticastNet, SOURCES, stopsSending, talk } from '../parts/multicast-net.js';
import { sluiceRouter } from '../parts/multicast-routers.js';

const [ONE, TWO] = SOURCES[4];
const GROUP = '232.30.4.1';
const HOST = '10.30.3.11';
/** A host that has just heard igmpproxy, a querier of version 2, names no sources for some 14 s (RFC 9776 section 7.2.1). */
const COMPATIBILITY_MS = 30_000;

/** smcroute above sends whether asked or not: ours forwards what its hosts want, of the source that they want. */
async function above(net: MulticastNet): Promise<string> {
  const routes = [ONE, TWO].map((source) => ({ from: 'src0', source, group: GROUP, to: 'acc0' }));
  await startSmcroute(net.up, routes);
  const acc = await sluiceRouter.start(net.acc, { hosts: ['lan0'], proxy: 'up0' });
  for (const source of [ONE, TWO]) await talk(net.source, source, [GROUP]);
  await stopsSending(net.lan, 10_000);
  const member = await Member.join(net.hosts[0], HOST, `${GROUP}/${ONE}`);
  await member.hears(GROUP, ONE, COMPATIBILITY_MS);
  const forwarded = (await acc.routes()).filter(({ outgoing }) => outgoing.includes('lan0'));
  expect(
    forwarded.every(({ source }) => source === ONE),
    `forwarded: ${JSON.stringify(forwarded)}`,
  );
  const [heard] = member.heard();
  expect(heard?.again === 0 && heard.missing === 0, JSON.stringify(heard));
  await member.leave();
  const left = await stopsSending(net.lan, 15_000);
  return `${heard.packets} packets, none missing, none twice; nothing sent ${left.toFixed(0)} ms after the leave`;
}

/** smcroute below joins by its configuration and passes on: to ours it is a host. */
async function below(net: MulticastNet): Promise<string> {
  const acc = await sluiceRouter.start(net.acc, { hosts: ['lan0', 'up0'] });
  await talk(net.up, '10.30.2.1', [GROUP], 'acc0');
  const [, low] = net.hosts;
  const route = { from: 'eth0', source: '10.30.2.1', group: GROUP, to: 'leaf0' };
  const joiner = await startSmcroute(low, [route], [{ on: 'eth0', group: GROUP, source: '10.30.2.1' }]);
  const member = await Member.join(net.leaf, LEAF, GROUP);
  await member.hears(GROUP, '10.30.2.1');
  const wanted = await acc.groups('lan0', GROUP);
  expect(wanted === 1, `${wanted} groups in our table`);
  await joiner.stop();
  const left = await stopsSending(net.lan, 15_000);
  return `packets behind it; nothing sent ${left.toFixed(0)} ms after its end`;
}

/** Ours and static routes. */
export async function playStatics(net: MulticastNet, report: Report): Promise<void> {
  for (const [name, step] of [
    ['sluice below smcroute: asked for by hosts only', above],
    ['smcroute below sluice: a joiner by configuration', below],
  ] as const) {
    await report.step(name, () => step(net));
    await net.lab.stopChildren();
  }
}
