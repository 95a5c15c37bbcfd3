/** From what the operator wrote to what the router is told, one family at a time. */
import { isIP } from 'node:net';
import type {
  AdmissionOptions,
  Family,
  MulticastChannel,
  MulticastLease,
  QuerierOptions,
  RouterFamilyOptions,
  RouterInterfaceOptions,
} from '../plane/contract-router.js';
import type { ChannelConfig, InterfaceConfig, MembershipConfig } from './settings.js';

/** Of an address, or of a prefix of addresses. */
export function familyOf(address: string): Family {
  return isIP(address.split('/', 1)[0] ?? '') === 6 ? 6 : 4;
}

export function channelOf({ group, source }: ChannelConfig): MulticastChannel {
  return { group, source: source ?? null };
}

/** Those of a family. */
export function channelsOf(channels: readonly ChannelConfig[], family: Family): MulticastChannel[] {
  return channels.filter(({ group }) => familyOf(group) === family).map(channelOf);
}

export function familyOptions(config: MembershipConfig, family: Family): RouterFamilyOptions | null {
  if (!config.families.includes(family === 4 ? 'ipv4' : 'ipv6')) return null;
  return {
    table: config.table,
    upstream: config.upstream,
    proxyInterface: config.proxy_interface ?? null,
    leaveHoldMs: config.leave_hold,
    mostRoutes: config.max_routes,
    idleMs: config.idle,
    restartGraceMs: config.restart_grace,
    sptSwitch: config.spt_switch,
    sourceSpecific: config.ssm.filter((prefix) => familyOf(prefix) === family),
    rps: config.rendezvous_points.filter(({ address }) => familyOf(address) === family),
    candidateBsr: candidateBsr(config, family),
    candidateRp: candidateRp(config, family),
  };
}

function candidateBsr(config: MembershipConfig, family: Family): RouterFamilyOptions['candidateBsr'] {
  const one = config.candidate_bsr.find(({ address }) => familyOf(address) === family);
  if (one === undefined) return null;
  const { address, priority, interval, hash_mask_length: bits } = one;
  return { address, priority, hashMaskBits: bits ?? (family === 4 ? 30 : 126), intervalMs: interval };
}

function candidateRp(config: MembershipConfig, family: Family): RouterFamilyOptions['candidateRp'] {
  const one = config.candidate_rp.find(({ address }) => familyOf(address) === family);
  if (one === undefined) return null;
  const { address, priority, interval, groups } = one;
  return { address, priority, groups, intervalMs: interval };
}

export function interfaceOptions(config: InterfaceConfig, family: Family): RouterInterfaceOptions {
  const { hosts, pim, name } = config;
  return {
    name,
    lenient: hosts?.lenient ?? false,
    alwaysForwards: hosts?.forward === 'always',
    querier: hosts === null ? null : querierOptions(hosts, family),
    admission: admissionOptions(config, family),
    pim:
      pim === null
        ? null
        : {
            drPriority: pim.dr_priority,
            helloMs: pim.hello_interval,
            joinMs: pim.join_interval,
            propagationMs: pim.propagation_delay,
            overrideMs: pim.override_interval,
            bootstrap: pim.bootstrap,
          },
    statics: channelsOf(hosts?.static ?? [], family),
  };
}

function querierOptions(hosts: NonNullable<InterfaceConfig['hosts']>, family: Family): QuerierOptions {
  return {
    version: family === 4 ? hosts.igmp : hosts.mld,
    robustness: hosts.robustness,
    queryIntervalMs: hosts.query_interval,
    queryResponseMs: hosts.query_response,
    lastMemberIntervalMs: hosts.last_member_interval,
    lastMemberCount: hosts.last_member_count,
    immediateLeave: hosts.immediate_leave,
  };
}

/** An interface of no subscriber is open to everything. */
export function admissionOptions({ subscriber }: InterfaceConfig, family: Family): AdmissionOptions {
  const allow = subscriber?.allow ?? [];
  const ranges = allow
    .filter(({ groups }) => familyOf(groups) === family)
    .map(({ groups, sources }) => ({ groups, sources: sources ?? null }));
  return {
    open: subscriber?.open ?? true,
    // Where only the other family is allowed, nothing of this one is: a range that no group is in.
    ranges: allow.length > 0 && ranges.length === 0 ? [NOTHING[family]] : ranges,
    groups: subscriber?.max_groups ?? 0,
    joinsPerSecond: subscriber?.joins_per_second ?? 0,
    burst: subscriber?.burst ?? 0,
    holdMs: subscriber?.hold ?? 0,
    mostHeld: subscriber?.max_held ?? 0,
  };
}

const NOTHING: Readonly<Record<Family, { readonly groups: string; readonly sources: null }>> = {
  4: { groups: '0.0.0.0/32', sources: null },
  6: { groups: '::/128', sources: null },
};

/** Authorised by the file, for good. */
export function leasesOf({ subscriber }: InterfaceConfig, family: Family): MulticastLease[] {
  return channelsOf(subscriber?.authorised ?? [], family).map((channel) => ({ ...channel, leaseMs: null }));
}

/** What is joined before anybody asks, by group. */
export function keptOf(
  channels: readonly ChannelConfig[],
): ReadonlyMap<string, { readonly excludes: boolean; readonly sources: readonly string[] }> {
  const kept = new Map<string, { readonly excludes: boolean; readonly sources: readonly string[] }>();
  for (const { group, source } of channels) {
    const { excludes, sources } = kept.get(group) ?? { excludes: false, sources: [] };
    kept.set(
      group,
      source === undefined || excludes
        ? { excludes: true, sources: [] }
        : { excludes: false, sources: [...sources, source] },
    );
  }
  return kept;
}
