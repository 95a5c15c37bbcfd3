import type { Clip, ClipSegment } from '../plane/captures.js';

/** Loop 0 begins here, so that segment numbers stay readable. Any fixed time will do. */
export const EPOCH_MS = Date.UTC(2026, 0, 1);
/** Segments that can be fetched after they left the playlist: RFC 8216 section 6.2.2 asks for as long as the playlist lasts. */
const KEPT_WINDOWS = 2;
const TS_PACKET = 188;

/** A segment of the endless stream: one index in one loop. */
interface Place {
  readonly loop: number;
  readonly index: number;
}

/** A byte of the endless stream. */
export interface Position {
  /** Segment number, as in its URI. */
  readonly number: number;
  /** Within the segment; a multiple of 188. */
  readonly offset: number;
}

/**
 * A clip as a live stream. What is live is a function of the wall clock alone: a restarted origin goes on where live is, with
 * the same segment numbers and bytes.
 *
 *   wall clock - EPOCH = loop * duration + time in the loop;  segment number = loop * segments + index
 */
export class LiveClip {
  readonly targetDurationSeconds: number;
  /** Bits a second over one loop, and of the largest segment. */
  readonly averageBandwidth: number;
  readonly peakBandwidth: number;
  private readonly segments: readonly ClipSegment[];
  private readonly durationMs: number;
  private rendered: { readonly number: number; readonly bytes: Uint8Array } | undefined;

  /**
   * @param name the first part of its URIs
   * @param window segments in the playlist, 1 or more
   */
  constructor(
    readonly name: string,
    private readonly clip: Clip,
    readonly window: number,
  ) {
    this.segments = clip.info.segments;
    this.durationMs = clip.info.durationMs;
    const rates = this.segments.map(({ bytes, durationMs }) => (bytes * 8000) / durationMs);
    this.targetDurationSeconds = Math.ceil(Math.max(...this.segments.map(({ durationMs }) => durationMs)) / 1000);
    this.averageBandwidth = (this.segments.reduce((sum, { bytes }) => sum + bytes, 0) * 8000) / this.durationMs;
    this.peakBandwidth = Math.max(...rates);
  }

  /** The newest segment that has ended at `wallMs`. */
  newest(wallMs: number): number {
    const { loop, within } = this.split(wallMs);
    const ended = this.segments.filter(({ startMs, durationMs }) => startMs + durationMs <= within).length;
    return loop * this.segments.length + ended - 1;
  }

  /** The media playlist (RFC 8216 section 4.3.3); `prefix` stands before the segments' names. */
  playlist(wallMs: number, prefix: string): string {
    const last = this.newest(wallMs);
    const first = last - this.window + 1;
    const lines = [
      '#EXTM3U',
      '#EXT-X-VERSION:3',
      `#EXT-X-TARGETDURATION:${this.targetDurationSeconds}`,
      `#EXT-X-MEDIA-SEQUENCE:${first}`,
    ];
    for (let number = first; number <= last; number++) {
      lines.push(`#EXTINF:${(this.segmentOf(number).durationMs / 1000).toFixed(6)},`, `${prefix}${number}.ts`);
    }
    return `${lines.join('\n')}\n`;
  }

  /** Whether a segment is to be had at `wallMs`: ended, and not long gone. */
  isAvailable(number: number, wallMs: number): boolean {
    const last = this.newest(wallMs);
    return number <= last && number > last - this.window * (1 + KEPT_WINDOWS);
  }

  /** The bytes of a segment. The last one rendered is kept: viewers at the live edge ask for the same. */
  segment(number: number): Uint8Array {
    if (this.rendered?.number === number) return this.rendered.bytes;
    const { loop, index } = this.place(number);
    const bytes = this.clip.render(index, loop);
    this.rendered = { number, bytes };
    return bytes;
  }

  /** What is due at `wallMs` by the PCR: everything before this. */
  position(wallMs: number): Position {
    const { loop, within } = this.split(wallMs);
    const index = Math.max(
      0,
      this.segments.findLastIndex(({ marks }) => (marks[1] ?? 0) <= within),
    );
    const { marks, bytes } = this.segments[index] ?? { marks: new Float64Array(), bytes: 0 };
    const offset = Math.min(bytes, interpolate(marks, within));
    return { number: loop * this.segments.length + index, offset: offset - (offset % TS_PACKET) };
  }

  private segmentOf(number: number): ClipSegment {
    const segment = this.segments[this.place(number).index];
    if (segment === undefined) throw new RangeError(`no segment ${number}`);
    return segment;
  }

  private place(number: number): Place {
    const loop = Math.floor(number / this.segments.length);
    return { loop, index: number - loop * this.segments.length };
  }

  private split(wallMs: number): { readonly loop: number; readonly within: number } {
    const since = wallMs - EPOCH_MS;
    const loop = Math.floor(since / this.durationMs);
    return { loop, within: since - loop * this.durationMs };
  }
}

/** The offset at `timeMs` on the line through the marks. */
function interpolate(marks: Float64Array, timeMs: number): number {
  let [low, high] = [0, marks.length / 2 - 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if ((marks[middle * 2 + 1] ?? 0) <= timeMs) low = middle;
    else high = middle;
  }
  const [fromOffset = 0, fromTime = 0] = marks.subarray(low * 2, low * 2 + 2);
  const [toOffset = 0, toTime = 0] = marks.subarray(high * 2, high * 2 + 2);
  if (toTime <= fromTime) return fromOffset;
  const part = Math.min(1, Math.max(0, (timeMs - fromTime) / (toTime - fromTime)));
  return Math.floor(fromOffset + (toOffset - fromOffset) * part);
}
