/** Group membership and multicast routing as one part of the daemon. */
import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '../base/clock.js';
import { SluiceError } from '../base/errors.js';
import type { Metrics } from '../base/metrics.js';
import type { Registry } from '../base/registry.js';
import type { Reloadable, ReloadPlan, RestartReason, Step } from '../base/reloadable.js';
import type { Family, MulticastChannel, MulticastLease, RouterApi, RouterEvent } from '../plane/contract-router.js';
import type { ControlCapture, ControlCaptureOptions } from '../plane/control-capture.js';
import { type AskActs, Asking, type AskTotals, type Verdict } from './ask.js';
import { ControlCaptures } from './control-captures.js';
import { Keeping, type KeepingParts } from './keeping.js';
import { channelKey, type LeaseBook } from './lease-book.js';
import { offerMembershipMetrics } from './metrics.js';
import { httpOperator } from './operator.js';
import {
  admissionOptions,
  channelsOf,
  familyOf,
  familyOptions,
  interfaceOptions,
  keptOf,
  leasesOf,
} from './options.js';
import { offerRpTables } from './rp-tables.js';
import type { AskConfig, InterfaceConfig, MembershipConfig } from './settings.js';
import { offerTables } from './tables.js';
import { explainGroup } from './why.js';

export interface MembershipParts extends KeepingParts {
  readonly registry: Registry;
  readonly metrics: Metrics;
  readonly clock: Clock;
  /** As openControlCapture(). */
  readonly openControlCapture: (options: ControlCaptureOptions) => ControlCapture;
  /** Over restarts. */
  readonly leases: LeaseBook;
}

interface MembershipSettings {
  readonly interfaces: readonly InterfaceConfig[];
  readonly membership: MembershipConfig;
}

function without(channels: readonly MulticastChannel[], others: readonly MulticastChannel[]): MulticastChannel[] {
  const known = new Set(others.map(channelKey));
  return channels.filter((one) => !known.has(channelKey(one)));
}

/** Those that were not there, or for good, or are so now. */
function changed(leases: readonly MulticastLease[], before: readonly MulticastLease[]): MulticastLease[] {
  const forGood = new Map(before.map((one) => [channelKey(one), one.leaseMs === null]));
  return leases.filter((one) => forGood.get(channelKey(one)) !== (one.leaseMs === null));
}

function subscribersOf(interfaces: readonly InterfaceConfig[]): ReadonlySet<string> {
  return new Set(interfaces.flatMap(({ subscriber }) => (subscriber === null ? [] : [subscriber.id])));
}

/** The router, if there is anything to route, and its policy. */
export class MembershipService implements Reloadable<MembershipSettings> {
  readonly covers = ['interfaces', 'membership.prejoin', 'membership.ask'];
  readonly #withdraw: (() => void)[] = [];
  readonly #interfaces = new Map<string, InterfaceConfig>();
  readonly #keeping: Keeping;
  /** What the router's interfaces say and hear. */
  readonly controlCaptures: ControlCaptures;
  #router: RouterApi | null = null;
  #asking: Asking | null = null;

  constructor(
    private readonly settings: MembershipSettings,
    private readonly parts: MembershipParts,
  ) {
    this.#keeping = new Keeping(settings.membership, parts);
    this.controlCaptures = new ControlCaptures({ open: parts.openControlCapture, interfaces: () => this.#devices() });
  }

  /** The router; null where no interface is configured, or after stop(). */
  get router(): RouterApi | null {
    return this.#router;
  }

  /**
   * Opens the routing tables and brings the interfaces up. Without interfaces nothing is opened.
   * @throws SluiceError as of createRouter()
   */
  async start(): Promise<void> {
    const { interfaces, membership } = this.settings;
    if (interfaces.length === 0) this.#keeping.end();
    if (interfaces.length === 0 || this.#router !== null) return;
    const { registry, metrics, createRouter, leases } = this.parts;
    await leases.load(subscribersOf(interfaces));
    const router = createRouter({
      ipv4: familyOptions(membership, 4),
      ipv6: familyOptions(membership, 6),
      keeper: await this.#keeping.open(),
    });
    this.#router = router;
    this.#withdraw.push(
      router.onEvent((event) => this.#take(event)),
      offerTables(registry, router, () => [...this.#interfaces.values()], this.#asked),
      offerRpTables(registry, router),
      this.#keeping.offer(registry, router),
      registry.explain('group', (id) =>
        explainGroup({ router, membership, asked: (group) => this.#verdicts(group) }, id),
      ),
      offerMembershipMetrics(metrics, router, this.#asked),
      this.controlCaptures.offer(metrics),
    );
    this.#ask(membership.ask);
    for (const one of interfaces) this.#add(one);
    for (const [group, wanted] of keptOf(membership.prejoin)) router.keep(familyOf(group), group, wanted);
  }

  /** The router ends. `withdraw`: forwarding ends, too; else the kernel goes on where it is kept. Idempotent. */
  stop(withdraw = false): void {
    for (const one of this.#withdraw.splice(0)) one();
    this.controlCaptures.stop();
    this.#ask(undefined);
    if (withdraw) this.#router?.withdraw();
    this.#router?.close();
    this.#router = null;
  }

  /**
   * Allows a subscriber channels, in the place of what was said of each before: at once, and resolves when a restart would not undo it.
   * @throws SluiceError NOT_FOUND
   */
  async authorise(subscriber: string, leases: readonly MulticastLease[]): Promise<void> {
    this.#authorise(subscriber, leases);
    this.#asking?.forget(subscriber, leases);
    this.parts.leases.put(subscriber, leases);
    await this.parts.leases.written();
  }

  #authorise(subscriber: string, leases: readonly MulticastLease[]): void {
    const { router, name } = this.#known(subscriber);
    for (const family of router.families)
      router.authorise(
        family,
        name,
        leases.filter(({ group }) => familyOf(group) === family),
      );
  }

  /**
   * Takes channels away; they end at once. Resolves when a restart would not give them back.
   * @throws SluiceError NOT_FOUND
   */
  async revoke(subscriber: string, channels: readonly MulticastChannel[]): Promise<void> {
    this.#revoke(subscriber, channels);
    this.#asking?.forget(subscriber, channels);
    this.parts.leases.remove(subscriber, channels);
    await this.parts.leases.written();
  }

  #revoke(subscriber: string, channels: readonly MulticastChannel[]): void {
    const { router, name } = this.#known(subscriber);
    for (const family of router.families)
      router.revoke(
        family,
        name,
        channels.filter(({ group }) => familyOf(group) === family),
      );
  }

  plan(old: MembershipSettings, next: MembershipSettings): ReloadPlan {
    const restart: RestartReason[] = [];
    if ((old.interfaces.length === 0) !== (next.interfaces.length === 0))
      restart.push({ key: 'interfaces', reason: 'multicast routing begins, or ends, with the daemon' });
    const steps: Step[] = [];
    const before = new Map(old.interfaces.map((one) => [one.name, one]));
    for (const one of next.interfaces) {
      const was = before.get(one.name);
      before.delete(one.name);
      if (!isDeepStrictEqual(was, one)) steps.push(this.#changeStep(was, one));
    }
    for (const { name } of before.values())
      steps.push({ says: `interface ${name}: is routed no longer`, commit: () => this.#remove(name) });
    const subscribers = subscribersOf(next.interfaces);
    const gone = [...subscribersOf(old.interfaces)].filter((id) => !subscribers.has(id));
    if (gone.length > 0)
      steps.push({
        says: `the leases of ${gone.join(', ')} end`,
        commit: () => this.parts.leases.retain(subscribers),
      });
    if (!isDeepStrictEqual(old.membership.prejoin, next.membership.prejoin))
      steps.push({
        says: `membership.prejoin: ${next.membership.prejoin.length} channels`,
        commit: () => this.#keep(old.membership, next.membership),
      });
    if (!isDeepStrictEqual(old.membership.ask, next.membership.ask))
      steps.push({
        says: `membership.ask: ${next.membership.ask?.url.origin ?? 'nobody'} is asked about joins that wait`,
        commit: () => this.#ask(next.membership.ask),
      });
    return { steps, restart };
  }

  #changeStep(was: InterfaceConfig | undefined, next: InterfaceConfig): Step {
    const { name } = next;
    if (was === undefined) return { says: `interface ${name}: is routed`, commit: () => this.#add(next) };
    if (isDeepStrictEqual({ ...was, subscriber: null }, { ...next, subscriber: null }))
      return { says: `interface ${name}: other rights of its subscriber`, commit: () => this.#admit(was, next) };
    return { says: `interface ${name}: speaks otherwise`, commit: () => this.#change(was, next) };
  }

  /** Devices that are routed now. */
  #devices(): string[] {
    const { upstream, proxy_interface: proxy } = this.settings.membership;
    const above = upstream === 'proxy' && proxy !== undefined ? [proxy] : [];
    return this.#router === null ? [] : [...new Set([...this.#interfaces.keys(), ...above])];
  }

  #add(config: InterfaceConfig): void {
    const router = this.#router;
    this.#interfaces.set(config.name, config);
    for (const family of router?.families ?? []) {
      router?.addInterface(family, interfaceOptions(config, family));
      router?.authorise(family, config.name, this.#rights(config, family));
    }
  }

  #remove(name: string): void {
    this.#interfaces.delete(name);
    const router = this.#router;
    for (const family of router?.families ?? []) router?.removeInterface(family, name);
  }

  #change(was: InterfaceConfig, next: InterfaceConfig): void {
    const router = this.#router;
    for (const family of router?.families ?? []) {
      router?.setInterface(family, interfaceOptions(next, family));
      const before = channelsOf(was.hosts?.static ?? [], family);
      const after = channelsOf(next.hosts?.static ?? [], family);
      for (const one of without(before, after)) router?.setStatic(family, next.name, one, false);
      for (const one of without(after, before)) router?.setStatic(family, next.name, one, true);
    }
    this.#admit(was, next);
  }

  /** What is there before and after is not cut for a moment: first more is allowed, then the tables change, then less is. */
  #admit(was: InterfaceConfig, next: InterfaceConfig): void {
    const router = this.#router;
    this.#interfaces.set(next.name, next);
    const other = was.subscriber !== null && was.subscriber.id !== next.subscriber?.id;
    const asked = other ? (this.#asking?.end(was.subscriber.id) ?? []) : [];
    for (const family of router?.families ?? []) {
      const before = this.#rights(was, family);
      const after = this.#rights(next, family);
      router?.authorise(family, next.name, other ? after : changed(after, before));
      const admission = admissionOptions(next, family);
      if (!isDeepStrictEqual(admission, admissionOptions(was, family)))
        router?.setAdmission(family, next.name, admission);
      const gone = [...before, ...asked.filter(({ group }) => familyOf(group) === family)];
      router?.revoke(family, next.name, without(gone, after));
    }
  }

  /** By the file for good, else by leases. */
  #rights(config: InterfaceConfig, family: Family): MulticastLease[] {
    const fixed = leasesOf(config, family);
    const leases = config.subscriber === null ? [] : this.parts.leases.of(config.subscriber.id);
    const leased = leases.filter(({ group }) => familyOf(group) === family);
    const known = new Set(fixed.map(channelKey));
    return [...fixed, ...leased.filter((one) => !known.has(channelKey(one)))];
  }

  #keep(old: MembershipConfig, next: MembershipConfig): void {
    const kept = keptOf(next.prejoin);
    for (const group of keptOf(old.prejoin).keys())
      if (!kept.has(group)) this.#router?.keep(familyOf(group), group, { excludes: false, sources: [] });
    for (const [group, wanted] of kept) this.#router?.keep(familyOf(group), group, wanted);
  }

  readonly #asked = (subscriber?: string): AskTotals | null => this.#asking?.totals(subscriber) ?? null;

  #verdicts(group: string): readonly (Verdict & { readonly agoMs: number })[] {
    const now = this.parts.clock.now();
    return (this.#asking?.about(group) ?? []).map((one) => ({ ...one, agoMs: now - one.at }));
  }

  /** The operator's system from now on; none: nobody is asked. */
  #ask(config: AskConfig | undefined): void {
    if (config === undefined) {
      this.#asking?.close();
      this.#asking = null;
    } else if (this.#asking !== null) {
      this.#asking.configure(config, httpOperator(config));
    } else if (this.#router !== null) {
      const { clock, log } = this.parts;
      // Between question and answer a subscriber may have gone.
      const acts: AskActs = {
        authorise: (id, leases) => this.#isKnown(id) && this.#authorise(id, leases),
        revoke: (id, channels) => this.#isKnown(id) && this.#revoke(id, channels),
        wanted: () => this.#wanted(),
      };
      this.#asking = new Asking(config, httpOperator(config), { clock, log, acts });
    }
  }

  #wanted(): (subscriber: string, channel: MulticastChannel) => boolean {
    const router = this.#router;
    const subscribers = new Map([...this.#interfaces.values()].map((one) => [one.name, one.subscriber?.id]));
    const keyOf = (id: string | undefined, group: string, source: string | null): string => `${id} ${group} ${source}`;
    const wanted = new Set(
      (router?.families ?? [])
        .flatMap((family) => router?.groups(family) ?? [])
        .flatMap(({ interface: name, group, excludes, sources }) => {
          const named = sources.filter(({ forwarded }) => forwarded).map(({ address }) => address);
          return [...named, ...(excludes ? [null] : [])].map((one) => keyOf(subscribers.get(name), group, one));
        }),
    );
    return (subscriber, { group, source }) => wanted.has(keyOf(subscriber, group, source));
  }

  #isKnown(subscriber: string): boolean {
    return [...this.#interfaces.values()].some((one) => one.subscriber?.id === subscriber);
  }

  #known(subscriber: string): { readonly router: RouterApi; readonly name: string } {
    const found = [...this.#interfaces.values()].find((one) => one.subscriber?.id === subscriber);
    if (found === undefined || this.#router === null)
      throw new SluiceError('NOT_FOUND', `there is no subscriber ${subscriber}`, { subscriber });
    return { router: this.#router, name: found.name };
  }

  #held({ interface: name, host, group, source }: Extract<RouterEvent, { type: 'join-held' | 'join-admitted' }>): void {
    const subscriber = this.#interfaces.get(name)?.subscriber?.id;
    if (subscriber !== undefined) this.#asking?.held({ subscriber, interface: name, host, group, source });
  }

  #take(event: RouterEvent): void {
    const { log } = this.parts;
    const { interface: name, family } = event;
    if (event.type === 'resumed') log.info({ family }, 'forwarding of before the restart goes on');
    else if (event.type === 'not-kept') this.#keeping.take(event);
    else if (event.type === 'upstream-refused')
      log.error({ interface: name, family, code: event.code }, `not all groups are joined above: ${event.detail}`);
    else if (event.type === 'upstream-joined') log.info({ interface: name, family }, 'all groups are joined above');
    else if (event.type === 'interface-refused')
      log.error({ interface: name, family, code: event.code }, `interface ${name}: ${event.detail}`);
    else if (event.type === 'interface-up' || event.type === 'interface-down')
      log.info({ interface: name, family }, `interface ${name} is ${event.type === 'interface-up' ? 'up' : 'down'}`);
    else if (event.type === 'join-held') this.#held(event);
    else if (event.type === 'join-denied')
      log.debug(
        { interface: name, group: event.group, source: event.source, host: event.host, reason: event.reason },
        'a join is denied',
      );
  }
}
