/** A range of bytes of a resource (RFC 8216bis section 4.4.4.2). */
export interface ByteRange {
  readonly length: number;
  readonly offset: number;
}

/** How media is encrypted (section 4.4.4.4). */
export interface Key {
  /** `AES-128`, `SAMPLE-AES`, `SAMPLE-AES-CTR` or one to come; never `NONE`. */
  readonly method: string;
  /** Absolute; `data:` and the schemes of DRM systems are possible. */
  readonly url: string;
  /** 32 lower-case hexadecimal digits, or null: then the media sequence number is the vector. */
  readonly iv: string | null;
  /** `identity`: the key file holds 16 octets. */
  readonly format: string;
  readonly formatVersions: string;
}

/** The initialisation section of segments (section 4.4.4.5). */
export interface MediaMap {
  /** Absolute, without fragment. */
  readonly url: string;
  readonly byteRange: ByteRange | null;
}

/** A partial segment (section 4.4.4.9). */
export interface Part {
  /** Absolute, without fragment. */
  readonly url: string;
  readonly durationMs: number;
  readonly byteRange: ByteRange | null;
  readonly independent: boolean;
  readonly gap: boolean;
}

/** One media segment (section 3). */
export interface MediaSegment {
  /** Media sequence number (section 6.2.1). */
  readonly sequence: number;
  /** Absolute, without fragment. */
  readonly url: string;
  readonly durationMs: number;
  readonly byteRange: ByteRange | null;
  /** EXT-X-DISCONTINUITY stood before it (section 4.4.4.3). */
  readonly discontinuity: boolean;
  /** Discontinuity sequence number (section 6.2.1). */
  readonly discontinuitySequence: number;
  /** The origin has no media here (EXT-X-GAP, section 4.4.4.7). */
  readonly gap: boolean;
  /** The keys that apply, one for each KEYFORMAT; empty where the segment is in the clear. */
  readonly keys: readonly Key[];
  readonly map: MediaMap | null;
  /** EXT-X-PROGRAM-DATE-TIME as written before it, milliseconds since 1970; null without. */
  readonly programDateTimeMs: number | null;
  /** Those that the playlist still lists. */
  readonly parts: readonly Part[];
}

/** What the server can do for low latency (EXT-X-SERVER-CONTROL, section 4.4.3.8). */
export interface ServerControl {
  readonly canBlockReload: boolean;
  /** Delta updates leave out what is older than this; null where there are none. */
  readonly canSkipUntilMs: number | null;
  readonly canSkipDateRanges: boolean;
  readonly holdBackMs: number | null;
  readonly partHoldBackMs: number | null;
}

/** What a client may ask for ahead of its listing (EXT-X-PRELOAD-HINT, section 4.4.5.3). */
export interface PreloadHint {
  /** `PART`, `MAP` or one to come. */
  readonly type: string;
  readonly url: string;
  readonly offset: number;
  /** Null: to the end. */
  readonly length: number | null;
}

/** Where another rendition stands (EXT-X-RENDITION-REPORT, section 4.4.5.4). */
export interface RenditionReport {
  readonly url: string;
  readonly lastSequence: number | null;
  readonly lastPart: number | null;
}

/** What a delta update leaves out (EXT-X-SKIP, section 4.4.5.2). */
export interface Skip {
  readonly segments: number;
  readonly removedDateRanges: readonly string[];
}

/** EXT-X-DATERANGE (section 4.4.5.1). */
export interface DateRange {
  readonly id: string;
  readonly class: string | null;
  /** Milliseconds since 1970; null where another tag of the same id gives it. */
  readonly startMs: number | null;
  readonly endMs: number | null;
  readonly durationMs: number | null;
  readonly plannedDurationMs: number | null;
  readonly endOnNext: boolean;
  /** All of it as written, SCTE35-… and X-… included. */
  readonly attributes: ReadonlyMap<string, string>;
}

/** Where to begin (EXT-X-START, section 4.4.2.2): from the beginning, or from the end where negative. */
export interface StartPoint {
  readonly offsetMs: number;
  readonly precise: boolean;
}

/** What both kinds of playlist can say. */
interface Common {
  readonly version: number;
  readonly independentSegments: boolean;
  readonly start: StartPoint | null;
  /** By EXT-X-DEFINE: name -> value. */
  readonly variables: ReadonlyMap<string, string>;
}

export interface MediaPlaylist extends Common {
  readonly kind: 'media';
  readonly targetDurationMs: number;
  /** Of the first segment, those left out by `skip` counted. */
  readonly mediaSequence: number;
  readonly discontinuitySequence: number;
  readonly type: 'EVENT' | 'VOD' | null;
  /** EXT-X-ENDLIST: nothing will be added. */
  readonly ended: boolean;
  readonly iFramesOnly: boolean;
  readonly segments: readonly MediaSegment[];
  /** Parts of the segment that is still being made. */
  readonly parts: readonly Part[];
  /** EXT-X-PART-INF: the longest part; null without parts. */
  readonly partTargetMs: number | null;
  readonly serverControl: ServerControl | null;
  readonly preloadHints: readonly PreloadHint[];
  readonly renditionReports: readonly RenditionReport[];
  readonly dateRanges: readonly DateRange[];
  /** Not null in a delta update. */
  readonly skip: Skip | null;
}

/** What EXT-X-STREAM-INF and EXT-X-I-FRAME-STREAM-INF tell alike. */
export interface StreamInfo {
  readonly url: string;
  /** Peak, bits a second. */
  readonly bandwidth: number;
  readonly averageBandwidth: number | null;
  readonly resolution: { readonly width: number; readonly height: number } | null;
  readonly codecs: string | null;
  /** PATHWAY-ID for content steering; `.` where it is not given (section 4.4.6.2). */
  readonly pathwayId: string;
}

/** One rendition of a master playlist (section 4.4.6.2). */
export interface Variant extends StreamInfo {
  /** The audio is only in a playlist of its own (every EXT-X-MEDIA of its AUDIO group has a URI, section 4.4.6.2.1). */
  readonly separateAudio: boolean;
  /** GROUP-ID of its renditions, by their TYPE. */
  readonly groups: {
    readonly audio: string | null;
    readonly video: string | null;
    readonly subtitles: string | null;
    readonly closedCaptions: string | null;
  };
}

/** An alternative rendition (EXT-X-MEDIA, section 4.4.6.1). */
export interface Rendition {
  /** `AUDIO`, `VIDEO`, `SUBTITLES`, `CLOSED-CAPTIONS` or one to come. */
  readonly type: string;
  readonly groupId: string;
  readonly name: string;
  readonly language: string | null;
  readonly isDefault: boolean;
  readonly autoselect: boolean;
  readonly forced: boolean;
  /** Null: it is in the variant's own segments. */
  readonly url: string | null;
}

/** EXT-X-SESSION-DATA (section 4.4.6.4). */
export interface SessionData {
  readonly id: string;
  readonly value: string | null;
  readonly url: string | null;
  readonly language: string | null;
}

/** EXT-X-CONTENT-STEERING (section 4.4.6.6). */
export interface ContentSteering {
  readonly serverUrl: string;
  readonly pathwayId: string | null;
}

/** A multivariant playlist. */
export interface MasterPlaylist extends Common {
  readonly kind: 'master';
  readonly variants: readonly Variant[];
  readonly iFrameVariants: readonly StreamInfo[];
  readonly renditions: readonly Rendition[];
  readonly sessionKeys: readonly Key[];
  readonly sessionData: readonly SessionData[];
  readonly steering: ContentSteering | null;
}

export type Playlist = MediaPlaylist | MasterPlaylist;
