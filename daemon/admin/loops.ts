import type { Row } from '../base/registry.js';
import type { LoopCounters, PlaneLoop } from '../plane/contract.js';
import type { RenditionStatus } from '../streams/status.js';
import type { LoopStatus } from './model.js';

/** Columns of `show loops`. */
export const LOOP_COLUMNS = ['loop', 'cpu', 'streams', 'viewers', 'wakeups_s', 'busy_percent', 'late_ms'];

interface Loop {
  readonly at: PlaneLoop;
  readonly counters: LoopCounters;
}

/** What a loop has, and had to do in the last second that it measured. */
export function loopStatus({ at, counters }: Loop, loop: number, renditions: readonly RenditionStatus[]): LoopStatus {
  const here = renditions.filter((rendition) => rendition.loop === loop);
  return {
    loop,
    thread: at.name,
    cpu: at.cpu,
    streams: here.length,
    viewers: here.reduce((sum, { viewers }) => sum + viewers.continuous + viewers.hls, 0),
    wakeupsPerSecond: counters.wakeupsPerSecond,
    busyRatio: Math.min(1, counters.busyPermille / 1e3),
    lateMs: counters.timerLateNsMax / 1e6,
  };
}

/** The line of a loop in `show loops`. */
export function loopRow({ loop, cpu, streams, viewers, wakeupsPerSecond, busyRatio, lateMs, thread }: LoopStatus): Row {
  return {
    loop,
    cpu,
    streams,
    viewers,
    wakeups_s: wakeupsPerSecond,
    busy_percent: Math.round(busyRatio * 1000) / 10,
    late_ms: Math.round(lateMs * 1000) / 1000,
    thread,
  };
}
