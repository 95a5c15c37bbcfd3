/** What `why group` is told from. */
import type {
  GroupInfo,
  KeptChannel,
  MulticastRouteInfo,
  PimNeighbourInfo,
  PimTreeInfo,
  RefusalInfo,
  RouterApi,
  RouterInterfaceInfo,
  RouterStatus,
} from '../plane/contract-router.js';
import type { Verdict } from './ask.js';
import { familyOf } from './options.js';
import type { MembershipConfig } from './settings.js';

/** One step of the way: what of it works or does not, with the evidence. */
export interface Step {
  readonly step: string;
  readonly ok: boolean;
  readonly says: string;
}

/** What the operator's system said of a channel of the group, and how long ago. */
export type Asked = Pick<Verdict, 'question' | 'state' | 'says'> & { readonly agoMs: number };

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
  readonly kept: readonly KeptChannel[];
  readonly asked: readonly Asked[];
  readonly neighbours: readonly PimNeighbourInfo[];
  readonly status: RouterStatus | null;
  readonly rpf: (address: string) => { readonly interface: string; readonly nextHop: string | null } | null;
}

/** What the router was told to be. */
export interface WhyParts {
  readonly router: RouterApi;
  readonly membership: MembershipConfig;
  readonly asked: (group: string) => readonly Asked[];
}

/** `before`: the group's routes a moment ago. */
export function factsOf(
  { router, membership, asked }: WhyParts,
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
    kept: router.kept(family).filter((one) => one.group === group),
    asked: asked(group),
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
