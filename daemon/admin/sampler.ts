import { hostname } from 'node:os';
import type { Clock, Timer } from '../base/clock.js';
import type { FlowTotals } from '../flows/status.js';
import type { LoopCounters, PlaneLoop } from '../plane/contract.js';
import type { RenditionStatus } from '../streams/status.js';
import { LoopDelay } from './loop-delay.js';
import { loopStatus } from './loops.js';
import type { DaemonStatus, HistoryPoint, LiveSnapshot, LoopStatus } from './model.js';
import { RateWindow } from './page/rate-window.js';
import type { StatusSource } from './source.js';

/** Seconds of history kept for the chart. */
export const HISTORY_SECONDS = 300;

export interface SamplerOptions {
  readonly source: Pick<StatusSource, 'channels'>;
  readonly flows: { totals(): FlowTotals };
  readonly loops: readonly PlaneLoop[];
  readonly planeLoops: () => readonly LoopCounters[];
  readonly clock: Clock;
  readonly version: string;
}

/** Reads everything once a second and keeps the last few minutes of it; however many ask, they get the same snapshot. */
export class Sampler {
  readonly loopDelay = new LoopDelay();
  readonly history: HistoryPoint[] = [];
  readonly #options: SamplerOptions;
  readonly #listeners = new Set<(snapshot: LiveSnapshot) => void>();
  readonly #startedMs: number;
  readonly #rateIn = new RateWindow();
  readonly #rateOut = new RateWindow();
  #sampledMs: number;
  #snapshot: LiveSnapshot;
  #timer: Timer | undefined;

  constructor(options: SamplerOptions) {
    this.#options = options;
    this.#startedMs = options.clock.now();
    this.#sampledMs = this.#startedMs;
    this.#snapshot = this.#take();
  }

  /** The newest snapshot, at most a second old while the sampler runs. */
  get snapshot(): LiveSnapshot {
    return this.#snapshot;
  }

  /** Samples once a second; does not keep the process alive. */
  start(): void {
    this.#timer ??= this.#options.clock.setInterval(() => this.sample(), 1000, false);
  }

  /** Ends the sampling and the probe of the event loop. Idempotent. */
  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.loopDelay.close();
  }

  /** Calls `listener` with every new snapshot; returns the function that ends it. */
  onSnapshot(listener: (snapshot: LiveSnapshot) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** The loops of the plane: each tells of the last second that it measured. */
  loops(): LoopStatus[] {
    const { loops, planeLoops } = this.#options;
    const renditions = this.#snapshot.channels.flatMap((channel) => channel.renditions);
    return planeLoops().flatMap((counters, loop) => {
      const at = loops[loop];
      return at === undefined ? [] : [loopStatus({ at, counters }, loop, renditions)];
    });
  }

  /** Takes a snapshot now. */
  sample(): void {
    const now = this.#options.clock.now();
    const seconds = (now - this.#sampledMs) / 1e3;
    if (seconds <= 0) return;
    this.#sampledMs = now;
    this.loopDelay.tick();
    this.#snapshot = this.#take();
    const { bitsInPerSecond, bitsOutPerSecond, viewers } = this.#snapshot.status.totals;
    this.history.push({
      time: Math.round(this.#options.clock.wall() / 1e3),
      bitsIn: bitsInPerSecond,
      bitsOut: bitsOutPerSecond,
      viewers,
    });
    if (this.history.length > HISTORY_SECONDS) this.history.shift();
    for (const listener of this.#listeners) listener(this.#snapshot);
  }

  #take(): LiveSnapshot {
    const channels = this.#options.source.channels();
    const renditions = channels.flatMap((channel) => channel.renditions);
    return { status: this.#status(renditions), channels };
  }

  #status(renditions: readonly RenditionStatus[]): DaemonStatus {
    const { clock, version, planeLoops } = this.#options;
    const loops = planeLoops();
    const memory = process.memoryUsage();
    const { mean, p99, max } = this.loopDelay.lastSecond;
    return {
      version,
      pid: process.pid,
      host: hostname(),
      time: new Date(clock.wall()).toISOString(),
      uptimeSeconds: (clock.now() - this.#startedMs) / 1e3,
      memory: {
        residentBytes: memory.rss,
        heapUsedBytes: memory.heapUsed,
        ringBytes: sum(renditions, (r) => r.ring.sizeBytes),
      },
      eventLoopDelayMs: { mean: mean * 1e3, p99: p99 * 1e3, max: max * 1e3 },
      planeLoop: {
        lateMs: most(loops, (loop) => loop.timerLateNsMax) / 1e6,
        busyRatio: Math.min(1, most(loops, (loop) => loop.busyPermille) / 1e3),
      },
      totals: this.#totals(renditions),
    };
  }

  #totals(renditions: readonly RenditionStatus[]): DaemonStatus['totals'] {
    const now = this.#options.clock.now();
    const flows = this.#options.flows.totals();
    const bytesIn = sum(renditions, (r) => r.input.bytes) + flows.bytesIn;
    const bytesOut = sum(renditions, (r) => r.viewers.bytes + (r.multicast?.bytes ?? 0)) + flows.bytesOut;
    return {
      bytesIn,
      bytesOut,
      bitsInPerSecond: this.#rateIn.push(now, bytesIn),
      bitsOutPerSecond: this.#rateOut.push(now, bytesOut),
      viewers: sum(renditions, (r) => r.viewers.continuous + r.viewers.hls),
      connections: sum(renditions, (r) => r.source.connections),
      drops: sum(renditions, (r) => r.ring.fullDrops + r.viewers.drops + (r.multicast?.drops ?? 0)) + flows.drops,
    };
  }
}

/** The largest of a figure; 0 of none. */
function most<T>(items: readonly T[], value: (item: T) => number): number {
  return items.reduce((largest, item) => Math.max(largest, value(item)), 0);
}

/** The sum of a figure over all renditions. */
function sum<T>(items: readonly T[], value: (item: T) => number): number {
  return items.reduce((total, item) => total + value(item), 0);
}
