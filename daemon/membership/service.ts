/** Group membership and multicast routing as one part of the daemon. */
import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '../base/clock.js';
import { describeError, SluiceError } from '../base/errors.js';
import type { Logger } from '../base/log.js';
import type { Metrics } from '../base/metrics.js';
import type { Registry } from '../base/registry.js';
import type { Reloadable, ReloadPlan, RestartReason, Step } from '../base/reloadable.js';
import type {
  MulticastChannel,
  MulticastLease,
  RouterApi,
  RouterEvent,
  RouterKeeper,
  RouterOptions,
} from '../plane/contract-router.js';
import type { ControlCapture, ControlCaptureOptions } from '../plane/control-capture.js';
import type { ServiceManager } from '../plane/service-manager.js';
import { ControlCaptures } from './control-captures.js';
import { offerMembershipMetrics } from './metrics.js';
import {
  admissionOptions,
  channelsOf,
  familyOf,
  familyOptions,
  interfaceOptions,
  keptOf,
  leasesOf,
} from './options.js';
import type { InterfaceConfig, MembershipConfig } from './settings.js';
import { offerTables } from './tables.js';
import { explainGroup } from './why.js';

export interface MembershipParts {
  readonly registry: Registry;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly log: Logger;
  /** Opens the router; apart from here because tests of policy need no kernel. */
  readonly createRouter: (options: RouterOptions) => RouterApi;
  /** What the service manager keeps and has handed over; null without one. */
  readonly service: Pick<ServiceManager, 'socket' | 'takeDescriptors' | 'dropUntaken'> | null;
  /** As openControlCapture(). */
  readonly openControlCapture: (options: ControlCaptureOptions) => ControlCapture;
  /** As ensureKeeper(). */
  readonly ensureKeeper: (path: string, patienceMs: number) => Promise<void>;
}

const NO_KEEPER: RouterKeeper = { service: null, holder: null, inherited: [] };
const LEAST_PATIENCE_MS = 60_000;
/** As native/plane/router_restart.cc names them. */
const KEPT_NAMES = /^(routing|interfaces|joins|igmp|mld)[46]-/;

interface MembershipSettings {
  readonly interfaces: readonly InterfaceConfig[];
  readonly membership: MembershipConfig;
}

/** The router, if there is anything to route, and its policy. */
export class MembershipService implements Reloadable<MembershipSettings> {
  readonly covers = ['interfaces', 'membership.prejoin'];
  readonly #withdraw: (() => void)[] = [];
  readonly #interfaces = new Map<string, InterfaceConfig>();
  /** What the router's interfaces say and hear. */
  readonly controlCaptures: ControlCaptures;
  #router: RouterApi | null = null;

  constructor(
    private readonly settings: MembershipSettings,
    private readonly parts: MembershipParts,
  ) {
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
    if (interfaces.length === 0) this.parts.service?.dropUntaken(KEPT_NAMES);
    if (interfaces.length === 0 || this.#router !== null) return;
    const { registry, metrics, createRouter } = this.parts;
    const router = createRouter({
      ipv4: familyOptions(membership, 4),
      ipv6: familyOptions(membership, 6),
      keeper: await this.#keeper(),
    });
    this.#router = router;
    this.#withdraw.push(
      router.onEvent((event) => this.#take(event)),
      offerTables(registry, router, () => [...this.#interfaces.values()]),
      registry.explain('group', (id) => explainGroup({ router, membership }, id)),
      offerMembershipMetrics(metrics, router),
      this.controlCaptures.offer(metrics),
    );
    for (const one of interfaces) this.#add(one);
    for (const [group, wanted] of keptOf(membership.prejoin)) router.keep(familyOf(group), group, wanted);
  }

  async #keeper(): Promise<RouterKeeper> {
    const { keeper, keeper_socket: path, restart_grace: patience } = this.settings.membership;
    const { service, ensureKeeper, log } = this.parts;
    const socket = service?.socket;
    if (keeper === 'auto' && socket !== undefined)
      return {
        service: socket,
        holder: null,
        inherited: service?.takeDescriptors(KEPT_NAMES) ?? [],
      };
    if (keeper === 'none') return NO_KEEPER;
    try {
      await ensureKeeper(path, Math.max(patience, LEAST_PATIENCE_MS));
      return { ...NO_KEEPER, holder: path };
    } catch (error) {
      // Forwarding is worth more than that it outlives us.
      log.error({ err: error }, `a restart will interrupt forwarding: ${describeError(error)}`);
      return NO_KEEPER;
    }
  }

  /** The router ends. `withdraw`: forwarding ends, too; else the kernel goes on where it is kept. Idempotent. */
  stop(withdraw = false): void {
    for (const one of this.#withdraw.splice(0)) one();
    this.controlCaptures.stop();
    if (withdraw) this.#router?.withdraw();
    this.#router?.close();
    this.#router = null;
  }

  /**
   * Allows a subscriber channels, in the place of what was said of each before.
   * @throws SluiceError NOT_FOUND
   */
  authorise(subscriber: string, leases: readonly MulticastLease[]): void {
    const { router, name } = this.#known(subscriber);
    for (const family of router.families)
      router.authorise(
        family,
        name,
        leases.filter(({ group }) => familyOf(group) === family),
      );
  }

  /**
   * Takes channels away; they end at once.
   * @throws SluiceError NOT_FOUND
   */
  revoke(subscriber: string, channels: readonly MulticastChannel[]): void {
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
    if (!isDeepStrictEqual(old.membership.prejoin, next.membership.prejoin))
      steps.push({
        says: `membership.prejoin: ${next.membership.prejoin.length} channels`,
        commit: () => this.#keep(old.membership, next.membership),
      });
    return { steps, restart };
  }

  #changeStep(was: InterfaceConfig | undefined, next: InterfaceConfig): Step {
    const { name } = next;
    if (was === undefined) return { says: `interface ${name}: is routed`, commit: () => this.#add(next) };
    // Who may receive what changes while it runs; how the interface speaks does not.
    if (isDeepStrictEqual({ ...was, subscriber: null }, { ...next, subscriber: null }))
      return { says: `interface ${name}: other rights of its subscriber`, commit: () => this.#admit(was, next) };
    return {
      says: `interface ${name}: begins anew`,
      commit: () => {
        this.#remove(name);
        this.#add(next);
      },
    };
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
      router?.authorise(family, config.name, leasesOf(config, family));
    }
  }

  #remove(name: string): void {
    this.#interfaces.delete(name);
    const router = this.#router;
    for (const family of router?.families ?? []) router?.removeInterface(family, name);
  }

  #admit(was: InterfaceConfig, next: InterfaceConfig): void {
    const router = this.#router;
    this.#interfaces.set(next.name, next);
    for (const family of router?.families ?? []) {
      const kept = leasesOf(next, family);
      const gone = channelsOf(was.subscriber?.authorised ?? [], family).filter(
        (one) => !kept.some(({ group, source }) => group === one.group && source === one.source),
      );
      router?.setAdmission(family, next.name, admissionOptions(next, family));
      router?.revoke(family, next.name, gone);
      router?.authorise(family, next.name, kept);
    }
  }

  #keep(old: MembershipConfig, next: MembershipConfig): void {
    const kept = keptOf(next.prejoin);
    for (const group of keptOf(old.prejoin).keys())
      if (!kept.has(group)) this.#router?.keep(familyOf(group), group, { excludes: false, sources: [] });
    for (const [group, wanted] of kept) this.#router?.keep(familyOf(group), group, wanted);
  }

  #known(subscriber: string): { readonly router: RouterApi; readonly name: string } {
    const found = [...this.#interfaces.values()].find((one) => one.subscriber?.id === subscriber);
    if (found === undefined || this.#router === null)
      throw new SluiceError('NOT_FOUND', `there is no subscriber ${subscriber}`, { subscriber });
    return { router: this.#router, name: found.name };
  }

  #take(event: RouterEvent): void {
    const { log } = this.parts;
    const { interface: name, family } = event;
    if (event.type === 'resumed') log.info({ family }, 'forwarding of before the restart goes on');
    else if (event.type === 'not-kept')
      log.error({ family, code: event.code }, `a restart will interrupt forwarding: ${event.detail}`);
    else if (event.type === 'interface-refused')
      log.error({ interface: name, family, code: event.code }, `interface ${name}: ${event.detail}`);
    else if (event.type === 'interface-up' || event.type === 'interface-down')
      log.info({ interface: name, family }, `interface ${name} is ${event.type === 'interface-up' ? 'up' : 'down'}`);
    else if (event.type === 'join-denied')
      log.debug(
        { interface: name, group: event.group, source: event.source, host: event.host, reason: event.reason },
        'a join is denied',
      );
  }
}
