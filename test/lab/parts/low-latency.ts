import type { Fragment } from './fragments.js';

interface Segment {
  readonly msn: number;
  readonly parts: Fragment[];
  /** Milliseconds since 1970 of its beginning. */
  readonly begins: number;
}

export interface LowLatencyOptions {
  /** Seconds: a segment ends at the first independent part after this. */
  readonly segment: number;
  /** Seconds: no part is longer. */
  readonly part: number;
  /** Complete segments in the playlist. */
  readonly window: number;
}

const lengthOf = (segment: Segment) => segment.parts.reduce((sum, part) => sum + part.duration, 0);

/** A live HLS presentation of parts (RFC 8216bis): names, bytes and the playlist. */
export class LowLatency {
  readonly #segments: Segment[] = [];
  #init: Buffer = Buffer.alloc(0);

  constructor(private readonly options: LowLatencyOptions) {}

  set init(bytes: Buffer) {
    this.#init = bytes;
  }

  /** @param arrived milliseconds since 1970 at its end */
  add(part: Fragment, arrived: number): void {
    const last = this.#segments.at(-1);
    if (last === undefined || (part.independent && lengthOf(last) >= this.options.segment - 0.001)) {
      const begins = last === undefined ? arrived - part.duration * 1_000 : last.begins + lengthOf(last) * 1_000;
      this.#segments.push({ msn: (last?.msn ?? -1) + 1, parts: [part], begins });
    } else {
      last.parts.push(part);
    }
    // Those that have just left the playlist are still being fetched.
    if (this.#segments.length > 2 * this.options.window) this.#segments.shift();
  }

  /** Whether a reload that asks for this segment, or this part of it, may be answered (section 6.2.5.2). */
  has(msn: number, part?: number): boolean {
    const last = this.#segments.at(-1);
    if (last === undefined) return false;
    return last.msn > msn || (last.msn === msn && part !== undefined && last.parts.length > part);
  }

  /** What a name of the playlist stands for: `null` when it is still to come, `undefined` when it is no name. */
  file(name: string): Buffer | null | undefined {
    if (name === 'init.mp4') return this.#init;
    const [, msn, part] = /^seg(\d+)(?:\.(\d+))?\.m4s$/.exec(name) ?? [];
    if (msn === undefined) return undefined;
    const segment = this.#segments.find((one) => one.msn === Number(msn));
    if (segment === undefined) return Number(msn) > (this.#segments.at(-1)?.msn ?? -1) ? null : undefined;
    const open = segment === this.#segments.at(-1);
    if (part !== undefined) return segment.parts[Number(part)]?.bytes ?? (open ? null : undefined);
    return open ? null : Buffer.concat(segment.parts.map((one) => one.bytes));
  }

  playlist(): string {
    const { segment, part, window } = this.options;
    const shown = this.#segments.slice(-window - 1);
    const last = shown.at(-1);
    return [
      '#EXTM3U',
      '#EXT-X-VERSION:9',
      `#EXT-X-TARGETDURATION:${Math.ceil(segment)}`,
      `#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=${3 * part}`,
      `#EXT-X-PART-INF:PART-TARGET=${part}`,
      `#EXT-X-MEDIA-SEQUENCE:${shown[0]?.msn ?? 0}`,
      '#EXT-X-MAP:URI="init.mp4"',
      ...shown.flatMap((one) => this.#lines(one, one === last)),
      `#EXT-X-PRELOAD-HINT:TYPE=PART,URI="${this.#next()}"`,
      '',
    ].join('\n');
  }

  #lines(segment: Segment, open: boolean): string[] {
    const { msn, parts, begins } = segment;
    // Section 4.4.4.9: parts within three target durations of the end are told.
    const told = msn >= (this.#segments.at(-1)?.msn ?? 0) - 2;
    const lines = parts.map(
      ({ duration, independent }, i) =>
        `#EXT-X-PART:DURATION=${duration.toFixed(5)},URI="seg${msn}.${i}.m4s"${independent ? ',INDEPENDENT=YES' : ''}`,
    );
    return [
      `#EXT-X-PROGRAM-DATE-TIME:${new Date(begins).toISOString()}`,
      ...(told ? lines : []),
      ...(open ? [] : [`#EXTINF:${lengthOf(segment).toFixed(5)},`, `seg${msn}.m4s`]),
    ];
  }

  /** The part that comes next. */
  #next(): string {
    const last = this.#segments.at(-1);
    if (last === undefined) return 'seg0.0.m4s';
    const full = lengthOf(last) >= this.options.segment - 0.001;
    return full ? `seg${last.msn + 1}.0.m4s` : `seg${last.msn}.${last.parts.length}.m4s`;
  }
}
