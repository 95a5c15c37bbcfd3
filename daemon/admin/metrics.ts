import { readdir } from 'node:fs/promises';
import { Gauge, Summary } from 'prom-client';
import type { Metrics, Sample } from '../base/metrics.js';
import type { LoopCounters } from '../plane/contract.js';
import type { DelaySummary, LoopDelay } from './loop-delay.js';

const LOOP_DELAY = 'sluice_event_loop_delay_seconds';

/** What the admin room itself measures: the event loop, the plane's loops, the process. */
export interface SelfSources {
  readonly loopDelay: LoopDelay;
  readonly planeLoops: () => readonly LoopCounters[];
}

/** Offers the daemon's own metrics. */
export function offerSelfMetrics(metrics: Metrics, { loopDelay, planeLoops }: SelfSources): void {
  registerDelay(metrics, loopDelay);
  offerPlaneLoops(metrics, planeLoops);
  offerProcess(metrics);
}

/** A summary whose quantiles were measured by Node itself instead of being observed one by one. */
class MeasuredSummary extends Summary {
  read: () => DelaySummary = () => ({ count: 0, mean: 0, p50: 0, p90: 0, p99: 0, max: 0 });

  override async get(): ReturnType<Summary['get']> {
    const now = this.read();
    const quantiles = [
      ['0.5', now.p50],
      ['0.9', now.p90],
      ['0.99', now.p99],
      ['1', now.max],
    ] as const;
    return { ...(await super.get()), values: quantiles.map(([quantile, value]) => ({ labels: { quantile }, value })) };
  }
}

function registerDelay(metrics: Metrics, loopDelay: LoopDelay): void {
  const summary = new MeasuredSummary({
    name: LOOP_DELAY,
    help: 'How late the JavaScript event loop was over the last 30 to 60 seconds, by quantile.',
    registers: [metrics.registry],
  });
  summary.read = () => loopDelay.lastMinute;
}

function offerPlaneLoops(metrics: Metrics, planeLoops: () => readonly LoopCounters[]): void {
  const each = (labels: Record<string, string>, read: (counters: LoopCounters) => number) => (): Sample[] =>
    planeLoops().map((counters, loop) => ({ labels: { loop: String(loop), ...labels }, value: read(counters) }));
  metrics.gauge({
    name: 'sluice_plane_loop_seconds',
    help: 'Worst lateness of a departure in a native loop since its running second began.',
    labels: ['loop', 'quantile'],
    read: each({ quantile: '1' }, (c) => c.timerLateNsMax / 1e9),
  });
  const totals = [
    ['busy_seconds', 'Time that a native loop thread worked.', (c: LoopCounters) => c.busyNs / 1e9],
    ['wakeups', 'Times that a native loop thread woke.', (c: LoopCounters) => c.wakeups],
    ['events', 'Socket and timer events that a native loop thread handled.', (c: LoopCounters) => c.events],
  ] as const;
  for (const [name, help, read] of totals) {
    metrics.counter({
      name: `sluice_plane_loop_${name}_total`,
      help,
      labels: ['loop'],
      read: each({}, read),
    });
  }
}

/** The names are Prometheus' own for any process. */
function offerProcess(metrics: Metrics): void {
  const started = Date.now() / 1e3 - process.uptime();
  const cpu = (): number => (process.cpuUsage().user + process.cpuUsage().system) / 1e6;
  const single = (value: number) => [{ labels: {}, value }];
  metrics.counter({ name: 'process_cpu_seconds_total', help: 'User and system CPU time.', read: () => single(cpu()) });
  metrics.gauge({
    name: 'process_start_time_seconds',
    help: 'Start, seconds since 1970.',
    read: () => single(started),
  });
  metrics.gauge({
    name: 'process_resident_memory_bytes',
    help: 'Resident memory.',
    read: () => single(process.memoryUsage.rss()),
  });
  metrics.gauge({
    name: 'nodejs_heap_size_used_bytes',
    help: 'JavaScript heap in use.',
    read: () => single(process.memoryUsage().heapUsed),
  });
  const descriptors: Gauge = new Gauge({
    name: 'process_open_fds',
    help: 'Open file descriptors.',
    registers: [metrics.registry],
    collect: async () => descriptors.set((await readdir('/proc/self/fd')).length),
  });
}
