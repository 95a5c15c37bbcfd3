import { isDeepStrictEqual } from 'node:util';
import { type ChannelConfig, locationsOf, type RenditionConfig } from './settings.js';

/** A rendition with its channel, of which it takes the segmenting. */
export interface RenditionSettings {
  readonly channel: ChannelConfig;
  readonly config: RenditionConfig;
}

/** What has to be done about a rendition whose configuration has changed. */
export interface RenditionChange {
  /** The stream itself is another: ring, clock, segments. Everything of the rendition begins anew. */
  readonly stream: boolean;
  /** Where the media comes from; the ring and all receivers stay. */
  readonly source: boolean;
  /** Where it is sent to; source, ring and viewers stay. */
  readonly sender: boolean;
  /** What lists and playlists tell. */
  readonly label: boolean;
}

const LABELS = ['bandwidth', 'resolution', 'codecs'] as const;

/** Segments come in bursts, and so may TCP; datagrams keep the spacing that they have. */
export function isSpread(config: RenditionConfig): boolean {
  return locationsOf(config).some((location) => location.kind === 'http');
}

/** Compares two configurations of one rendition. */
export function compareRenditions(old: RenditionSettings, next: RenditionSettings): RenditionChange {
  const [a, b] = [old.config, next.config];
  return {
    stream:
      old.channel.loop !== next.channel.loop ||
      a.program !== b.program ||
      isSpread(a) !== isSpread(b) ||
      !isDeepStrictEqual(a.buffer, b.buffer) ||
      !isDeepStrictEqual(old.channel.smoothing, next.channel.smoothing) ||
      !isDeepStrictEqual(old.channel.hls, next.channel.hls),
    source:
      a.format !== b.format ||
      a.max_bandwidth !== b.max_bandwidth ||
      a.numbering !== b.numbering ||
      !isDeepStrictEqual(a.repair, b.repair) ||
      !isDeepStrictEqual(locationsOf(a), locationsOf(b)),
    sender: !isDeepStrictEqual(a.multicast, b.multicast),
    label: old.channel.name !== next.channel.name || LABELS.some((key) => !isDeepStrictEqual(a[key], b[key])),
  };
}
