/** A range of bytes of a resource (RFC 8216 section 4.3.2.2). */
export interface ByteRange {
  readonly length: number;
  readonly offset: number;
}

/** One media segment (RFC 8216 section 3). */
export interface MediaSegment {
  /** Media sequence number (section 6.2.1). */
  readonly sequence: number;
  /** Absolute, without fragment. */
  readonly url: string;
  readonly durationMs: number;
  readonly byteRange: ByteRange | null;
  /** EXT-X-DISCONTINUITY stood before it (section 4.3.2.3). */
  readonly discontinuity: boolean;
  /** Discontinuity sequence number (section 6.2.1). */
  readonly discontinuitySequence: number;
  /** The origin has no media here (EXT-X-GAP, RFC 8216bis section 4.4.4.7). */
  readonly gap: boolean;
  /** METHOD of the key that applies, or null where the segment is in the clear (section 4.3.2.4). */
  readonly encryption: string | null;
  /** Absolute URL of the initialisation section (EXT-X-MAP, section 4.3.2.5), or null. */
  readonly map: string | null;
}

export interface MediaPlaylist {
  readonly kind: 'media';
  readonly version: number;
  readonly targetDurationMs: number;
  /** Of the first segment. */
  readonly mediaSequence: number;
  readonly discontinuitySequence: number;
  readonly type: 'EVENT' | 'VOD' | null;
  /** EXT-X-ENDLIST: nothing will be added. */
  readonly ended: boolean;
  readonly segments: readonly MediaSegment[];
}

/** One rendition of a master playlist (section 4.3.4.2). */
export interface Variant {
  readonly url: string;
  /** Peak, bits a second. */
  readonly bandwidth: number;
  readonly averageBandwidth: number | null;
  readonly resolution: { readonly width: number; readonly height: number } | null;
  readonly codecs: string | null;
  /** The audio is only in a playlist of its own (every EXT-X-MEDIA of its AUDIO group has a URI, section 4.3.4.2.1). */
  readonly separateAudio: boolean;
}

export interface MasterPlaylist {
  readonly kind: 'master';
  readonly version: number;
  readonly variants: readonly Variant[];
}

export type Playlist = MediaPlaylist | MasterPlaylist;
