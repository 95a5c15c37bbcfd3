/** Where packets of a group are to come from, and whether they do. */
import type { KeptChannel, MulticastRouteInfo, NoRoute, PimTreeInfo } from '../plane/contract-router.js';
import type { Facts, Step } from './why-facts.js';

const REASONS: Readonly<Record<NoRoute, string>> = {
  none: 'it is forwarded',
  'no-receivers': 'nobody wants it',
  'not-designated': 'hosts of that link are served by another router, which is the designated one',
  'assert-lost': 'another router forwards it there: it won the assert',
  'needs-source': 'the group is source-specific, but was joined without a source',
  'no-rp': 'no rendezvous point is known for the group (membership.rendezvous_points)',
  'no-rpf': 'RPF failed: no unicast route leads back by an interface of the router',
  'no-upstream-neighbour': 'no upstream neighbour: nobody speaks PIM on the way back',
};

/** Whether the network above is asked, and where. */
export function atUpstream(facts: Facts): Step[] {
  const { membership, status, trees } = facts;
  if (membership.upstream === 'pim')
    return [...trees.map((tree) => atTree(facts, tree)), ...refusedTrees(status?.pim?.treesRefused ?? 0, trees)];
  const sources = sourcesOf(facts).map((source) => atSource(facts, source));
  if (membership.upstream !== 'proxy') return sources;
  const says = `asked for as by one host at ${membership.proxy_interface} (RFC 4605), of ${status?.joinedAbove ?? 0} groups`;
  const errors = status?.notJoinedAbove ?? 0;
  const failed =
    errors === 0 ? '' : `; limit reached: ${errors} more were not taken by the kernel (net.ipv4.igmp_max_memberships)`;
  return [{ step: 'upstream', ok: errors === 0, says: `${says}${failed}` }, ...sources];
}

function refusedTrees(refused: number, trees: readonly PimTreeInfo[]): Step[] {
  if (refused === 0 || trees.length > 0) return [];
  return [{ step: 'upstream', ok: false, says: `limit reached: PIM keeps no more trees (${refused} refused)` }];
}

/** Those that packets came from, and those that were asked for by name. */
function sourcesOf({ routes, groups }: Facts): string[] {
  const named = groups
    .filter(({ excludes }) => !excludes)
    .flatMap(({ sources, statics }) => [...sources.map(({ address }) => address), ...statics]);
  return [...new Set([...routes.map(({ source }) => source), ...named])].filter((one) => one !== null);
}

function atSource({ rpf, membership }: Facts, source: string): Step {
  const step = 'upstream';
  const way = rpf(source);
  if (way !== null)
    return {
      step,
      ok: true,
      says: `${source} is by ${way.interface}${way.nextHop === null ? ', on the link' : ` over ${way.nextHop}`}`,
    };
  if (membership.upstream === 'proxy')
    return { step, ok: true, says: `${source} is not on a link of ours: from ${membership.proxy_interface}` };
  return { step, ok: false, says: `RPF failed: no route leads back to ${source} by an interface of the router` };
}

function atTree({ rpf, neighbours, kept }: Facts, tree: PimTreeInfo): Step {
  const root = tree.source ?? tree.rp;
  const way = root === null ? null : rpf(root);
  const evidence: string[] = [];
  if (tree.upstream !== null) evidence.push(`joined by ${tree.incoming} at ${tree.upstream}`);
  if (root !== null && way !== null) {
    const there = neighbours.filter((one) => one.interface === way.interface).map(({ address }) => address);
    evidence.push(
      `the way back to ${root} is by ${way.interface}${way.nextHop === null ? ', on the link' : ` over ${way.nextHop}`}`,
      `PIM neighbours there: ${there.length === 0 ? 'none' : there.join(' ')}`,
    );
  } else if (root !== null) {
    evidence.push(`no way back to ${root}`);
  }
  const says = [
    `(${tree.source ?? '*'}, ${tree.group}): ${REASONS[tree.why]}`,
    ...evidence,
    ...keptNotes(tree, kept),
  ].join('; ');
  return { step: 'upstream', ok: tree.why === 'none', says };
}

function keptNotes({ group, source }: PimTreeInfo, kept: readonly KeptChannel[]): string[] {
  const one = kept.find((each) => each.group === group && each.source === source);
  if (one === undefined) return [];
  return one.remainingMs === null
    ? ['it is joined ahead of demand (membership.prejoin)']
    : [`it is held for those who come back, for ${Math.ceil(one.remainingMs / 1000)} s more (membership.leave_hold)`];
}

/** A route, and what came by it a moment long; the kernel counts what it drops for its interface among the packets. */
interface Seen {
  readonly route: MulticastRouteInfo;
  readonly packets: number;
  readonly wrong: number;
}

/** Whether packets come, now, and go to whom they should. */
export function atPackets(facts: Facts): Step {
  const { routes, before, groups, status, host } = facts;
  const step = 'packets';
  if (routes.length === 0) {
    const refused = (status?.routesRefused ?? 0) + (status?.routesFailed ?? 0);
    if (groups.length > 0 && refused > 0)
      return {
        step,
        ok: false,
        says: `limit reached: ${refused} routes were refused (membership.max_routes, or by the kernel)`,
      };
    return { step, ok: false, says: 'no packets arriving: none has come without a route, nor is there one' };
  }
  const seen = routes.map((route): Seen => {
    const was = before.find(({ source }) => source === route.source);
    const wrong = route.wrongInterface - (was?.wrongInterface ?? 0);
    return { route, wrong, packets: route.packets - (was?.packets ?? 0) - wrong };
  });
  const says = seen.map(told).join('; ');
  const coming = seen.filter(({ packets }) => packets > 0);
  if (coming.length === 0) return { step, ok: false, says: `${lost(seen)}; ${says}` };
  const wanted = groups.filter(({ hosts }) => host === null || hosts.some(({ address }) => address === host));
  const missing = wanted.filter((one) => !coming.some(({ route }) => route.outgoing.includes(one.interface)));
  // Who sends on a link is heard there without us.
  const elsewhere = missing.filter((one) => !coming.some(({ route }) => route.incoming === one.interface));
  if (elsewhere.length === 0) return { step, ok: true, says };
  return { step, ok: false, says: `not forwarded to ${elsewhere.map((one) => one.interface).join(', ')}; ${says}` };
}

function lost(seen: readonly Seen[]): string {
  const wrong = seen.filter((one) => one.wrong > 0);
  if (wrong.length === 0) return 'no packets arriving';
  const ways = wrong.map(({ route }) => `from ${route.source} not by ${route.incoming}`);
  return `RPF failed: packets come, but ${ways.join(', ')}, the way back to it, and are dropped`;
}

function told({ route, packets, wrong }: Seen): string {
  const { source, incoming, outgoing, idleMs, wrongInterface } = route;
  const all = route.packets - wrongInterface;
  const last = all === 0 || packets > 0 ? '' : `, the last ${Math.round(idleMs / 1000)} s ago`;
  const stray = wrongInterface === 0 ? '' : `, ${wrongInterface} (${wrong} just now) by another interface, dropped`;
  return `from ${source} by ${incoming} to ${outgoing.length === 0 ? 'nobody' : outgoing.join(' ')}: ${all} packets (${packets} just now)${last}${stray}`;
}
