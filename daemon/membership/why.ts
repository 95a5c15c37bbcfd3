/** Why a host that has joined a group gets nothing, or why it does: from the report to the packets. */
import { isIP, SocketAddress } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { familyOf } from './options.js';
import { type Facts, factsOf, type Step, type WhyParts } from './why-facts.js';
import { atHost, atMembership, atOperator } from './why-hosts.js';
import { atPackets, atUpstream } from './why-routes.js';

/** Media come far more often. */
const MOMENT_MS = 500;

/** As addresses are written everywhere here; undefined for what is none. */
function canonical(address: string): string | undefined {
  const family = isIP(address);
  if (family === 0) return undefined;
  return new SocketAddress({ address, family: family === 6 ? 'ipv6' : 'ipv4' }).address;
}

/** `GROUP`, or `GROUP HOST` with a slash or a space between; undefined for what is neither. It takes a moment, to see packets come. */
export async function explainGroup(parts: WhyParts, id: string): Promise<readonly string[] | undefined> {
  const [first = '', second] = id.split(/[ /]/, 2);
  const group = canonical(first);
  const host = second === undefined ? null : canonical(second);
  if (group === undefined || host === undefined || (host !== null && isIP(host) !== isIP(group))) return undefined;
  const { router } = parts;
  if (!router.families.includes(familyOf(group))) return undefined;
  const before = router.routes(familyOf(group)).filter((one) => one.group === group);
  if (before.length > 0) await delay(MOMENT_MS);
  const steps = stepsOf(factsOf(parts, group, host, before));
  const cause = steps.find(({ ok }) => !ok);
  return [
    `group ${group}${host === null ? '' : ` at ${host}`}: ${cause === undefined ? 'every step works' : `the cause is at the ${cause.step}`}`,
    ...steps.map(({ step, ok, says }) => `  ${step}: ${ok ? 'ok' : 'BROKEN'}: ${says}`),
  ];
}

function stepsOf(facts: Facts): Step[] {
  return [
    atInterfaces(facts),
    atQuerier(facts),
    ...atHost(facts),
    ...atOperator(facts),
    atMembership(facts),
    ...atUpstream(facts),
    atPackets(facts),
  ];
}

function atInterfaces({ places, interfaces, host }: Facts): Step {
  const step = 'interface';
  const deaf = places.filter(({ hosts }) => hosts === null).map(({ name }) => name);
  if (host !== null && (deaf.length > 0 || places.length === 0))
    return {
      step,
      ok: false,
      says: `${host} is ${deaf.length === 0 ? 'behind no interface of the router' : `behind ${deaf.join(', ')}`}, where hosts are not listened to (interfaces[].hosts)`,
    };
  if (places.length === 0)
    return { step, ok: false, says: `no interface of ${interfaces.length} listens to hosts (interfaces[].hosts)` };
  const down = places.filter(({ up }) => !up).map(({ name }) => name);
  if (down.length === places.length)
    return { step, ok: false, says: `${down.join(', ')}: absent, down, or without carrier` };
  const says = `${places.length - down.length} of ${places.length} interfaces with hosts are up`;
  return { step, ok: true, says: down.length === 0 ? says : `${says}; down: ${down.join(', ')}` };
}

function atQuerier({ places }: Facts): Step {
  const step = 'querier';
  const up = places.filter((one) => one.up && one.hosts !== null);
  const mute = up.filter(({ hosts, address }) => hosts !== null && hosts.other === null && address === null);
  if (mute.length > 0)
    return {
      step,
      ok: false,
      says: `no querier on ${mute.map(({ name }) => name).join(', ')}: we have no address there to ask from, and nobody else asks`,
    };
  const says = up.map(({ name, hosts, reports }) => {
    const queries = (hosts?.generalQueries ?? 0) + (hosts?.groupQueries ?? 0) + (hosts?.sourceQueries ?? 0);
    const who =
      hosts?.querier === true
        ? `this router, ${queries} queries sent`
        : `${hosts?.other}, ${hosts?.queriesIn ?? 0} queries heard`;
    return `${name} ${who}, ${reports} reports heard`;
  });
  return { step, ok: true, says: says.length === 0 ? 'no interface is up' : says.join('; ') };
}
