import { z } from 'zod';
import { compile } from './compile.js';
import type { Host } from './host.js';
import { poll } from './poll.js';
import type { Child } from './process.js';

const count = z.int().nonnegative();
const ts = {
  packets: count,
  syncErrors: count,
  continuityErrors: count,
  transportErrors: count,
  announcedDiscontinuities: count,
  accessPoints: count,
  bytes: count,
};

/** One line of the `viewers` program: totals, except the gauges and `longestGapMs`, which is since the line before. */
export const viewersLine = z.object({
  at: count, // ms since 1970
  continuous: z.object({
    viewers: count,
    connected: count,
    receiving: count,
    interrupted: count,
    interruptions: count,
    resumedAt: count,
    attempts: count,
    disconnects: count,
    badAnswers: count,
    longestGapMs: count,
    slowestFirstByteMs: z.int(),
    leastBytes: count,
    mostBytes: count,
    ...ts,
  }),
  hls: z.object({
    viewers: count,
    playlists: count,
    segments: count,
    missed: count,
    failures: count,
    misaligned: count,
    withoutAccessPoint: count,
    discontinuities: count,
    reconnects: count,
    stale: count,
    leastSequence: z.int(),
    mostSequence: z.int(),
    oldestSegmentAt: count,
    ...ts,
  }),
});
export type ViewersLine = z.infer<typeof viewersLine>;

/** Counters that only grow when a viewer lost something. */
const CONTINUOUS_LOSSES = [
  'syncErrors',
  'continuityErrors',
  'transportErrors',
  'disconnects',
  'badAnswers',
  'interruptions',
] as const;
const HLS_LOSSES = ['syncErrors', 'continuityErrors', 'transportErrors', 'missed', 'failures', 'misaligned'] as const;

/** What viewers lost between two lines, as words; empty when nothing. */
export function losses(before: ViewersLine, after: ViewersLine): string {
  const grown = [
    ...CONTINUOUS_LOSSES.map((key) => [`continuous ${key}`, after.continuous[key] - before.continuous[key]] as const),
    ...HLS_LOSSES.map((key) => [`HLS ${key}`, after.hls[key] - before.hls[key]] as const),
  ];
  return grown
    .filter(([, by]) => by > 0)
    .map(([key, by]) => `${key} ${by}`)
    .join(', ');
}

export interface AudienceOptions {
  readonly server: string;
  readonly port: number;
  /** Viewers per path of a continuous stream. */
  readonly continuous?: Readonly<Record<string, number>>;
  /** Viewers per path of a media playlist. */
  readonly hls?: Readonly<Record<string, number>>;
  /** SO_RCVBUF of each, so that a viewer who stops reading is felt soon. */
  readonly receiveBuffer?: number;
}

/** Many viewers in one process. */
export class Audience {
  private constructor(readonly child: Child) {}

  static async start(host: Host, name: string, options: AudienceOptions): Promise<Audience> {
    const program = await compile('viewers', ['test/lab/viewers/viewers.cc']);
    const groups = (flag: string, paths: Readonly<Record<string, number>> = {}) =>
      Object.entries(paths).flatMap(([path, viewers]) => [flag, `${path}=${viewers}`]);
    const buffer = options.receiveBuffer === undefined ? [] : ['--receive-buffer', String(options.receiveBuffer)];
    const all = [...groups('--continuous', options.continuous), ...groups('--hls', options.hls), ...buffer];
    const where = ['--server', options.server, '--port', String(options.port)];
    return new Audience(await host.spawn(name, [program, ...where, ...all]));
  }

  /** All lines so far, one a second. */
  lines(): ViewersLine[] {
    return this.child.lines().map((line) => viewersLine.parse(JSON.parse(line)));
  }

  /** The newest line, waited for when there is none yet. */
  async now(): Promise<ViewersLine> {
    return poll(() => this.lines().at(-1), 5_000, 'the viewers to report');
  }

  /** The first line that is written after this call. */
  async next(): Promise<ViewersLine> {
    const seen = this.child.lines().length;
    return poll(() => this.lines()[seen], 5_000, 'the viewers to report');
  }

  /** All stop reading, and go on. */
  pause(paused: boolean): void {
    this.child.signal(paused ? 'SIGUSR1' : 'SIGUSR2');
  }
}
