/** The composition root: configuration -> plane -> viewers' front -> channels -> flows -> admin. Nothing else knows all parts. */
import { hostname } from 'node:os';
import { join } from 'node:path';
import { createAdmin } from './admin/admin.js';
import { systemClock } from './base/clock.js';
import { describeError, SluiceError } from './base/errors.js';
import { settleHeap } from './base/heap.js';
import { type Logger, reloadableLog } from './base/log.js';
import { Metrics } from './base/metrics.js';
import { Registry } from './base/registry.js';
import { Reloader, type ReloadOutcome, type ReloadRequest } from './config/reload.js';
import { DeliveryService } from './delivery/service.js';
import { FlowService } from './flows/service.js';
import { LeaseBook, leaseFileSchema } from './membership/lease-book.js';
import { MembershipService } from './membership/service.js';
import { AccessLog } from './plane/access-log.js';
import type { PlaneApi } from './plane/contract.js';
import { openControlCapture } from './plane/control-capture.js';
import { ViewersFront } from './plane/front.js';
import { ensureKeeper } from './plane/keeper.js';
import { createPlane } from './plane/plane.js';
import { createRouter } from './plane/router.js';
import type { ServiceManager } from './plane/service-manager.js';
import { loadSettings, type Settings } from './settings.js';
import { StateFile } from './store/state-file.js';
import { readAuthorities } from './streams/authorities.js';
import { RelayService } from './streams/relay/service.js';
import { ChannelService } from './streams/service.js';
import { Guide } from './streams/source/guide.js';
import { Resolver } from './streams/source/resolver.js';
import { UpstreamRules } from './streams/source/upstream-rules.js';
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
  /** Brings everything to what the file says now, or changes nothing and throws; see {@link Reloader.reload}. */
  reload(request: ReloadRequest): Promise<ReloadOutcome>;
  /** Ends everything, in the opposite order of the start. Idempotent; never rejects. */
  close(): Promise<void>;
}

export interface DaemonOptions {
  readonly log: Logger;
  /** As in package.json. */
  readonly version: string;
  /** Keeps the listening sockets over a restart and watches over the process; none in the foreground. */
  readonly service?: ServiceManager | undefined;
  /** Whether a taken port of the viewers' front gives way to a free one (the demo) instead of failing. */
  readonly anyFreePort?: boolean;
  /** Where the settings came from, to be read again by a reload. */
  readonly file?: string;
  /** The log's level was set by the command line, which goes over the file. */
  readonly fixedLogLevel?: boolean;
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
  let withdrawing = false;
  const shared = { registry: new Registry(), metrics: new Metrics(), clock: systemClock };
  const rules = new UpstreamRules(settings.upstream, () => [...service.urls(), ...delivery.origins()]);
  const guide = new Guide(new Resolver(systemClock), rules, `Sluice/${version}`);
  const plane = createPlane({
    memoryBytes: settings.plane.memory,
    loops: settings.plane.loops,
    objectBytes: settings.objects.memory,
    largestObjectBytes: settings.objects.largest,
    authorities: await readAuthorities(settings.upstream),
    viaName: rules.viaName,
    log: log.child({ part: 'plane' }),
  });
  started.add('plane', () => plane.close());

  const front = new ViewersFront(plane, {
    ...shared,
    log,
    anyFreePort: options.anyFreePort ?? false,
    service: options.service,
  });
  const accessLog = new AccessLog(plane, shared.metrics);
  accessLog.open(settings);
  await front.open(settings);
  const delivery = new DeliveryService(plane, settings.sites, {
    ...shared,
    guide,
    log: log.child({ part: 'sites' }),
  });
  started.add('sites', () => delivery.stop());
  delivery.start();
  const relays = new RelayService(plane, settings, { ...shared, log: log.child({ part: 'relay' }) });
  started.add('relays', () => relays.stop());
  relays.start();
  const service = new ChannelService(plane, settings.channels, {
    ...shared,
    log: log.child({ part: 'streams' }),
    httpBase: () => front.url,
    others: () => relays.streams(),
    version,
    guide,
  });
  started.add('channels', () => service.stop());
  await service.start();
  const flows = new FlowService(plane.flows, settings.flows, {
    ...shared,
    log: log.child({ part: 'flows' }),
    cname: `sluice@${hostname()}`,
    findStream: (name) => {
      const stream = service.stream(name);
      return stream === null ? null : { stream, loop: plane.loopOf(stream) };
    },
  });
  started.add('flows', () => flows.stop());
  flows.start();

  const membership = new MembershipService(settings, {
    ...shared,
    log: log.child({ part: 'membership' }),
    createRouter,
    openControlCapture,
    ensureKeeper,
    service: options.service ?? null,
    leases: leaseBook(settings, options),
  });
  started.add('membership', () => membership.stop(withdrawing));
  await membership.start();

  started.add("viewers' front", () => front.close());
  front.serve();

  const reloader = new Reloader<Settings>({
    source: configFile(options.file),
    settings,
    parts: [
      accessLog,
      front,
      relays,
      service,
      delivery,
      flows,
      membership,
      reloadableLog(log, options.fixedLogLevel ?? false),
    ],
    log: log.child({ part: 'reload' }),
    metrics: shared.metrics,
    clock: shared.clock,
  });

  let onStop: (order: { readonly withdraw: boolean }) => void = () => {};
  const stopRequested = new Promise<{ readonly withdraw: boolean }>((resolve) => {
    onStop = resolve;
  });
  const admin = createAdmin(settings.admin, {
    ...shared,
    source: service,
    loops: plane.loops,
    planeLoops: () => plane.loopCounters(),
    log: log.child({ part: 'admin' }),
    version,
    reloader,
    sites: delivery,
    flows,
    subscribers: membership,
    controlCaptures: membership.controlCaptures,
    onStop: (withdraw) => {
      withdrawing = withdraw;
      onStop({ withdraw });
    },
  });
  started.add('admin', () => admin.stop());
  await admin.start();

  // Added last, ended first: what ends must not be changed meanwhile.
  started.add('reload', () => reloader.close());
  reloader.open();
  log.info(
    { version, admin: admin.url, viewers: front.url, channels: settings.channels.length, flows: settings.flows.length },
    'daemon is up',
  );
  started.add('heap', settleHeap());
  options.service?.watch(loopsMove(plane));
  options.service?.ready(
    `serving ${settings.channels.length} channels at ${front.url}, ${settings.flows.length} flows`,
  );
  return {
    adminUrl: admin.url,
    viewersUrl: front.url,
    channels: () => service.channels(),
    stopRequested,
    reload: (request) => reloader.reload(request),
    close: () => started.closeAll(),
  };
}

function leaseBook(settings: Settings, { log, service }: DaemonOptions): LeaseBook {
  const folder = settings.store.folder ?? service?.stateFolder;
  const file = folder === undefined ? null : new StateFile(join(folder, 'leases.json'), leaseFileSchema);
  return new LeaseBook({ clock: systemClock, log: log.child({ part: 'membership' }), file });
}

function configFile(file: string | undefined): { file: string; load: () => Promise<Settings> } | null {
  return file === undefined ? null : { file, load: () => loadSettings(file) };
}

/** Tells whether every loop of the plane has turned since it was last asked: they count once a second at least. */
function loopsMove(plane: PlaneApi): () => boolean {
  let last: readonly number[] = [];
  return () => {
    const now = plane.loopCounters().map(({ wakeups }) => wakeups);
    const moved = now.every((wakeups, loop) => wakeups !== last[loop]);
    last = now;
    return moved;
  };
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
