/** Who keeps routing sockets and joins over a restart, and whether that stands. */
import { describeError } from '../base/errors.js';
import type { Logger } from '../base/log.js';
import type { Registry } from '../base/registry.js';
import type { Family, RouterApi, RouterKeeper, RouterOptions } from '../plane/contract-router.js';
import type { ServiceManager } from '../plane/service-manager.js';
import type { MembershipConfig } from './settings.js';

const NO_KEEPER: RouterKeeper = { service: null, serviceMost: 0, holder: null, inherited: [] };
const LEAST_PATIENCE_MS = 60_000;
/** As native/kernel/kept_name.h has them. */
const KEPT_NAMES = /^(routing|interfaces|joins|igmp|mld)[46]-/;

export interface KeepingParts {
  readonly log: Logger;
  /** Opens the router; apart from here because tests of policy need no kernel. */
  readonly createRouter: (options: RouterOptions) => RouterApi;
  /** What the service manager keeps and has handed over; null without one. */
  readonly service: Pick<ServiceManager, 'socket' | 'room' | 'takeDescriptors'> | null;
  /** As ensureKeeper(). */
  readonly ensureKeeper: (path: string, patienceMs: number) => Promise<void>;
}

export class Keeping {
  readonly #problems = new Map<Family, string>();

  constructor(
    private readonly config: MembershipConfig,
    private readonly parts: KeepingParts,
  ) {}

  /** Where a router's descriptors are to be put. One that is not to be had is told of, here and by the router. */
  async open(): Promise<RouterKeeper> {
    const { keeper, keeper_socket: path, restart_grace: patience } = this.config;
    if (keeper === 'auto' && this.parts.service?.socket !== undefined) return this.#byService();
    this.end();
    if (keeper === 'none') return NO_KEEPER;
    try {
      await this.parts.ensureKeeper(path, Math.max(patience, LEAST_PATIENCE_MS));
    } catch (error) {
      // Forwarding is worth more than that it outlives us.
      this.parts.log.warn({ err: error }, `a restart will interrupt forwarding: ${describeError(error)}`);
    }
    return { ...NO_KEEPER, holder: path };
  }

  /** What the service manager has kept for a router that there is no more ends, in the kernel and there. */
  end(): void {
    const keeper = this.#byService();
    if (keeper.inherited.length > 0) this.parts.createRouter({ ipv4: null, ipv6: null, keeper }).close();
  }

  /** Notes and says that something will not outlive us. */
  take({ family, code, detail }: { readonly family: Family; readonly code: string; readonly detail: string }): void {
    this.#problems.set(family, `${code}: ${detail}`);
    this.parts.log.error({ family, code }, `a restart will interrupt forwarding: ${detail}`);
  }

  /** Offers `show routers`; returns the function that withdraws it. */
  offer(registry: Registry, router: RouterApi): () => void {
    const { table, upstream } = this.config;
    return registry.offer('routers', {
      columns: ['family', 'table', 'upstream', 'routes', 'keeper', 'not_kept', 'problem'],
      rows: () =>
        router.families.map((family) => {
          const status = router.status(family);
          const notKept = status?.notKept ?? 0;
          return {
            family: family === 4 ? 'ipv4' : 'ipv6',
            table,
            upstream,
            routes: status?.routes ?? 0,
            keeper: this.#by,
            not_kept: notKept,
            problem: notKept === 0 ? null : (this.#problems.get(family) ?? null),
          };
        }),
    });
  }

  get #by(): string {
    const { keeper, keeper_socket: path } = this.config;
    if (keeper === 'none') return 'none';
    return keeper === 'auto' && this.parts.service?.socket !== undefined ? 'service manager' : path;
  }

  #byService(): RouterKeeper {
    const { service } = this.parts;
    if (service?.socket === undefined) return NO_KEEPER;
    return {
      service: service.socket,
      serviceMost: service.room,
      holder: null,
      inherited: service.takeDescriptors(KEPT_NAMES),
    };
  }
}
