import { pino } from 'pino';
import { type Admin, createAdmin } from '../../daemon/admin/admin.js';
import type { AdminContext } from '../../daemon/admin/context.js';
import type { AdminConfig } from '../../daemon/admin/settings.js';
import type { StatusSource } from '../../daemon/admin/source.js';
import { systemClock } from '../../daemon/base/clock.js';
import { SluiceError } from '../../daemon/base/errors.js';
import { Metrics } from '../../daemon/base/metrics.js';
import { Registry } from '../../daemon/base/registry.js';
import { type ConfigFile, Reloader } from '../../daemon/config/reload.js';
import { LeaseBook } from '../../daemon/membership/lease-book.js';
import { MembershipService } from '../../daemon/membership/service.js';
import { membershipSchema } from '../../daemon/membership/settings.js';
import { openControlCapture } from '../../daemon/plane/control-capture.js';
import { ensureKeeper } from '../../daemon/plane/keeper.js';
import { createRouter } from '../../daemon/plane/router.js';
import type { ChannelStatus, RenditionState, RenditionStatus, ViewerStatus } from '../../daemon/streams/status.js';
import { flow, ServiceBed } from '../flows/recorder.js';

/** What a rendition of the test is like; the rest follows from it. */
export interface RenditionPlan {
  readonly id: string;
  readonly state?: RenditionState;
  readonly reason?: string;
  readonly code?: string;
  /** Bits a second in. */
  readonly bitrate?: number;
  readonly multicast?: boolean;
  readonly continuous?: number;
  readonly hls?: number;
  readonly drops?: number;
}

export interface ChannelPlan {
  readonly id: string;
  readonly name: string;
  readonly renditions: readonly RenditionPlan[];
}

/** Channels whose counters grow with the time, as a plane's do. Plans may be changed while they are read. */
export class PlannedSource implements StatusSource {
  readonly #began = performance.now();

  constructor(
    public plans: readonly ChannelPlan[],
    private readonly base = 'http://127.0.0.1:8080',
  ) {}

  channels(): readonly ChannelStatus[] {
    const seconds = (performance.now() - this.#began) / 1000;
    return this.plans.map(({ id, name, renditions: plans }) => {
      const renditions = plans.map((plan) => renditionOf(id, plan, seconds, this.base));
      const flowing = renditions.filter((rendition) => rendition.state === 'flowing').length;
      return {
        id,
        name,
        state: flowing === 0 ? 'down' : flowing === renditions.length ? 'flowing' : 'degraded',
        viewers: renditions.reduce((sum, r) => sum + r.viewers.continuous + r.viewers.hls, 0),
        connections: renditions.reduce((sum, r) => sum + r.source.connections, 0),
        hls: `${this.base}/live/${id}/index.m3u8`,
        renditions,
      };
    });
  }

  viewers(): Promise<readonly ViewerStatus[]> {
    const seconds = (performance.now() - this.#began) / 1000;
    const streams = this.channels().flatMap((channel) => channel.renditions);
    const viewers = streams.flatMap((rendition) =>
      Array.from({ length: Math.min(rendition.viewers.continuous, 30) }, (_, index) => ({
        id: index + 1 + rendition.stream.length * 1000,
        stream: rendition.stream,
        remote: `192.0.2.${index + 1}:${40_000 + index}`,
        userAgent: index % 2 === 0 ? 'VLC/3.0.20 LibVLC/3.0.20' : 'Lavf/59.27.100',
        connectedSeconds: seconds + index * 61,
        bytes: Math.round((rendition.bitrate / 8) * (seconds + index * 61)),
        drops: index === 3 ? 2 : 0,
        lagBytes: index === 3 ? 1_900_000 : 12_000 + index * 700,
      })),
    );
    return Promise.resolve(viewers);
  }

  why(id: string): ReturnType<StatusSource['why']> {
    const channel = this.channels().find((one) => one.id === id);
    return (
      channel && {
        channel: id,
        state: channel.state,
        renditions: channel.renditions.map(({ id: rendition, state, reason }) => ({
          rendition,
          state,
          steps: [{ step: 'source', ok: state === 'flowing', says: reason ?? 'the source delivers' }],
        })),
      }
    );
  }
}

function smoothingOf(active: boolean, bits: number): RenditionStatus['smoothing'] {
  return {
    thresholdPercent: 20,
    maxDelayMs: 200,
    active,
    meanRate: bits,
    variationPercent: active ? 80 : 0,
    peakRate: bits * 1.8,
    outputPeakRate: bits * 1.1,
    delayMs: active ? 120 : 0,
    delayMaxMs: active ? 190 : 0,
  };
}

function renditionOf(channel: string, plan: RenditionPlan, seconds: number, base: string): RenditionStatus {
  const { id, state = 'flowing', reason = null, code = null, bitrate = 3e6 } = plan;
  const flowing = state === 'flowing';
  const bits = flowing ? Math.round(bitrate * (1 + 0.15 * Math.sin(seconds / 4) + 0.05 * Math.sin(seconds * 2.1))) : 0;
  const total = flowing ? Math.round((bitrate / 8) * (seconds + 3600)) : 123_456;
  const count = flowing ? (plan.continuous ?? 0) + (plan.hls ?? 0) : (plan.continuous ?? 0);
  const size = 32 * 2 ** 20;
  return {
    id,
    stream: `${channel}/${id}`,
    state,
    code,
    reason,
    since: Date.now() - 60_000,
    ready: flowing,
    loop: 0,
    bitrate: bits,
    source: {
      url: `http://origin.example/live/${channel}/${id}.m3u8?token=abc`,
      kind: 'hls',
      connections: flowing ? 1 : 0,
      connects: flowing ? 1 : 7,
      requests: { playlist: Math.round(seconds / 2) + 900, segment: Math.round(seconds / 2) + 890, key: 0, stream: 0 },
      retries: flowing ? 0 : 6,
      segmentsSkipped: 0,
    },
    input: {
      bytes: total,
      packets: Math.round(total / 1316),
      bitsPerSecond: bits,
      syncErrors: 0,
      continuityErrors: flowing ? 0 : 3,
      transportErrors: 0,
      discontinuities: 1,
      lastInputAgeMs: flowing ? 31 : 74_000,
    },
    repair: null,
    ring: {
      usedBytes: flowing ? Math.round(size * (0.4 + 0.1 * Math.sin(seconds / 9))) : 0,
      sizeBytes: size,
      bufferLevelMs: flowing ? 310 : 0,
      underruns: 0,
      fullDrops: 0,
      clockPpm: flowing ? 3.2 : 0,
    },
    smoothing: smoothingOf(flowing, bits),
    multicast:
      plan.multicast === false
        ? null
        : {
            url: `rtp://239.1.1.${id.length}:5000`,
            interface: 'eth1',
            packets: Math.round(total / 1316),
            bytes: total,
            bitsPerSecond: bits,
            drops: 0,
            errors: 0,
            segmentation: true,
            repair: null,
            fault: null,
          },
    viewers: {
      continuous: plan.continuous ?? 0,
      hls: plan.hls ?? 0,
      bytes: total * count,
      bitsPerSecond: bits * count,
      drops: plan.drops ?? 0,
      dropBytes: (plan.drops ?? 0) * 188_000,
    },
    urls: {
      hls: `${base}/live/${channel}/${id}/index.m3u8`,
      ts: `${base}/live/${channel}/${id}.ts`,
      sdp: plan.multicast === false ? null : `${base}/live/${channel}/${id}.sdp`,
    },
  };
}

/** Two channels: one whole, one with a rendition that waits for its source. */
export const TWO_CHANNELS: readonly ChannelPlan[] = [
  {
    id: 'news',
    name: 'News',
    renditions: [
      { id: 'high', bitrate: 3.2e6, continuous: 6, hls: 3 },
      { id: 'low', bitrate: 0.8e6, continuous: 2, hls: 1, multicast: false },
    ],
  },
  {
    id: 'sport',
    name: 'Sport 1',
    renditions: [
      { id: 'main', bitrate: 5e6, continuous: 12, hls: 40, drops: 2 },
      {
        id: 'alt',
        state: 'retrying',
        code: 'UPSTREAM_CONNECT',
        reason: 'cannot connect to 192.0.2.7:80 (connection refused); next attempt in 4 s',
      },
    ],
  },
];

/** An admin room in front of planned channels. */
export interface Harness {
  readonly admin: Admin;
  readonly source: PlannedSource;
  readonly registry: Registry;
  readonly metrics: Metrics;
  /** The arguments of the calls of onStop. */
  readonly stops: boolean[];
  /** Lines of the log. */
  readonly logs: string[];
  readonly close: () => Promise<void>;
}

/** What an admin room works with, in front of planned channels. */
export function plannedContext(
  source: StatusSource,
  logs: string[],
  stops: boolean[],
  file: ConfigFile<object> | null = null,
): AdminContext {
  const metrics = new Metrics();
  const log = pino({ level: 'info' }, { write: (line) => void logs.push(line) });
  const reloader = new Reloader({ source: file, settings: {}, parts: [], log, clock: systemClock, metrics });
  reloader.open();
  const membership = new MembershipService(
    { interfaces: [], membership: membershipSchema.parse({}) },
    {
      registry: new Registry(),
      metrics,
      clock: systemClock,
      log,
      createRouter,
      openControlCapture,
      ensureKeeper,
      service: null,
      leases: new LeaseBook({ clock: systemClock, log, file: null }),
    },
  );
  return {
    source,
    loops: [{ name: 'sluice-loop0', cpu: null }],
    planeLoops: () => [
      {
        wakeups: 1000,
        events: 2000,
        busyNs: performance.now() * 20_000,
        timerLateNsMax: 180_000,
        commands: 3,
        busyPermille: 20,
        wakeupsPerSecond: 900,
        measured: 7,
      },
    ],
    registry: new Registry(),
    metrics,
    clock: systemClock,
    log,
    version: '0.0.0-test',
    reloader,
    onStop: (withdraw) => void stops.push(withdraw),
    flows: new ServiceBed([flow('studio-a', 5004, [6000, 6001])]).service,
    sites: {
      purge(id, path) {
        if (id !== 'vod') throw new SluiceError('NOT_FOUND', `there is no site ${id}`, { site: id });
        return path.length;
      },
    },
    subscribers: membership,
    controlCaptures: membership.controlCaptures,
  };
}

/** A real admin server on a free port; no Unix socket unless named. */
export async function startHarness(
  source: PlannedSource = new PlannedSource(TWO_CHANNELS),
  config: AdminConfig = { listen: { address: '127.0.0.1', port: 0 }, socket: null },
  file: ConfigFile<object> | null = null,
): Promise<Harness> {
  const [stops, logs] = [[] as boolean[], [] as string[]];
  const context = plannedContext(source, logs, stops, file);
  const { registry, metrics } = context;
  const admin = createAdmin(config, context);
  await admin.start();
  return { admin, source, registry, metrics, stops, logs, close: () => admin.stop() };
}
