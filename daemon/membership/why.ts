/** Why a host that has joined a group gets nothing, or why it does: from the report to the packets. */
import type {
  GroupInfo,
  KeptChannel,
  MulticastRouteInfo,
  NoRoute,
  PimTreeInfo,
  RouterApi,
  RouterInterfaceInfo,
} from '../plane/contract-router.js';
import type { Verdict } from './ask.js';
import { familyOf } from './options.js';
import type { InterfaceConfig } from './settings.js';

interface Step {
  readonly step: string;
  readonly ok: boolean;
  readonly says: string;
}

const REASONS: Readonly<Record<NoRoute, string>> = {
  none: 'it is forwarded',
  'no-receivers': 'nobody wants it',
  'not-designated': 'hosts of that link are served by another router, which is the designated one',
  'assert-lost': 'another router forwards it there: it won the assert',
  'needs-source': 'the group is source-specific, but was joined without a source',
  'no-rp': 'no rendezvous point is known for the group',
  'no-rpf': 'no unicast route leads back to the source (or to the rendezvous point) by an interface of the router',
  'no-upstream-neighbour': 'nobody speaks PIM on the way back to the source (or to the rendezvous point)',
};

/** What the operator's system said of a channel of the group, and how long ago. */
type Asked = Pick<Verdict, 'question' | 'state' | 'says'> & { readonly agoMs: number };

/** `GROUP`, or `GROUP HOST` with a slash or a space between. Pure but for reading the router. */
export function explainGroup(
  router: RouterApi,
  configs: readonly InterfaceConfig[],
  id: string,
  asked: (group: string) => readonly Asked[],
): readonly string[] | undefined {
  const [group = '', host] = id.split(/[ /]/, 2);
  const family = familyOf(group);
  if (!router.families.includes(family)) return undefined;
  const facts = {
    group,
    host: host ?? null,
    interfaces: router.interfaces(family),
    groups: router.groups(family).filter((one) => one.group === group),
    routes: router.routes(family).filter((one) => one.group === group),
    trees: router.trees(family).filter((one) => one.group === group),
    kept: router.kept(family).filter((one) => one.group === group),
    asked: asked(group),
    configs,
    rpf: (address: string) => router.rpf(family, address),
  };
  const steps = stepsOf(facts);
  const cause = steps.find(({ ok }) => !ok);
  return [
    `group ${group}${host === undefined ? '' : ` at ${host}`}: ${cause === undefined ? 'every step works' : `the cause is at the ${cause.step}`}`,
    ...steps.map(({ step, ok, says }) => `  ${step}: ${ok ? 'ok' : 'BROKEN'}: ${says}`),
  ];
}

interface Facts {
  readonly group: string;
  readonly host: string | null;
  readonly interfaces: readonly RouterInterfaceInfo[];
  readonly groups: readonly GroupInfo[];
  readonly routes: readonly MulticastRouteInfo[];
  readonly trees: readonly PimTreeInfo[];
  readonly kept: readonly KeptChannel[];
  readonly asked: readonly Asked[];
  readonly configs: readonly InterfaceConfig[];
  readonly rpf: (address: string) => { readonly interface: string; readonly nextHop: string | null } | null;
}

function stepsOf(facts: Facts): Step[] {
  return [
    atInterfaces(facts),
    atQuerier(facts),
    ...atOperator(facts),
    atMembership(facts),
    ...atUpstream(facts),
    atPackets(facts),
  ];
}

function listening({ interfaces }: Facts): RouterInterfaceInfo[] {
  return interfaces.filter(({ hosts }) => hosts !== null);
}

function atInterfaces(facts: Facts): Step {
  const all = listening(facts);
  const down = all.filter(({ up }) => !up).map(({ name }) => name);
  if (all.length === 0)
    return { step: 'interface', ok: false, says: 'no interface listens to hosts (interfaces[].hosts)' };
  if (down.length === all.length)
    return { step: 'interface', ok: false, says: `${down.join(', ')}: absent, down, or without carrier` };
  const says = `${all.length - down.length} of ${all.length} interfaces with hosts are up`;
  return { step: 'interface', ok: true, says: down.length === 0 ? says : `${says}; down: ${down.join(', ')}` };
}

function atQuerier(facts: Facts): Step {
  const up = listening(facts).filter((one) => one.up);
  const mute = up.filter(
    ({ hosts, address }) => hosts !== null && !hosts.querier && hosts.other === null && address === null,
  );
  if (mute.length > 0)
    return {
      step: 'querier',
      ok: false,
      says: `${mute.map(({ name }) => name).join(', ')}: no querier: we have no address there to ask from, and nobody else asks`,
    };
  const says = up
    .map(({ name, hosts }) => `${name} ${hosts?.querier === true ? 'this router' : hosts?.other}`)
    .join(', ');
  return { step: 'querier', ok: true, says: says === '' ? 'no interface is up' : says };
}

function atMembership(facts: Facts): Step {
  const { groups, host, group } = facts;
  const step = 'membership';
  const mine = host === null ? groups : groups.filter(({ hosts }) => hosts.some(({ address }) => address === host));
  if (mine.length > 0) {
    const says = mine.map((one) => {
      const who = one.hosts.map(({ address }) => address ?? '0.0.0.0').slice(0, 5);
      return `${one.interface}: ${one.statics.length > 0 ? 'static' : one.excludes ? 'any source' : `sources ${one.sources.map(({ address }) => address).join(' ')}`}${who.length === 0 ? '' : `, asked for by ${who.join(' ')}`}`;
    });
    return { step, ok: true, says: says.join('; ') };
  }
  const denied = listening(facts).flatMap(({ name, admission }) =>
    Object.entries(admission.denied)
      .filter(([, count]) => count > 0)
      .map(([why, count]) => `${name}: ${count} ${why}`),
  );
  const waiting = listening(facts).filter(({ admission }) => admission.waiting > 0);
  const evidence = [
    ...waiting.map(({ name, admission }) => `${name}: ${admission.waiting} joins wait to be authorised`),
    ...(denied.length === 0 ? [] : [`joins denied so far: ${denied.join(', ')}`]),
    ...listening(facts)
      .filter(({ wrongHeader, malformed, badChecksum }) => wrongHeader + malformed + badChecksum > 0)
      .map(
        (one) =>
          `${one.name}: filtered: ${one.wrongHeader} messages with a wrong IP header (TTL, router alert, addresses), ${one.malformed} malformed, ${one.badChecksum} with a wrong checksum`,
      ),
  ];
  const who = host === null ? 'no host' : host;
  return {
    step,
    ok: false,
    says: `${who} ${host === null ? 'has' : 'has not'} asked for ${group}, or it was not let in${evidence.length === 0 ? ': no report was denied or filtered; does it reach this router? (sluice capture)' : `; ${evidence.join('; ')}`}`,
  };
}

const ASKED: Readonly<Record<Verdict['state'], string>> = {
  waiting: 'is being asked about',
  allowed: 'was allowed',
  refused: 'was refused',
  failed: 'could not be asked about',
};

/** What the operator's system said last; of what was let in since by others it says nothing. */
function atOperator({ asked, host, groups }: Facts): Step[] {
  return asked
    .filter(({ question }) => host === null || question.host === host)
    .map(({ question, state, says, agoMs }) => ({
      step: 'operator',
      ok: state === 'allowed' || groups.some((one) => one.interface === question.interface),
      says: `${question.subscriber}: (${question.source ?? '*'}, ${question.group}) ${ASKED[state]}${says === '' ? '' : ` (${says})`} ${Math.round(agoMs / 1000)} s ago (membership.ask)`,
    }));
}

function keptNote({ group, source }: PimTreeInfo, kept: readonly KeptChannel[]): string {
  const one = kept.find((each) => each.group === group && each.source === source);
  if (one === undefined) return '';
  return one.remainingMs === null
    ? '; it is joined ahead of demand (membership.prejoin)'
    : `; it is held for those who come back, for ${Math.ceil(one.remainingMs / 1000)} s more (membership.leave_hold)`;
}

function atUpstream({ trees, routes, rpf, kept }: Facts): Step[] {
  const step = 'upstream';
  if (trees.length === 0) {
    const sources = [...new Set(routes.map(({ source }) => source))];
    return sources.map((source) => {
      const way = rpf(source);
      return way === null
        ? { step, ok: false, says: `RPF failed: no route leads back to ${source} by an interface of the router` }
        : {
            step,
            ok: true,
            says: `${source} is by ${way.interface}${way.nextHop === null ? ', on the link' : ` over ${way.nextHop}`}`,
          };
    });
  }
  return trees.map((tree) => ({
    step,
    ok: tree.why === 'none',
    says: `(${tree.source ?? '*'}, ${tree.group}): ${REASONS[tree.why]}${tree.upstream === null ? '' : `; joined by ${tree.incoming} at ${tree.upstream}`}${keptNote(tree, kept)}`,
  }));
}

function atPackets({ routes, groups }: Facts): Step {
  const step = 'packets';
  if (routes.length === 0)
    return { step, ok: false, says: 'no packets have arrived: the kernel has asked for no route' };
  const wanted = new Set(groups.map((one) => one.interface));
  const says = routes.map(
    ({ source, incoming, outgoing, packets, wrongInterface, idleMs }) =>
      `from ${source} by ${incoming} to ${outgoing.length === 0 ? 'nobody' : outgoing.join(' ')}: ${packets} packets${packets === 0 ? '' : `, the last seen ${Math.round(idleMs / 1000)} s ago`}${wrongInterface === 0 ? '' : `, ${wrongInterface} more by another interface (dropped)`}`,
  );
  const missing = [...wanted].filter((name) => !routes.some(({ outgoing }) => outgoing.includes(name)));
  const arriving = routes.some(({ packets, outgoing }) => packets > 0 && outgoing.length > 0);
  if (!arriving) return { step, ok: false, says: `no packets arrive; ${says.join('; ')}` };
  if (missing.length > 0)
    return { step, ok: false, says: `not forwarded to ${missing.join(', ')}; ${says.join('; ')}` };
  return { step, ok: true, says: says.join('; ') };
}
