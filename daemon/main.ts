/** The composition root: configuration -> plane -> viewers' front -> channels -> admin. Nothing else knows all parts. */
import { networkInterfaces } from 'node:os';
import { createAdmin } from './admin/admin.js';
import { systemClock } from './base/clock.js';
import { describeError, SluiceError } from './base/errors.js';
import type { Logger } from './base/log.js';
import { Metrics } from './base/metrics.js';
import { Registry } from './base/registry.js';
import { type Endpoint, formatEndpoint } from './config/units.js';
import { DeliveryService } from './delivery/service.js';
import type { PlaneApi } from './plane/contract.js';
import { createPlane } from './plane/plane.js';
import { isWildcard, type Settings } from './settings.js';
import { ChannelService } from './streams/service.js';
import { Resolver } from './streams/source/resolver.js';
import type { ChannelStatus } from './streams/status.js';

/** A running daemon. */
export interface Daemon {
  /** `http://127.0.0.1:9480`: control API and status page. */
  readonly adminUrl: string;
  /** `http://192.0.2.1:8080`: where viewers reach the first listener. */
  readonly viewersUrl: string;
  /** All configured channels, as they are now. */
  channels(): readonly ChannelStatus[];
  /** Resolves when somebody asks by the admin API that the daemon ends. */
  readonly stopRequested: Promise<{ readonly withdraw: boolean }>;
  /** Ends everything, in the opposite order of the start. Idempotent; never rejects. */
  close(): Promise<void>;
}

export interface DaemonOptions {
  readonly log: Logger;
  /** As in package.json. */
  readonly version: string;
  /** Whether a taken port of the viewers' front gives way to a free one (the demo) instead of failing. */
  readonly anyFreePort?: boolean;
}

/** What has been started, to be ended in the opposite order. */
class Started {
  readonly #closers: { readonly part: string; readonly close: () => Promise<void> | void }[] = [];
  #closing: Promise<void> | undefined;

  constructor(private readonly log: Logger) {}

  add(part: string, close: () => Promise<void> | void): void {
    this.#closers.unshift({ part, close });
  }

  closeAll(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    for (const { part, close } of this.#closers) {
      try {
        await close();
      } catch (error) {
        // The others must still be ended.
        this.log.error({ part, err: error }, 'did not end cleanly');
      }
    }
  }
}

/**
 * Starts a daemon: returns when it listens; channels come up by themselves.
 * @throws SluiceError of the part that could not start; what had been started is ended again
 */
export async function startDaemon(settings: Settings, options: DaemonOptions): Promise<Daemon> {
  const started = new Started(options.log);
  try {
    return await startParts(settings, options, started);
  } catch (error) {
    await started.closeAll();
    throw error;
  }
}

async function startParts(settings: Settings, options: DaemonOptions, started: Started): Promise<Daemon> {
  const { log, version } = options;
  const shared = { registry: new Registry(), metrics: new Metrics(), clock: systemClock };
  const plane = createPlane({
    memoryBytes: settings.plane.memory,
    objectBytes: settings.objects.memory,
    largestObjectBytes: settings.objects.largest,
    log: log.child({ part: 'plane' }),
  });
  started.add('plane', () => plane.close());

  const viewersUrl = openViewersFront(plane, settings, options);
  const service = new ChannelService(plane, settings.channels, {
    ...shared,
    log: log.child({ part: 'streams' }),
    httpBase: viewersUrl,
    version,
  });
  started.add('channels', () => service.stop());
  await service.start();

  const delivery = new DeliveryService(plane, settings.sites, {
    ...shared,
    resolver: new Resolver(systemClock),
    log: log.child({ part: 'sites' }),
    version,
  });
  started.add('sites', () => delivery.stop());
  delivery.start();

  let onStop: (order: { readonly withdraw: boolean }) => void = () => {};
  const stopRequested = new Promise<{ readonly withdraw: boolean }>((resolve) => {
    onStop = resolve;
  });
  const admin = createAdmin(settings.admin, {
    ...shared,
    source: service,
    planeLoop: () => plane.loopCounters(),
    log: log.child({ part: 'admin' }),
    version,
    onStop: (withdraw) => onStop({ withdraw }),
  });
  started.add('admin', () => admin.stop());
  await admin.start();

  log.info({ version, admin: admin.url, viewers: viewersUrl, channels: settings.channels.length }, 'daemon is up');
  return {
    adminUrl: admin.url,
    viewersUrl,
    channels: () => service.channels(),
    stopRequested,
    close: () => started.closeAll(),
  };
}

/** Opens the viewers' listeners; returns the URL under which the first is reached. The plane's end closes them. */
function openViewersFront(plane: PlaneApi, { http }: Settings, { log, anyFreePort = false }: DaemonOptions): string {
  const urls = http.listen.map((endpoint) => {
    const limits = {
      maxConnections: http.max_connections,
      headerTimeoutMs: http.header_timeout,
      idleTimeoutMs: http.idle_timeout,
      stallTimeoutMs: http.stall_timeout,
      sendBufferBytes: http.send_buffer,
      viewerLagMs: http.max_lag,
    };
    const listen = (wanted: Endpoint): number => plane.listen({ ...wanted, ...limits }).port;
    const port = anyFreePort ? withFreePort(listen, endpoint) : listen(endpoint);
    log.info({ listen: formatEndpoint({ ...endpoint, port }) }, "viewers' front listens");
    return `http://${formatEndpoint({ address: reachable(endpoint.address), port })}`;
  });
  const [first] = urls;
  if (first === undefined) throw new SluiceError('CONFIG_INVALID', 'http.listen: expected at least one address');
  return first;
}

function withFreePort(listen: (endpoint: Endpoint) => number, endpoint: Endpoint): number {
  try {
    return listen(endpoint);
  } catch (error) {
    if (!(error instanceof SluiceError) || error.code !== 'ADDRESS_IN_USE') throw error;
    return listen({ ...endpoint, port: 0 });
  }
}

/** An address that stands in URLs for what is listened on: for "all addresses" the first that other machines reach. */
function reachable(address: string): string {
  if (!isWildcard(address)) return address;
  const family = address.includes(':') ? 'IPv6' : 'IPv4';
  const all = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  const outside = all.find((one) => one.family === family && !one.internal && !one.address.startsWith('fe80:'));
  return outside?.address ?? (family === 'IPv6' ? '::1' : '127.0.0.1');
}

/** What a process does about errors that nobody caught: tells them by code and ends with 1, never silently. */
export function exitOnUncaught(log: Logger): void {
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
    process.on(event, (error: unknown) => {
      const code = error instanceof SluiceError ? error.code : 'INTERNAL';
      log.fatal({ code, err: error }, `${event}: ${describeError(error)}`);
      process.exit(1);
    });
  }
}
