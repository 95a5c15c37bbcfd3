/** What `why group` is told from. */
import type {
  GroupInfo,
  MulticastRouteInfo,
  PimNeighbourInfo,
  PimTreeInfo,
  RefusalInfo,
  RouterApi,
  RouterInterfaceInfo,
  RouterStatus,
} from '../plane/contract-router.js';
import { familyOf } from './options.js';
import type { MembershipConfig } from './settings.js';

/** One step of the way: what of it works or does not, with the evidence. */
export interface Step {
  readonly step: string;
  readonly ok: boolean;
  readonly says: string;
}

/** What the steps are told from: all of one family, of this group where it says so. */
export interface Facts {
  readonly group: string;
  readonly host: string | null;
  /** Where hosts are listened to; of a host that is asked about, where it is, or would be. */
  readonly places: readonly RouterInterfaceInfo[];
  readonly interfaces: readonly RouterInterfaceInfo[];
  readonly membership: MembershipConfig;
  /** Of all groups. */
  readonly everything: readonly GroupInfo[];
  readonly groups: readonly GroupInfo[];
  /** Of all groups. */
  readonly refusals: readonly RefusalInfo[];
  readonly routes: readonly MulticastRouteInfo[];
  /** The same a moment before. */
  readonly before: readonly MulticastRouteInfo[];
  readonly trees: readonly PimTreeInfo[];
  readonly neighbours: readonly PimNeighbourInfo[];
  readonly status: RouterStatus | null;
  readonly rpf: (address: string) => { readonly interface: string; readonly nextHop: string | null } | null;
}

/** What the router was told to be. */
export interface WhyParts {
  readonly router: RouterApi;
  readonly membership: MembershipConfig;
}

/** `before`: the group's routes a moment ago. */
export function factsOf(
  { router, membership }: WhyParts,
  group: string,
  host: string | null,
  before: readonly MulticastRouteInfo[],
): Facts {
  const family = familyOf(group);
  const everything = router.groups(family);
  const refusals = router.refusals(family);
  const interfaces = router.interfaces(family);
  const rpf: Facts['rpf'] = (address) => router.rpf(family, address);
  const where = host === null ? null : placesOf(host, everything, refusals, rpf);
  return {
    group,
    host,
    places: interfaces.filter(({ name, hosts }) => (where === null ? hosts !== null : where.has(name))),
    interfaces,
    membership,
    everything,
    groups: everything.filter((one) => one.group === group),
    refusals,
    routes: router.routes(family).filter((one) => one.group === group),
    before,
    trees: router.trees(family).filter((one) => one.group === group),
    neighbours: router.neighbours(family),
    status: router.status(family),
    rpf,
  };
}

/** Where a host was heard, or else where its address is; null where nobody knows. */
function placesOf(
  host: string,
  groups: readonly GroupInfo[],
  refusals: readonly RefusalInfo[],
  rpf: Facts['rpf'],
): ReadonlySet<string> | null {
  const heard = [
    ...groups.filter(({ hosts }) => hosts.some(({ address }) => address === host)),
    ...refusals.filter((one) => one.host === host),
  ].map((one) => one.interface);
  if (heard.length > 0) return new Set(heard);
  const way = rpf(host);
  return way === null ? null : new Set([way.interface]);
}
