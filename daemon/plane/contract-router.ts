/** The boundary of group membership and multicast routing. Times are in milliseconds; `null` for an address is any. */

export type Family = 4 | 6;

/** A group, of one source or of any. */
export interface MulticastChannel {
  readonly group: string;
  readonly source: string | null;
}

/** How what hosts want is asked for above; `proxy` as of RFC 4605. */
export type RouterUpstream = 'none' | 'proxy' | 'pim';

/** One family's router. */
export interface RouterFamilyOptions {
  /** 0 for the kernel's own table. */
  readonly table: number;
  readonly upstream: RouterUpstream;
  readonly proxyInterface: string | null;
  readonly leaveHoldMs: number;
  readonly mostRoutes: number;
  readonly idleMs: number;
  readonly restartGraceMs: number;
  readonly sptSwitch: boolean;
  /** The default ranges when empty. */
  readonly sourceSpecific: readonly string[];
  readonly rps: readonly { readonly groups: string; readonly address: string }[];
  /** This router would be the domain's bootstrap router; null: it would not. */
  readonly candidateBsr: {
    readonly address: string;
    readonly priority: number;
    readonly hashMaskBits: number;
    readonly intervalMs: number;
  } | null;
  /** It would be a rendezvous point of these groups. */
  readonly candidateRp: {
    readonly address: string;
    readonly priority: number;
    readonly groups: readonly string[];
    readonly intervalMs: number;
  } | null;
}

/** Who keeps the routing sockets over a restart; none of both: nobody. */
export interface RouterKeeper {
  /** NOTIFY_SOCKET of the service manager. */
  readonly service: string | null;
  /** Most descriptors that it takes from the router; 0: it does not say. */
  readonly serviceMost: number;
  /** Where a `sluice-keeper` listens: an absolute path, or `@` and a name in the abstract namespace. */
  readonly holder: string | null;
  /** What the service manager has handed over; the router's from now on. */
  readonly inherited: readonly { readonly name: string; readonly fd: number }[];
}

export interface RouterOptions {
  readonly keeper: RouterKeeper;
  /** null: not routed. */
  readonly ipv4: RouterFamilyOptions | null;
  readonly ipv6: RouterFamilyOptions | null;
}

export interface QuerierOptions {
  /** 1 to 3 of IGMP, 1 or 2 of MLD. */
  readonly version: number;
  readonly robustness: number;
  readonly queryIntervalMs: number;
  readonly queryResponseMs: number;
  readonly lastMemberIntervalMs: number;
  readonly lastMemberCount: number;
  readonly immediateLeave: 'off' | 'tracked' | 'always';
}

/** What an interface may receive. Limits of 0 are none. */
export interface AdmissionOptions {
  /** Whatever is in the ranges is authorised. */
  readonly open: boolean;
  /** Of this family; empty: everything. */
  readonly ranges: readonly { readonly groups: string; readonly sources: string | null }[];
  readonly groups: number;
  readonly joinsPerSecond: number;
  readonly burst: number;
  readonly holdMs: number;
  readonly mostHeld: number;
}

export interface RouterPimOptions {
  readonly drPriority: number;
  readonly helloMs: number;
  readonly joinMs: number;
  readonly propagationMs: number;
  readonly overrideMs: number;
  /** Bootstrap messages come in and go out. */
  readonly bootstrap: boolean;
}

export interface RouterInterfaceOptions {
  /** Of the network device; it may come later. */
  readonly name: string;
  readonly lenient: boolean;
  /** Where there is no PIM: also when another router of the link is the querier. */
  readonly alwaysForwards: boolean;
  /** null: hosts there are not listened to. */
  readonly querier: QuerierOptions | null;
  readonly admission: AdmissionOptions;
  readonly pim: RouterPimOptions | null;
  readonly statics: readonly MulticastChannel[];
}

export interface MulticastLease extends MulticastChannel {
  /** How long from now; null: for good. */
  readonly leaseMs: number | null;
}

export const DENIALS = ['range', 'not-authorised', 'held-expired', 'hold-limit', 'rate-limit', 'group-limit'] as const;
export type Denial = (typeof DENIALS)[number];

interface JoinEvent extends MulticastChannel {
  readonly family: Family;
  readonly interface: string;
  readonly host: string | null;
}

/**
 * What is told of joins is news, not state: while JavaScript is busy, what comes beyond 65,536 that wait is lost (and counted, see
 * {@link RouterApi.lostEvents}). A host repeats a join that it was not given, which is told again. All else is never lost.
 */
export type RouterEvent =
  | ({ readonly type: 'join-held' | 'join-admitted' } & JoinEvent)
  | ({ readonly type: 'join-denied'; readonly reason: Denial } & JoinEvent)
  | { readonly type: 'interface-up' | 'interface-down'; readonly family: Family; readonly interface: string }
  /** Routes of before a restart go on. */
  | { readonly type: 'resumed'; readonly family: Family; readonly interface: '' }
  /** All groups are joined above again. */
  | { readonly type: 'upstream-joined'; readonly family: Family; readonly interface: string }
  /** `upstream-refused`: groups are not joined above for now; `not-kept`: routes will end with this process. */
  | {
      readonly type: 'interface-refused' | 'upstream-refused' | 'not-kept';
      readonly family: Family;
      readonly interface: string;
      readonly code: string;
      readonly detail: string;
    };

/** A group as hosts of one interface want it. */
export interface GroupInfo {
  readonly interface: string;
  readonly group: string;
  /** EXCLUDE mode: of whatever source but those that are not forwarded. */
  readonly excludes: boolean;
  readonly remainingMs: number;
  readonly ageMs: number;
  /** 1: IGMPv1; 2: IGMPv2 or MLDv1; 3: IGMPv3 or MLDv2. */
  readonly compatibility: number;
  /** Hosts are being asked who still wants it. */
  readonly asked: boolean;
  readonly lastReporter: string | null;
  /** By configuration; null among them: of any source. */
  readonly statics: readonly (string | null)[];
  readonly sources: readonly {
    readonly address: string;
    readonly forwarded: boolean;
    readonly remainingMs: number;
  }[];
  readonly hosts: readonly {
    readonly address: string | null;
    /** EXCLUDE mode: `sources` are those that it does not want. */
    readonly excludes: boolean;
    /** 1 to 3 of IGMP, 1 or 2 of MLD, by its last report. */
    readonly version: number;
    readonly ageMs: number;
    /** Since its last report. */
    readonly heardMs: number;
    readonly remainingMs: number;
    readonly sources: readonly string[];
  }[];
}

/** A join that waits to be authorised, or was not taken; of these the last 128 of an interface, each host's once. */
export interface RefusalInfo extends MulticastChannel {
  readonly interface: string;
  readonly host: string | null;
  /** Of the report that asked for it: 1 to 3 of IGMP, 1 or 2 of MLD. */
  readonly version: number;
  /** null: it waits. */
  readonly reason: Denial | null;
  /** Since it was denied last; null while it waits. */
  readonly ageMs: number | null;
  /** How long it waits yet; null when it was denied. */
  readonly waitsMs: number | null;
}

/** A route of the kernel. */
export interface MulticastRouteInfo {
  readonly source: string;
  readonly group: string;
  readonly incoming: string;
  readonly outgoing: readonly string[];
  /** It still goes where it went before a restart. */
  readonly inherited: boolean;
  readonly packets: number;
  readonly bytes: number;
  readonly wrongInterface: number;
  readonly ageMs: number;
  readonly idleMs: number;
}

export interface RouterInterfaceInfo {
  readonly name: string;
  readonly up: boolean;
  /** Code of why it cannot be routed, or not fully, for now; it is tried again. */
  readonly refused: string | null;
  readonly index: number;
  /** Place in the kernel's table. */
  readonly vif: number;
  readonly address: string | null;
  readonly reports: number;
  readonly malformed: number;
  readonly badChecksum: number;
  /** From beyond the link, without router alert, from or to the wrong address. */
  readonly wrongHeader: number;
  /** Records of reports beyond 20,000 a second. */
  readonly tooMany: number;
  readonly hosts: {
    /** We are it. */
    readonly querier: boolean;
    readonly other: string | null;
    readonly otherRemainingMs: number;
    readonly version: number;
    readonly groups: number;
    readonly sources: number;
    readonly hosts: number;
    readonly generalQueries: number;
    readonly groupQueries: number;
    readonly sourceQueries: number;
    readonly queriesIn: number;
    readonly otherVersionQueries: number;
    readonly ignoredQueries: number;
    readonly records: number;
    readonly ignoredRecords: number;
    /** Beyond the limits of what one interface may take up. */
    readonly refused: number;
    readonly immediateLeaves: number;
    readonly elections: number;
  } | null;
  readonly admission: {
    readonly authorised: number;
    /** Held now. */
    readonly waiting: number;
    readonly admitted: number;
    readonly held: number;
    readonly released: number;
    readonly revoked: number;
    readonly eventsSuppressed: number;
    readonly denied: Readonly<Record<Denial, number>>;
  };
  readonly pim: {
    readonly designated: string | null;
    readonly isDesignated: boolean;
    readonly passive: boolean;
    readonly neighbours: number;
    readonly generationId: number;
  } | null;
  readonly packetsIn: number;
  readonly packetsOut: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

export interface PimNeighbourInfo {
  readonly interface: string;
  readonly address: string;
  readonly secondary: readonly string[];
  readonly designated: boolean;
  readonly ageMs: number;
  /** null: it never expires. */
  readonly remainingMs: number | null;
  readonly drPriority: number | null;
  readonly generationId: number | null;
}

/** Why packets of a source would not reach a group's receivers; `none`: they would. */
export type NoRoute =
  | 'none'
  | 'no-receivers'
  | 'not-designated'
  | 'assert-lost'
  | 'needs-source'
  | 'no-rp'
  | 'no-rpf'
  | 'no-upstream-neighbour';

/** A tree of PIM: (S,G), or (*,G) where the source is null. */
export interface PimTreeInfo {
  readonly source: string | null;
  readonly group: string;
  /** Joined above. */
  readonly joined: boolean;
  readonly why: NoRoute;
  readonly spt: boolean;
  readonly registers: boolean;
  readonly rp: string | null;
  readonly upstream: string | null;
  readonly incoming: string;
  readonly outgoing: readonly string[];
}

/** A channel that is joined above though nobody may want it. */
export interface KeptChannel extends MulticastChannel {
  /** Where it is joined; empty where no way leads there. */
  readonly interface: string;
  /** How long it is still held for those who come back; null: it is joined ahead of demand. */
  readonly remainingMs: number | null;
}

/** Which rendezvous points serve which groups, and who has told (RFC 5059). */
export interface RpSetInfo {
  /** Of the election: `none` where nobody was heard; `accepted`: we are no candidate. */
  readonly state: 'none' | 'accepted' | 'candidate' | 'pending' | 'elected';
  /** The bootstrap router. */
  readonly router: { readonly address: string; readonly priority: number } | null;
  readonly accepted: number;
  readonly originated: number;
  readonly dropped: number;
  readonly refused: number;
  readonly advertisements: number;
  readonly rps: readonly {
    readonly groups: string;
    readonly rp: string;
    readonly priority: number;
    readonly hashMaskBits: number;
    /** Set by configuration; else told by the bootstrap router. */
    readonly fixed: boolean;
    /** It is this router. */
    readonly own: boolean;
  }[];
}

export interface RouterStatus {
  readonly unknownSources: number;
  readonly wrongInterface: number;
  readonly sendErrors: number;
  readonly upstreamErrors: number;
  /** Interfaces that could not be routed, each time that one began not to be. */
  readonly interfacesRefused: number;
  readonly routes: number;
  readonly routesSet: number;
  readonly routesRemoved: number;
  readonly routesRefused: number;
  readonly routesFailed: number;
  /** Groups that a proxy has joined. */
  readonly joinedAbove: number;
  /** Groups that it wants, and that the kernel refuses for now. */
  readonly notJoinedAbove: number;
  /** Messages that the kernel's buffer had no room for. */
  readonly controlDrops: number;
  /** Descriptors that will not outlive this process, though they were to. */
  readonly notKept: number;
  readonly pim: Readonly<
    Record<
      | 'received'
      | 'malformed'
      | 'wrongAddress'
      | 'sendErrors'
      | 'registersSent'
      | 'registersDropped'
      | 'joinsIn'
      | 'prunesIn'
      | 'joinsOut'
      | 'prunesOut'
      | 'assertsIn'
      | 'assertsOut'
      | 'registersIn'
      | 'unknownNeighbour'
      | 'treesRefused',
      number
    >
  > | null;
}

/**
 * Multicast routers of both families, on a thread of their own. Whatever names a family or an interface that is not there
 * gives `false` or nothing.
 */
export interface RouterApi {
  /** The families that are routed. */
  readonly families: readonly Family[];
  onEvent(handler: (event: RouterEvent) => void): () => void;
  /** @throws SluiceError ID_TAKEN */
  addInterface(family: Family, options: RouterInterfaceOptions): void;
  /**
   * It speaks otherwise from now on, and who is there stays; its admission and its static groups stay as they are. Hosts notice nothing
   * when PIM begins or ends there.
   */
  setInterface(family: Family, options: RouterInterfaceOptions): boolean;
  removeInterface(family: Family, name: string): boolean;
  /** What is not allowed any more ends at once. */
  setAdmission(family: Family, name: string, admission: AdmissionOptions): boolean;
  setStatic(family: Family, name: string, channel: MulticastChannel, present: boolean): boolean;
  /** In the place of what was said of each channel before. */
  authorise(family: Family, name: string, leases: readonly MulticastLease[]): boolean;
  /** They end at once. */
  revoke(family: Family, name: string, channels: readonly MulticastChannel[]): boolean;
  /** Joined above whether anybody wants it or not: all sources but these, or only these; none: not any more. */
  keep(
    family: Family,
    group: string,
    wanted: { readonly excludes: boolean; readonly sources: readonly string[] },
  ): void;
  interfaces(family: Family): RouterInterfaceInfo[];
  groups(family: Family): GroupInfo[];
  refusals(family: Family): RefusalInfo[];
  routes(family: Family): MulticastRouteInfo[];
  neighbours(family: Family): PimNeighbourInfo[];
  trees(family: Family): PimTreeInfo[];
  kept(family: Family): KeptChannel[];
  /** null without PIM. */
  rps(family: Family): RpSetInfo | null;
  status(family: Family): RouterStatus | null;
  /** The way back to an address; null where none leads over an interface of the router. */
  rpf(family: Family, address: string): { readonly interface: string; readonly nextHop: string | null } | null;
  /** News of joins that were lost, as too many waited. */
  lostEvents(): number;
  /** Takes everything out of the kernel. */
  withdraw(): void;
  /** Ends; what the kernel forwards goes on where it is kept. Idempotent. */
  close(): void;
}
