import type { DashRange, Manifest, Period, Representation, SegmentInfo, TimelineRun } from './manifest.js';
import { fillTemplate } from './template.js';

/** A media segment that can be asked for. */
export interface DashSegment {
  readonly number: number;
  /** What `$Time$` stands for, in units of the timescale. */
  readonly time: bigint;
  /** From the start of the presentation. */
  readonly startMs: number;
  readonly durationMs: number;
  /** Absolute, by the first base URL. */
  readonly url: string;
  readonly range: DashRange | null;
  /** False while it is still being made and served as it grows (availabilityTimeComplete="false"). */
  readonly isComplete: boolean;
}

/** Consecutive segments: a run of a timeline, or all of a `@duration`. */
interface Run extends Omit<TimelineRun, 'count'> {
  readonly count: number;
  /** Of the first, from the start of the period. */
  readonly offsetMs: number;
  readonly segmentMs: number;
}

/** The part of a period, in milliseconds from its start, whose segments are wanted. */
interface Window {
  /** Segments that end by then are gone. */
  readonly from: number;
  /** Segments that end later cannot be asked for yet. */
  readonly to: number;
  /** Segments that begin then or later belong to the next period. */
  readonly end: number;
  /** What has been made in full. */
  readonly complete: number;
}

/** Segments that have numbers. */
type Numbered = Exclude<SegmentInfo, { kind: 'base' }>;

/** Rounding of seconds to milliseconds and back must not hide a segment. */
const TOLERANCE_MS = 0.01;

/**
 * The segments of a representation that can be asked for at a time, oldest first (section 5.3.9.5.3): all of a static
 * presentation, of a dynamic one those within the time shift buffer up to the live edge.
 * @param nowMs milliseconds since 1970
 * @param most so many at most: the first of a static presentation, the newest of a dynamic one
 */
export function availableSegments(
  manifest: Manifest,
  period: Period,
  representation: Representation,
  nowMs: number,
  most = 10_000,
): DashSegment[] {
  const { segments: info } = representation;
  if (info === null || info.kind === 'base' || period.startMs === null) return [];
  const window = windowAt(manifest, period, representation, info, nowMs);
  const runs = runsOf(info, window, manifest.isDynamic);
  const chosen = manifest.isDynamic ? newest(runs, most) : oldest(runs, most);
  return chosen.flatMap((run) =>
    Array.from({ length: run.count }, (_, index) => segmentOf(period, representation, info, run, index, window)),
  );
}

function windowAt(
  manifest: Manifest,
  period: Period,
  representation: Representation,
  info: Numbered,
  nowMs: number,
): Window {
  const end = period.durationMs ?? Number.POSITIVE_INFINITY;
  if (!manifest.isDynamic)
    return { from: Number.NEGATIVE_INFINITY, to: Number.POSITIVE_INFINITY, end, complete: Number.POSITIVE_INFINITY };
  const base = representation.baseUrls[0];
  const elapsed = nowMs - (manifest.availabilityStartMs ?? 0) - (period.startMs ?? 0);
  const early = (base?.availabilityTimeOffset ?? 0) + info.availabilityTimeOffset;
  const from = manifest.timeShiftBufferMs === null ? Number.NEGATIVE_INFINITY : elapsed - manifest.timeShiftBufferMs;
  return { from, to: elapsed + early * 1000, end, complete: elapsed };
}

/** What of the runs is within the window. */
function runsOf(info: Numbered, window: Window, isDynamic: boolean): Run[] {
  const written =
    info.timeline === null ? [byDuration(info, window)] : info.timeline.map((run) => byTimeline(info, run));
  return written.flatMap((run) => {
    const { offsetMs, segmentMs } = run;
    const upTo = (ms: number, round: (n: number) => number): number => round((ms - offsetMs) / segmentMs);
    const bounds = [
      run.count ?? Number.POSITIVE_INFINITY,
      upTo(window.end - TOLERANCE_MS, Math.ceil),
      info.endNumber === null ? Number.POSITIVE_INFINITY : info.endNumber - run.number + 1,
      info.kind === 'list' ? info.segments.length - (run.number - info.startNumber) : Number.POSITIVE_INFINITY,
    ];
    if (isDynamic) bounds.push(upTo(window.to + TOLERANCE_MS, Math.floor));
    // What may be asked for at any time, and has no end, is listed as far as it has been made.
    const last = bounds.some(Number.isFinite) ? Math.min(...bounds) : upTo(window.complete, Math.floor);
    const first = Math.max(0, upTo(window.from + TOLERANCE_MS, Math.floor));
    if (!(last > first) || !Number.isSafeInteger(last)) return [];
    return [cut(run, first, last - first)];
  });
}

type OpenRun = Omit<Run, 'count'> & { readonly count: number | null };

/** `count` of the run's segments from the index `first` on. */
function cut(run: OpenRun, first: number, count: number): Run {
  return {
    ...run,
    time: run.time + BigInt(first) * BigInt(run.duration),
    number: run.number + first,
    offsetMs: run.offsetMs + first * run.segmentMs,
    count,
  };
}

function byDuration(info: Numbered, { end }: Window): OpenRun {
  const start = { time: 0n, number: info.startNumber, offsetMs: 0 };
  // With neither a duration nor a timeline there is exactly one segment.
  if (info.duration === null) return { ...start, duration: 0, count: 1, segmentMs: end };
  return { ...start, duration: info.duration, count: null, segmentMs: (info.duration / info.timescale) * 1000 };
}

function byTimeline(info: Numbered, run: TimelineRun): OpenRun {
  const offsetMs = (Number(run.time - info.presentationTimeOffset) / info.timescale) * 1000;
  return { ...run, offsetMs, segmentMs: (run.duration / info.timescale) * 1000 };
}

function oldest(runs: readonly Run[], most: number): Run[] {
  let room = most;
  return runs.flatMap((run) => {
    const count = Math.min(room, run.count);
    room -= count;
    return count > 0 ? [cut(run, 0, count)] : [];
  });
}

function newest(runs: readonly Run[], most: number): Run[] {
  let room = most;
  return runs
    .toReversed()
    .flatMap((run) => {
      const count = Math.min(room, run.count);
      room -= count;
      return count > 0 ? [cut(run, run.count - count, count)] : [];
    })
    .toReversed();
}

function segmentOf(
  period: Period,
  representation: Representation,
  info: Numbered,
  run: Run,
  index: number,
  window: Window,
): DashSegment {
  const number = run.number + index;
  const time = run.time + BigInt(index) * BigInt(run.duration);
  const offsetMs = run.offsetMs + index * run.segmentMs;
  const endMs = Math.min(offsetMs + run.segmentMs, info.timeline === null ? window.end : Number.POSITIVE_INFINITY);
  return {
    number,
    time,
    startMs: (period.startMs ?? 0) + offsetMs,
    durationMs: endMs - offsetMs,
    ...placeOf(representation, info, number, time),
    isComplete: endMs <= window.complete + TOLERANCE_MS,
  };
}

function placeOf(
  representation: Representation,
  info: Numbered,
  number: number,
  time: bigint,
): Pick<DashSegment, 'url' | 'range'> {
  const base = representation.baseUrls[0]?.url ?? '';
  if (info.kind === 'list') return info.segments[number - info.startNumber] ?? { url: base, range: null };
  const { id: representationId, bandwidth } = representation;
  const reference = fillTemplate(info.media ?? '', { representationId, bandwidth, number, time });
  return { url: URL.canParse(reference, base) ? new URL(reference, base).href : base, range: null };
}

/** The absolute URL of the initialisation segment, or null where the segments need none or it is a range of the base URL. */
export function initializationUrl(representation: Representation): string | null {
  const { segments: info, id: representationId, bandwidth, baseUrls } = representation;
  if (info?.kind !== 'template' || info.initialization === null) return null;
  const reference = fillTemplate(info.initialization, { representationId, bandwidth });
  const base = baseUrls[0]?.url ?? '';
  return URL.canParse(reference, base) ? new URL(reference, base).href : null;
}
