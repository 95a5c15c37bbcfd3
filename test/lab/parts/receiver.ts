import { z } from 'zod';
import type { Host } from '../lib/host.js';
import type { Child } from '../lib/process.js';
import { expect } from '../lib/report.js';
import { sluice } from './sluice.js';

const count = z.number();
const interval = z.object({
  seconds: z.number(),
  packets: count,
  bitrate: count,
  rtpLost: count,
  rtpLate: count,
  rtpReordered: count,
  rtpDuplicates: count,
  jitterMs: z.number(),
  pcrJitterMs: z.number(),
  continuityErrors: count,
  transportErrors: count,
  syncErrors: count,
  pcrDiscontinuities: count,
  malformed: count,
  kernelDrops: count,
});
export type Interval = z.infer<typeof interval>;

const TROUBLE = [
  'rtpLost',
  'rtpLate',
  'rtpDuplicates',
  'continuityErrors',
  'transportErrors',
  'syncErrors',
  'pcrDiscontinuities',
  'malformed',
  'kernelDrops',
] as const;

/** `sluice receive --json` in a host of the lab. */
export class Receiver {
  private constructor(
    readonly name: string,
    readonly child: Child,
  ) {}

  /** Joins a group and reports once a second. */
  static async start(host: Host, name: string, url: string): Promise<Receiver> {
    return new Receiver(name, await host.spawn(`receive-${name}`, sluice('receive', url, '--json')));
  }

  /** What it reported so far, one entry a second. */
  intervals(): Interval[] {
    const parsed = this.child.lines().map((line) => interval.safeParse(JSON.parse(line)));
    return parsed.flatMap((one) => (one.success ? [one.data] : []));
  }

  /** Fails unless so many of the latest seconds had packets and no trouble. */
  healthy(seconds: number): string {
    const latest = this.intervals().slice(-seconds);
    expect(latest.length === seconds, `${this.name}: reported only ${latest.length} s: ${this.child.tail()}`);
    const sums = TROUBLE.map((key) => [key, latest.reduce((sum, one) => sum + one[key], 0)] as const).filter(
      ([, sum]) => sum > 0,
    );
    expect(sums.length === 0, `${this.name}: ${sums.map(([key, sum]) => `${key} ${sum}`).join(', ')}`);
    expect(
      latest.every((one) => one.packets > 0),
      `${this.name}: a second without a packet`,
    );
    const most = (key: 'jitterMs' | 'pcrJitterMs') => Math.max(...latest.map((one) => one[key])).toFixed(2);
    return `${this.name}: ${seconds} s clean, jitter at most ${most('jitterMs')} ms, PCR jitter at most ${most('pcrJitterMs')} ms`;
  }
}
