import type { ServerResponse } from 'node:http';
import type { Clock, Timer } from '../base/clock.js';
import type { LiveClip, Position } from './live-clip.js';

/** How often what has become due is written. */
const TICK_MS = 20;
/** A viewer that lets this much wait is cut off. */
const MAX_WAITING_BYTES = 4 * 2 ** 20;
/** When the clock has jumped by more segments than this, the viewer goes to where live is. */
const MAX_BEHIND_SEGMENTS = 5;

interface Viewer {
  readonly clip: LiveClip;
  readonly response: ServerResponse;
  at: Position;
}

/** The viewers of continuous streams: each gets what is due by the PCR, from the latest random access point on. */
export class ContinuousViewers {
  private readonly viewers = new Set<Viewer>();
  private timer: Timer | undefined;

  /** @param onStalled called for each viewer that is cut off because it takes nothing */
  constructor(
    private readonly clock: Clock,
    private readonly onStalled: () => void,
  ) {}

  /** Feeds a response, whose head has been written, until it is closed. */
  add(clip: LiveClip, response: ServerResponse): void {
    const { number } = clip.position(this.clock.wall());
    const viewer: Viewer = { clip, response, at: { number, offset: 0 } };
    this.viewers.add(viewer);
    response.once('close', () => this.remove(viewer));
    this.timer ??= this.clock.setInterval(() => this.tick(), TICK_MS);
    this.feed(viewer);
  }

  /** Ends all streams. */
  close(): void {
    for (const viewer of this.viewers) {
      viewer.response.destroy();
      this.remove(viewer);
    }
  }

  private remove(viewer: Viewer): void {
    this.viewers.delete(viewer);
    if (this.viewers.size > 0) return;
    this.timer?.cancel();
    this.timer = undefined;
  }

  private tick(): void {
    for (const viewer of this.viewers) this.feed(viewer);
  }

  private feed(viewer: Viewer): void {
    const { clip, response } = viewer;
    const due = clip.position(this.clock.wall());
    if (Math.abs(due.number - viewer.at.number) > MAX_BEHIND_SEGMENTS) viewer.at = { number: due.number, offset: 0 };
    for (let { number, offset } = viewer.at; number <= due.number; number++, offset = 0) {
      const bytes = clip.segment(number);
      const end = number < due.number ? bytes.length : due.offset;
      if (end > offset) response.write(bytes.subarray(offset, end));
      viewer.at = end >= bytes.length ? { number: number + 1, offset: 0 } : { number, offset: Math.max(offset, end) };
    }
    if (response.writableLength <= MAX_WAITING_BYTES) return;
    this.onStalled();
    response.destroy();
  }
}
