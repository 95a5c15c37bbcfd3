import { networkInterfaces } from 'node:os';
import type { z } from 'zod';
import type { Clock } from '../base/clock.js';
import { SluiceError } from '../base/errors.js';
import type { Logger } from '../base/log.js';
import type { Metrics } from '../base/metrics.js';
import type { Reloadable, ReloadPlan, Step } from '../base/reloadable.js';
import { type Endpoint, formatEndpoint, isWildcard, sharePort } from '../config/units.js';
import {
  type CertificateFiles,
  ExpiryWatch,
  type LoadedCertificate,
  readCertificates,
  usingCertificates,
} from './certificates.js';
import type { ListenerHandle, ListenerLimits, PlaneApi } from './contract.js';
import { type CountedListener, offerFrontMetrics } from './front-metrics.js';
import type { ServiceManager } from './service-manager.js';
import type { httpSchema } from './settings.js';

/** `http:` of the configuration, as checked. */
export type HttpConfig = Frozen<z.output<typeof httpSchema>>;
type Frozen<T> = T extends object ? { readonly [K in keyof T]: Frozen<T[K]> } : T;

interface FrontSettings {
  readonly http: HttpConfig;
}

/** A listener as configured: the port may be 0. */
interface Wanted extends Endpoint {
  /** None for plain HTTP. */
  readonly files: readonly CertificateFiles[];
}

interface Listener {
  readonly wanted: Wanted;
  readonly handle: ListenerHandle;
  readonly port: number;
  certificates: readonly LoadedCertificate[];
}

type Listen = (
  wanted: Wanted,
  limits: ListenerLimits,
  certificates: readonly LoadedCertificate[],
  beginning?: Beginning,
) => Listener;

export interface ViewersFrontOptions {
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly clock: Clock;
  /** Whether a taken port gives way to a free one (the demo) instead of failing. */
  readonly anyFreePort?: boolean;
  /** Keeps the sockets over a restart. */
  readonly service?: ServiceManager | undefined;
}

/** How a listener begins. */
interface Beginning {
  /** The socket that was kept for it. */
  readonly fd?: number | undefined;
  /** It accepts only when {@link ViewersFront.serve} is called. */
  readonly hold?: boolean;
}

/** As the service manager's names for what we listen on. */
const LISTENERS = /^viewers-/;

/** The listeners that viewers connect to. */
export class ViewersFront implements Reloadable<FrontSettings> {
  readonly covers = [
    'http.listen',
    'http.tls',
    'http.max_connections',
    'http.header_timeout',
    'http.idle_timeout',
    'http.stall_timeout',
    'http.send_buffer',
    'http.max_lag',
    'http.limits',
  ];
  readonly #plane: PlaneApi;
  readonly #options: ViewersFrontOptions;
  readonly #expiry: ExpiryWatch;
  #listeners: readonly Listener[] = [];

  constructor(plane: PlaneApi, options: ViewersFrontOptions) {
    this.#plane = plane;
    this.#options = options;
    this.#expiry = new ExpiryWatch(options, () => this.#listeners.flatMap(({ certificates }) => certificates));
    offerFrontMetrics(options.metrics, () => this.#listeners.map((listener) => this.#counted(listener)));
  }

  /** The URL under which the first listener is reached. */
  get url(): string {
    const [first] = this.#listeners;
    if (first === undefined) throw new SluiceError('CONFIG_INVALID', 'http.listen: expected at least one address');
    return `http://${formatEndpoint({ address: reachable(first.wanted.address), port: first.port })}`;
  }

  /** Opens all listeners, which do not accept yet. @throws SluiceError ADDRESS_IN_USE, ADDRESS_INVALID, TLS_CERTIFICATE, SYSTEM_CALL */
  async open({ http }: FrontSettings): Promise<void> {
    const { service, anyFreePort } = this.#options;
    const listen = anyFreePort === true ? this.#listenAnywhere : this.#listen;
    const all = await Promise.all(
      wantedOf(http).map(async (wanted) => ({ wanted, certificates: await readCertificates(wanted.files) })),
    );
    const kept = all.map(({ wanted }) => service?.takeListener(wanted));
    service?.dropUntaken(LISTENERS);
    this.#listeners = all.map(({ wanted, certificates }, at) =>
      listen(wanted, limitsOf(http), certificates, { fd: kept[at], hold: true }),
    );
    for (const { certificates } of this.#listeners) this.#expiry.look(certificates);
  }

  /** Begins to accept: everything is there that answers viewers. */
  serve(): void {
    for (const { handle } of this.#listeners) this.#plane.serve(handle);
  }

  #counted({ wanted, handle, port }: Listener): CountedListener {
    return { listen: formatEndpoint({ ...wanted, port }), counters: this.#plane.listenerCounters(handle) };
  }

  /**
   * Ends listening, disconnects viewers and watches certificates no more. To be called before anything ends that answers
   * viewers: they would else be told that there is nothing. What the service manager keeps of the sockets stays with it.
   */
  close(): void {
    this.#expiry.close();
    for (const { handle } of this.#listeners) this.#plane.closeListener(handle);
  }

  /** Listeners are kept by their address; those added are opened before those removed are closed. */
  plan({ http: old }: FrontSettings, { http: next }: FrontSettings): ReloadPlan {
    const free = [...this.#listeners];
    const wanted = wantedOf(next).map((endpoint) => ({ endpoint, kept: takeKept(free, endpoint) }));
    const added = wanted.flatMap(({ endpoint, kept }) => (kept === undefined ? [endpoint] : []));
    const clash = added.find((endpoint) => free.some((removed) => sharePort(endpoint, removed.wanted)));
    if (clash !== undefined) {
      const reason = `${formatEndpoint(clash)} can be opened only after another address with that port is closed`;
      return { steps: [], restart: [{ key: keyOf(clash), reason }] };
    }
    const opened = new Map<Wanted, Listener>();
    const adopt = (): void => {
      this.#listeners = wanted.flatMap(({ endpoint, kept }) => kept ?? opened.get(endpoint) ?? []);
    };
    const order: Step[] = sameOrder(wanted, this.#listeners)
      ? []
      : [{ says: 'http.listen: URLs name the first address', commit: adopt }];
    return {
      steps: [
        ...added.map((endpoint) => this.#opening(endpoint, old, next, opened)),
        ...wanted.flatMap(({ endpoint, kept }) => (kept === undefined ? [] : this.#renewing(endpoint, kept))),
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

  #opening(endpoint: Wanted, old: HttpConfig, next: HttpConfig, opened: Map<Wanted, Listener>): Step {
    return {
      says: `${keyOf(endpoint)}: opens ${formatEndpoint(endpoint)}`,
      prepare: async () => {
        const certificates = await readCertificates(endpoint.files);
        opened.set(endpoint, this.#listen(endpoint, limitsOf(next), certificates));
        this.#expiry.look(certificates);
      },
      undo: () => {
        const listener = opened.get(endpoint);
        if (listener === undefined) return;
        // The lag is that of all listeners, and was set with this one.
        this.#plane.setLimits(listener.handle, limitsOf(old));
        this.#close(listener);
      },
    };
  }

  /** The files may say something else though the configuration does not: they are renewed every few weeks. */
  #renewing({ files }: Wanted, listener: Listener): Step[] {
    if (files.length === 0) return [];
    const before = listener.certificates;
    const use = (certificates: readonly LoadedCertificate[]): void => {
      if (sameText(certificates, listener.certificates)) return;
      usingCertificates(certificates, () =>
        this.#plane.setCertificates(
          listener.handle,
          certificates.map(({ pem }) => pem),
        ),
      );
      listener.certificates = certificates;
    };
    return [
      {
        says: `http.tls: reads the certificates of ${formatEndpoint(listener.wanted)} again`,
        // Whether they can be used, only their use shows.
        prepare: async () => {
          const certificates = await readCertificates(files);
          use(certificates);
          this.#expiry.look(certificates);
        },
        undo: () => use(before),
      },
    ];
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

  #closing(listener: Listener): Step {
    return {
      says: `${keyOf(listener.wanted)}: closes ${formatEndpoint(listener.wanted)}, viewers there are disconnected`,
      commit: () => this.#close(listener),
    };
  }

  #close({ wanted, handle }: Listener): void {
    this.#options.service?.forgetListener(wanted);
    this.#plane.closeListener(handle);
  }

  readonly #listen: Listen = (wanted, limits, certificates, beginning = {}) => {
    const { address, port: wantedPort } = wanted;
    const tls = certificates.map(({ pem }) => pem);
    const {
      listener: handle,
      port,
      fd,
    } = usingCertificates(certificates, () =>
      this.#plane.listen({ address, port: wantedPort, tls, ...limits, ...beginning }),
    );
    // What came from the service manager still lies there; a port that was picked is not asked for again.
    if (beginning.fd === undefined && wantedPort !== 0) this.#options.service?.keepListener(fd, wanted);
    const facts = { listen: formatEndpoint({ address, port }), tls: tls.length > 0 };
    this.#options.log.info(facts, "viewers' front listens");
    return { wanted, handle, port, certificates };
  };

  readonly #listenAnywhere: Listen = (wanted, limits, certificates, beginning) => {
    try {
      return this.#listen(wanted, limits, certificates, beginning);
    } catch (error) {
      if (!(error instanceof SluiceError) || error.code !== 'ADDRESS_IN_USE') throw error;
      return this.#listen({ ...wanted, port: 0 }, limits, certificates, beginning);
    }
  };
}

function wantedOf({ listen, tls }: HttpConfig): Wanted[] {
  const secured = tls.map(({ listen: endpoint, certificates }) => ({ ...endpoint, files: certificates }));
  return [...listen.map((endpoint) => ({ ...endpoint, files: [] })), ...secured];
}

/** The key of the configuration under which it stands. */
function keyOf({ files }: Wanted): string {
  return files.length > 0 ? 'http.tls' : 'http.listen';
}

function sameText(a: readonly LoadedCertificate[], b: readonly LoadedCertificate[]): boolean {
  return JSON.stringify(a.map(({ pem }) => pem)) === JSON.stringify(b.map(({ pem }) => pem));
}

/** Takes the running listener of that address, with or without TLS as is, out of those that are still free. */
function takeKept(free: Listener[], wanted: Wanted): Listener | undefined {
  const at = free.findIndex(
    (one) =>
      one.wanted.address === wanted.address && one.wanted.port === wanted.port && keyOf(one.wanted) === keyOf(wanted),
  );
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
    headerSizeBytes: http.limits.header_size,
    minRate: http.limits.min_rate,
    clients: {
      connectionsPerAddress: http.limits.connections_per_address,
      requestsPerAddress: http.limits.requests_per_address,
      burst: http.limits.burst,
      requests: http.limits.requests,
      exempt: http.limits.exempt,
    },
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
