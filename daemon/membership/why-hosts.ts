/** What hosts of a group have said, and what became of it. */
import type { Denial, GroupInfo, RefusalInfo, RouterInterfaceInfo } from '../plane/contract-router.js';
import type { Verdict } from './ask.js';
import type { Facts, Step } from './why-facts.js';

const REFUSALS: Readonly<Record<Denial, string>> = {
  range: 'filtered: outside of what its subscriber may ask for (subscriber.allow)',
  'not-authorised': 'not authorised (subscriber.authorised, or a lease)',
  'held-expired': 'not authorised while it waited (subscriber.hold)',
  'hold-limit': 'limit reached: not authorised, and as many joins wait as may (subscriber.max_held)',
  'rate-limit': 'limit reached: more joins a second than allowed (subscriber.joins_per_second)',
  'group-limit': 'limit reached: as many groups as allowed (subscriber.max_groups)',
};
const MOST_LISTED = 5;

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
const protocol = (address: string, version: number): string => `${address.includes(':') ? 'MLD' : 'IGMP'}v${version}`;

type Host = GroupInfo['hosts'][number];

function wants({ excludes, sources }: Host): string {
  if (!excludes) return `wants the sources ${sources.join(' ')}`;
  return sources.length === 0 ? 'wants any source' : `wants any source but ${sources.join(' ')}`;
}

function tells(group: string, host: Host): string {
  return `${host.address ?? '0.0.0.0'} ${wants(host)}, said by ${protocol(group, host.version)} ${seconds(host.heardMs)} ago`;
}

function refused({ group, source, host, version, reason, ageMs, waitsMs }: RefusalInfo): string {
  const join = `${host ?? '0.0.0.0'} for ${source === null ? group : `(${source}, ${group})`} by ${protocol(group, version)}`;
  return reason === null
    ? `${join}: not authorised yet, waits ${seconds(waitsMs ?? 0)} more`
    : `${join}: ${REFUSALS[reason]}, ${seconds(ageMs ?? 0)} ago`;
}

/** Those that wait first, then the newest. */
function inOrder(refusals: readonly RefusalInfo[]): RefusalInfo[] {
  return [...refusals].sort((a, b) => (a.ageMs ?? -1) - (b.ageMs ?? -1));
}

function list(lines: readonly string[]): string {
  const more = lines.length - MOST_LISTED;
  return `${lines.slice(0, MOST_LISTED).join('; ')}${more > 0 ? `; and ${more} more` : ''}`;
}

/** What a host that is asked about has said of whatever group. */
export function atHost({ host, everything, refusals, places }: Facts): Step[] {
  if (host === null) return [];
  const joined = everything.flatMap(({ group, interface: name, hosts }) =>
    hosts.filter(({ address }) => address === host).map((one) => ({ name, group, one })),
  );
  const kept = inOrder(refusals.filter((one) => one.host === host));
  const last = [...joined].sort((a, b) => a.one.heardMs - b.one.heardMs)[0];
  const [newest] = kept;
  const version = last?.one.version ?? newest?.version;
  if (version === undefined)
    return [
      { step: 'host', ok: true, says: `${host} has not been heard${places.map(({ name }) => ` on ${name}`).join('')}` },
    ];
  const says = [
    `${host} on ${last?.name ?? newest?.interface} speaks ${protocol(host, version)} and has ${joined.length} groups`,
    ...joined.slice(0, MOST_LISTED).map(({ group, one }) => `${group} (${wants(one)}, ${seconds(one.heardMs)} ago)`),
    ...kept.slice(0, MOST_LISTED).map((one) => `not given: ${refused(one)}`),
  ];
  return [{ step: 'host', ok: true, says: says.join('; ') }];
}

/** Whether somebody has the group; else the last that was said against it. */
export function atMembership(facts: Facts): Step {
  const { groups, host, group, refusals } = facts;
  const step = 'membership';
  const mine = host === null ? groups : groups.filter(({ hosts }) => hosts.some(({ address }) => address === host));
  const against = inOrder(refusals.filter((one) => one.group === group && (host === null || one.host === host)));
  if (mine.length > 0) {
    const says = mine.map((one) => {
      const hosts = one.hosts.filter(({ address }) => host === null || address === host);
      const statics = one.statics.length > 0 ? ['static'] : [];
      return `${one.interface}: ${list([...statics, ...hosts.map((each) => tells(group, each))])}`;
    });
    const others = host === null && against.length > 0 ? [`not given: ${list(against.map(refused))}`] : [];
    return { step, ok: true, says: [...says, ...others].join('; ') };
  }
  if (against.length > 0) return { step, ok: false, says: list(against.map(refused)) };
  return {
    step,
    ok: false,
    says: `${host ?? 'no host'} has ${host === null ? '' : 'not '}asked for ${group}: ${unheard(facts)}`,
  };
}

/** What may have happened to a report that is not known. */
function unheard({ places }: Facts): string {
  const counted = places.flatMap((one) => [...filtered(one), ...full(one)]);
  return counted.length === 0
    ? 'no report was filtered or refused; does it reach this router? (sluice capture --control)'
    : counted.join('; ');
}

function filtered({ name, wrongHeader, malformed, badChecksum, hosts }: RouterInterfaceInfo): string[] {
  const ignored = hosts?.ignoredRecords ?? 0;
  const counts = [
    [wrongHeader, 'with a wrong IP header (TTL, router alert, addresses)'],
    [malformed, 'malformed'],
    [badChecksum, 'with a wrong checksum'],
    [ignored, 'about what is no group to be routed'],
  ] as const;
  const some = counts.filter(([count]) => count > 0).map(([count, what]) => `${count} ${what}`);
  return some.length === 0 ? [] : [`${name}: filtered: messages ${some.join(', ')}`];
}

function full({ name, hosts }: RouterInterfaceInfo): string[] {
  const refused = hosts?.refused ?? 0;
  return refused === 0
    ? []
    : [`${name}: limit reached: ${refused} groups, sources or hosts beyond what one interface takes up`];
}

const ASKED: Readonly<Record<Verdict['state'], string>> = {
  waiting: 'is being asked about',
  allowed: 'was allowed',
  refused: 'was refused',
  failed: 'could not be asked about',
};

/** What the operator's system said last; of what was let in since by others it says nothing. */
export function atOperator({ asked, host, groups }: Facts): Step[] {
  return asked
    .filter(({ question }) => host === null || question.host === host)
    .map(({ question, state, says, agoMs }) => ({
      step: 'operator',
      ok: state === 'allowed' || groups.some((one) => one.interface === question.interface),
      says: `${question.subscriber}: (${question.source ?? '*'}, ${question.group}) ${ASKED[state]}${says === '' ? '' : ` (${says})`} ${Math.round(agoMs / 1000)} s ago (membership.ask)`,
    }));
}
