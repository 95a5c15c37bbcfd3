import type { ChannelStatus, RenditionStatus } from '../../streams/status.js';
import { RateWindow } from './rate-window.js';

/**
 * Makes the rates of the last second those of the last six: what comes in segments comes in bursts, and figures that jump
 * between nothing and twice the rate cannot be read.
 */
export class Smoother {
  #windows = new Map<string, RateWindow>();

  /** @param ms the daemon's uptime */
  apply(channels: readonly ChannelStatus[], ms: number): readonly ChannelStatus[] {
    const kept = new Map<string, RateWindow>();
    const rate = (key: string, bytes: number): number => {
      const window = this.#windows.get(key) ?? new RateWindow();
      kept.set(key, window);
      return window.push(ms, bytes);
    };
    const smoothed = channels.map((channel) => ({
      ...channel,
      renditions: channel.renditions.map((rendition) => smoothRendition(rendition, rate)),
    }));
    this.#windows = kept;
    return smoothed;
  }
}

function smoothRendition(now: RenditionStatus, rate: (key: string, bytes: number) => number): RenditionStatus {
  const { stream, input, multicast, viewers } = now;
  return {
    ...now,
    input: { ...input, bitsPerSecond: rate(`${stream} in`, input.bytes) },
    multicast: multicast && { ...multicast, bitsPerSecond: rate(`${stream} multicast`, multicast.bytes) },
    viewers: { ...viewers, bitsPerSecond: rate(`${stream} viewers`, viewers.bytes) },
  };
}
