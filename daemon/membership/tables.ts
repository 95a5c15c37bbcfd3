/** What a router shows: groups, routes, neighbours, interfaces, subscribers, trees. */
import type { Registry, Row } from '../base/registry.js';
import type {
  GroupInfo,
  KeptChannel,
  MulticastChannel,
  RouterApi,
  RouterInterfaceInfo,
} from '../plane/contract-router.js';
import type { AskTotals } from './ask.js';
import type { InterfaceConfig } from './settings.js';

/** Milliseconds as routers print them: `1d02h`, `03:04:05`. */
export function formatAge(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  const two = (value: number): string => String(Math.floor(value)).padStart(2, '0');
  if (seconds >= 86_400) return `${Math.floor(seconds / 86_400)}d${two((seconds % 86_400) / 3600)}h`;
  return `${two(seconds / 3600)}:${two((seconds % 3600) / 60)}:${two(seconds % 60)}`;
}

const GENERATIONS: Readonly<Record<string, string>> = {
  '1/v4': 'IGMPv1',
  '2/v4': 'IGMPv2',
  '3/v4': 'IGMPv3',
  '2/v6': 'MLDv1',
  '3/v6': 'MLDv2',
};

function sourcesOf({ excludes, sources, statics }: GroupInfo): string {
  const named = sources.filter(({ forwarded }) => forwarded !== excludes).map(({ address }) => address);
  if (statics.includes(null)) return '*';
  const all = [...new Set([...named, ...(excludes ? [] : statics.filter((one) => one !== null))])];
  if (excludes) return named.length === 0 ? '*' : `* but ${named.join(' ')}`;
  return all.join(' ');
}

function groupRow(group: GroupInfo): Row {
  return {
    interface: group.interface,
    group: group.group,
    mode: group.statics.length > 0 ? 'static' : group.excludes ? 'EXCLUDE' : 'INCLUDE',
    sources: sourcesOf(group),
    hosts: group.hosts.length,
    version: GENERATIONS[`${group.compatibility}/${group.group.includes(':') ? 'v6' : 'v4'}`] ?? '',
    age: formatAge(group.ageMs),
    expires: group.excludes ? formatAge(group.remainingMs) : expiryOf(group),
    last_reporter: group.lastReporter,
    host_addresses: group.hosts.map(({ address }) => address ?? '0.0.0.0'),
  };
}

function expiryOf({ sources }: GroupInfo): string {
  const longest = Math.max(0, ...sources.map(({ remainingMs }) => remainingMs));
  return longest === 0 ? '' : formatAge(longest);
}

/** One that nobody need have asked for: it is joined by the interface towards the network. */
function keptRow(kept: KeptChannel): Row {
  return {
    interface: kept.interface,
    group: kept.group,
    mode: keptAs(kept),
    sources: kept.source ?? '*',
    hosts: 0,
    version: '',
    age: '',
    expires: kept.remainingMs === null ? '' : formatAge(kept.remainingMs),
    last_reporter: null,
    host_addresses: [],
  };
}

export function keptAs({ remainingMs }: KeptChannel): string {
  return remainingMs === null ? 'prejoined' : 'held';
}

function interfaceRow(family: number, one: RouterInterfaceInfo): Row {
  const { hosts, pim } = one;
  return {
    interface: one.name,
    family: family === 4 ? 'ipv4' : 'ipv6',
    state: one.up ? 'up' : 'down',
    address: one.address,
    querier: hosts === null ? '' : hosts.querier ? 'this' : (hosts.other ?? 'none'),
    groups: hosts?.groups ?? 0,
    reports: one.reports,
    denied: Object.values(one.admission.denied).reduce((sum, count) => sum + count, 0),
    ignored: one.malformed + one.badChecksum + one.wrongHeader + one.tooMany + (hosts?.ignoredRecords ?? 0),
    designated: pim === null ? '' : pim.isDesignated ? 'this' : pim.designated,
    neighbours: pim?.neighbours ?? 0,
    packets_in: one.packetsIn,
    packets_out: one.packetsOut,
  };
}

function subscriberRow(
  config: InterfaceConfig,
  interfaces: readonly RouterInterfaceInfo[],
  groups: number,
  asked: AskTotals | null,
): Row {
  const sum = (of: (one: RouterInterfaceInfo['admission']) => number): number =>
    interfaces.reduce((total, { admission }) => total + of(admission), 0);
  return {
    subscriber: config.subscriber?.id ?? null,
    interface: config.name,
    state: interfaces.some(({ up }) => up) ? 'up' : 'down',
    access: config.subscriber?.open === true ? 'open' : 'authorised',
    authorised: sum(({ authorised }) => authorised),
    groups,
    most_groups: config.subscriber?.max_groups === 0 ? null : (config.subscriber?.max_groups ?? null),
    waiting: sum(({ waiting }) => waiting),
    admitted: sum(({ admitted }) => admitted),
    denied: sum(({ denied }) => Object.values(denied).reduce((all, one) => all + one, 0)),
    revoked: sum(({ revoked }) => revoked),
    asked: asked === null ? null : asked.allowed + asked.refused + asked.failed,
    refused: asked === null ? null : asked.refused + asked.known,
    ask_failed: asked === null ? null : asked.failed + asked.dropped,
  };
}

/** Offers `show groups|mroute|neighbors|interfaces|subscribers|trees`; returns the function that withdraws them. */
export function offerTables(
  registry: Registry,
  router: RouterApi,
  configs: () => readonly InterfaceConfig[],
  asked: (subscriber: string | undefined) => AskTotals | null,
): () => void {
  const each = <T>(read: (family: 4 | 6) => readonly T[]): T[] =>
    router.families.flatMap((family) => [...read(family)]);
  const withdraw = [
    registry.offer('groups', {
      columns: ['interface', 'group', 'mode', 'sources', 'hosts', 'version', 'age', 'expires', 'last_reporter'],
      rows: () => [
        ...each((family) => router.groups(family)).map(groupRow),
        ...each((family) => router.kept(family)).map(keptRow),
      ],
    }),
    registry.offer('mroute', {
      columns: ['source', 'group', 'incoming', 'outgoing', 'packets', 'bytes', 'wrong', 'age', 'idle', 'flags'],
      rows: () =>
        each((family) => router.routes(family)).map((route) => ({
          source: route.source,
          group: route.group,
          incoming: route.incoming,
          outgoing: route.outgoing.join(' '),
          packets: route.packets,
          bytes: route.bytes,
          wrong: route.wrongInterface,
          age: formatAge(route.ageMs),
          idle: formatAge(route.idleMs),
          flags: route.inherited ? 'inherited' : route.outgoing.length === 0 ? 'pruned' : '',
        })),
    }),
    registry.offer('neighbors', {
      columns: ['interface', 'neighbor', 'up', 'expires', 'dr', 'dr_priority', 'secondary'],
      rows: () =>
        each((family) => router.neighbours(family)).map((one) => ({
          interface: one.interface,
          neighbor: one.address,
          up: formatAge(one.ageMs),
          expires: one.remainingMs === null ? 'never' : formatAge(one.remainingMs),
          dr: one.designated,
          dr_priority: one.drPriority,
          secondary: one.secondary.join(' '),
          generation_id: one.generationId,
        })),
    }),
    registry.offer('trees', {
      columns: ['source', 'group', 'upstream', 'incoming', 'outgoing', 'joined', 'kept', 'rp', 'state'],
      rows: () => {
        const channel = ({ group, source }: MulticastChannel): string => `${group} ${source}`;
        const kept = new Map(each((family) => router.kept(family)).map((one) => [channel(one), keptAs(one)]));
        return each((family) => router.trees(family)).map((tree) => ({
          source: tree.source ?? '*',
          group: tree.group,
          upstream: tree.upstream,
          incoming: tree.incoming,
          outgoing: tree.outgoing.join(' '),
          joined: tree.joined,
          kept: kept.get(channel(tree)) ?? null,
          rp: tree.rp,
          state: tree.why === 'none' ? (tree.spt ? 'spt' : 'forwarding') : tree.why,
        }));
      },
    }),
    registry.offer('interfaces', {
      columns: [
        'interface',
        'family',
        'state',
        'address',
        'querier',
        'groups',
        'reports',
        'denied',
        'ignored',
        'designated',
        'neighbours',
        'packets_in',
        'packets_out',
      ],
      rows: () =>
        router.families.flatMap((family) => router.interfaces(family).map((one) => interfaceRow(family, one))),
    }),
    registry.offer('subscribers', {
      columns: [
        'subscriber',
        'interface',
        'state',
        'access',
        'authorised',
        'groups',
        'most_groups',
        'waiting',
        'admitted',
        'denied',
        'revoked',
        'asked',
        'refused',
        'ask_failed',
      ],
      rows: () => {
        const interfaces = each((family) => router.interfaces(family));
        return configs()
          .filter(({ subscriber }) => subscriber !== null)
          .map((config) => {
            const own = interfaces.filter(({ name }) => name === config.name);
            return subscriberRow(
              config,
              own,
              own.reduce((sum, { hosts }) => sum + (hosts?.groups ?? 0), 0),
              asked(config.subscriber?.id),
            );
          });
      },
    }),
  ];
  return () => {
    for (const one of withdraw) one();
  };
}
