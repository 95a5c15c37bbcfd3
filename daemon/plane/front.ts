import { networkInterfaces } from 'node:os';
import type { z } from 'zod';
import { SluiceError } from '../base/errors.js';
import type { Logger } from '../base/log.js';
import type { Reloadable, ReloadPlan, Step } from '../base/reloadable.js';
import { type Endpoint, formatEndpoint, isWildcard, sharePort } from '../config/units.js';
import type { ListenerHandle, ListenerLimits, PlaneApi } from './contract.js';
import type { httpSchema } from './settings.js';

/** `http:` of the configuration, as checked. */
export type HttpConfig = Frozen<z.output<typeof httpSchema>>;
type Frozen<T> = T extends object ? { readonly [K in keyof T]: Frozen<T[K]> } : T;

interface FrontSettings {
  readonly http: HttpConfig;
}

interface Listener {
  /** As configured: the port may be 0. */
  readonly wanted: Endpoint;
  readonly handle: ListenerHandle;
  readonly port: number;
}

export interface ViewersFrontOptions {
  readonly log: Logger;
  /** Whether a taken port gives way to a free one (the demo) instead of failing. */
  readonly anyFreePort?: boolean;
}

/** The listeners that viewers connect to. The plane's end closes them. */
export class ViewersFront implements Reloadable<FrontSettings> {
  readonly covers = [
    'http.listen',
    'http.max_connections',
    'http.header_timeout',
    'http.idle_timeout',
    'http.stall_timeout',
    'http.send_buffer',
    'http.max_lag',
  ];
  readonly #plane: PlaneApi;
  readonly #options: ViewersFrontOptions;
  #listeners: readonly Listener[] = [];

  constructor(plane: PlaneApi, options: ViewersFrontOptions) {
    this.#plane = plane;
    this.#options = options;
  }

  /** The URL under which the first listener is reached. */
  get url(): string {
    const [first] = this.#listeners;
    if (first === undefined) throw new SluiceError('CONFIG_INVALID', 'http.listen: expected at least one address');
    return `http://${formatEndpoint({ address: reachable(first.wanted.address), port: first.port })}`;
  }

  /** Opens all listeners. @throws SluiceError ADDRESS_IN_USE, ADDRESS_INVALID, SYSTEM_CALL */
  open({ http }: FrontSettings): void {
    const listen = this.#options.anyFreePort === true ? this.#listenAnywhere : this.#listen;
    this.#listeners = http.listen.map((wanted) => listen(wanted, limitsOf(http)));
  }

  /** Listeners are kept by their address; those added are opened before those removed are closed. */
  plan({ http: old }: FrontSettings, { http: next }: FrontSettings): ReloadPlan {
    const free = [...this.#listeners];
    const wanted = next.listen.map((endpoint) => ({ endpoint, kept: takeKept(free, endpoint) }));
    const added = wanted.flatMap(({ endpoint, kept }) => (kept === undefined ? [endpoint] : []));
    const clash = added.find((endpoint) => free.some((removed) => sharePort(endpoint, removed.wanted)));
    if (clash !== undefined) {
      const reason = `${formatEndpoint(clash)} can be opened only after another address with that port is closed`;
      return { steps: [], restart: [{ key: 'http.listen', reason }] };
    }
    const opened = new Map<Endpoint, Listener>();
    const adopt = (): void => {
      this.#listeners = wanted.flatMap(({ endpoint, kept }) => kept ?? opened.get(endpoint) ?? []);
    };
    const order: Step[] = sameOrder(wanted, this.#listeners)
      ? []
      : [{ says: 'http.listen: URLs name the first address', commit: adopt }];
    return {
      steps: [
        ...added.map((endpoint) => this.#opening(endpoint, old, next, opened)),
        ...order,
        ...this.#limiting(
          wanted.flatMap(({ kept }) => kept ?? []),
          old,
          next,
        ),
        ...free.map((listener) => this.#closing(listener)),
      ],
    };
  }

  #opening(endpoint: Endpoint, old: HttpConfig, next: HttpConfig, opened: Map<Endpoint, Listener>): Step {
    return {
      says: `http.listen: opens ${formatEndpoint(endpoint)}`,
      prepare: () => void opened.set(endpoint, this.#listen(endpoint, limitsOf(next))),
      undo: () => {
        const listener = opened.get(endpoint);
        if (listener === undefined) return;
        // The lag is that of all listeners, and was set with this one.
        this.#plane.setLimits(listener.handle, limitsOf(old));
        this.#plane.closeListener(listener.handle);
      },
    };
  }

  #limiting(kept: readonly Listener[], old: HttpConfig, next: HttpConfig): Step[] {
    const limits = limitsOf(next);
    if (JSON.stringify(limits) === JSON.stringify(limitsOf(old)) || kept.length === 0) return [];
    return [
      {
        says: `http: new limits for ${kept.map(({ wanted }) => formatEndpoint(wanted)).join(', ')}`,
        commit: () => {
          for (const { handle } of kept) this.#plane.setLimits(handle, limits);
        },
      },
    ];
  }

  #closing({ wanted, handle }: Listener): Step {
    return {
      says: `http.listen: closes ${formatEndpoint(wanted)}, viewers there are disconnected`,
      commit: () => this.#plane.closeListener(handle),
    };
  }

  readonly #listen = (wanted: Endpoint, limits: ListenerLimits): Listener => {
    const { listener: handle, port } = this.#plane.listen({ ...wanted, ...limits });
    this.#options.log.info({ listen: formatEndpoint({ ...wanted, port }) }, "viewers' front listens");
    return { wanted, handle, port };
  };

  readonly #listenAnywhere = (wanted: Endpoint, limits: ListenerLimits): Listener => {
    try {
      return this.#listen(wanted, limits);
    } catch (error) {
      if (!(error instanceof SluiceError) || error.code !== 'ADDRESS_IN_USE') throw error;
      return this.#listen({ ...wanted, port: 0 }, limits);
    }
  };
}

/** Takes the running listener of that address out of those that are still free. */
function takeKept(free: Listener[], wanted: Endpoint): Listener | undefined {
  const at = free.findIndex((one) => one.wanted.address === wanted.address && one.wanted.port === wanted.port);
  return at < 0 ? undefined : free.splice(at, 1)[0];
}

function sameOrder(wanted: readonly { readonly kept: Listener | undefined }[], now: readonly Listener[]): boolean {
  return wanted.length === now.length && wanted.every(({ kept }, at) => kept === now[at]);
}

function limitsOf(http: HttpConfig): ListenerLimits {
  return {
    maxConnections: http.max_connections,
    headerTimeoutMs: http.header_timeout,
    idleTimeoutMs: http.idle_timeout,
    stallTimeoutMs: http.stall_timeout,
    sendBufferBytes: http.send_buffer,
    viewerLagMs: http.max_lag,
  };
}

/** An address that stands in URLs for what is listened on: for "all addresses" the first that other machines reach. */
function reachable(address: string): string {
  if (!isWildcard(address)) return address;
  const family = address.includes(':') ? 'IPv6' : 'IPv4';
  const all = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  const outside = all.find((one) => one.family === family && !one.internal && !one.address.startsWith('fe80:'));
  return outside?.address ?? (family === 'IPv6' ? '::1' : '127.0.0.1');
}
