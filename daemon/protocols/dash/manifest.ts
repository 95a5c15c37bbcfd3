// The parts of an MPD that a proxy needs (ISO/IEC 23009-1). Times in milliseconds unless the name says otherwise.

/** Where resources may be fetched: one of the alternatives that BaseURL elements give (section 5.6). */
export interface BaseUrl {
  /** Absolute. */
  readonly url: string;
  readonly serviceLocation: string | null;
  /** Seconds that segments can be asked for before they are complete; Infinity: at any time. */
  readonly availabilityTimeOffset: number;
  readonly availabilityTimeComplete: boolean;
}

/** A range of bytes, both included. */
export interface DashRange {
  readonly from: number;
  readonly to: number;
}

/** A resource, or a range of it. */
export interface UrlRange {
  /** Absolute. */
  readonly url: string;
  readonly range: DashRange | null;
}

/** Consecutive segments of equal duration (an S of a SegmentTimeline, section 5.3.9.6). */
export interface TimelineRun {
  /** Of the first, in units of the timescale; up to 64 bits. */
  readonly time: bigint;
  readonly duration: number;
  /** Number of the first. */
  readonly number: number;
  /** Segments; null: up to the end of the period. */
  readonly count: number | null;
}

/** What SegmentBase, SegmentList and SegmentTemplate have alike, inherited values included (section 5.3.9.2). */
interface SegmentCommon {
  /** Units of a second. */
  readonly timescale: number;
  /** In units of the timescale: what of the media timeline is the period's start. */
  readonly presentationTimeOffset: bigint;
  /** Seconds, those of BaseURL not counted. */
  readonly availabilityTimeOffset: number;
  readonly availabilityTimeComplete: boolean;
}

interface MultipleSegments extends SegmentCommon {
  /** In units of the timescale; null with a timeline. */
  readonly duration: number | null;
  readonly startNumber: number;
  readonly endNumber: number | null;
  readonly timeline: readonly TimelineRun[] | null;
}

export interface SegmentTemplate extends MultipleSegments {
  readonly kind: 'template';
  /** As written, with its `$…$`. */
  readonly media: string | null;
  readonly initialization: string | null;
  readonly index: string | null;
}

export interface SegmentList extends MultipleSegments {
  readonly kind: 'list';
  readonly initialization: UrlRange | null;
  readonly segments: readonly UrlRange[];
}

export interface SegmentBase extends SegmentCommon {
  readonly kind: 'base';
  readonly initialization: UrlRange | null;
  readonly indexRange: DashRange | null;
}

export type SegmentInfo = SegmentTemplate | SegmentList | SegmentBase;

export interface Representation {
  readonly id: string;
  /** Bits a second. */
  readonly bandwidth: number;
  readonly mimeType: string | null;
  readonly codecs: string | null;
  readonly width: number | null;
  readonly height: number | null;
  /** At least one; the first is the preferred one. */
  readonly baseUrls: readonly BaseUrl[];
  /** Null: the base URL itself is the one segment. */
  readonly segments: SegmentInfo | null;
}

export interface AdaptationSet {
  readonly id: string | null;
  readonly contentType: string | null;
  readonly lang: string | null;
  readonly representations: readonly Representation[];
}

/** One event as written (section 5.10.2). */
export interface DashEvent {
  readonly id: string | null;
  /** In units of the stream's timescale. */
  readonly presentationTime: bigint;
  readonly duration: bigint | null;
  /** What stands between its tags, character by character. */
  readonly content: string;
  readonly messageData: string | null;
}

export interface EventStream {
  readonly scheme: string;
  readonly value: string | null;
  readonly timescale: number;
  readonly events: readonly DashEvent[];
}

export interface Period {
  readonly id: string | null;
  /** From the start of the presentation; null for one that is only announced (section 5.3.2.1). */
  readonly startMs: number | null;
  /** Null where it is not known yet. */
  readonly durationMs: number | null;
  /** Absolute, where the period is to be fetched from elsewhere; as written for `urn:`. */
  readonly xlink: string | null;
  readonly adaptationSets: readonly AdaptationSet[];
  readonly eventStreams: readonly EventStream[];
}

/** How the time is learnt (section 5.8.4.11); the first that a client understands. */
export interface UtcTiming {
  readonly kind: 'direct' | 'http-head' | 'http-xsdate' | 'http-iso' | 'http-ntp' | 'ntp' | 'sntp' | 'other';
  readonly scheme: string;
  /** Absolute URLs for the http kinds, server names for ntp and sntp, the time for direct. */
  readonly values: readonly string[];
}

export interface Manifest {
  readonly isDynamic: boolean;
  readonly profiles: readonly string[];
  /** Milliseconds since 1970. */
  readonly availabilityStartMs: number | null;
  readonly availabilityEndMs: number | null;
  readonly publishTimeMs: number | null;
  readonly durationMs: number | null;
  /** Null: the document never changes. */
  readonly minimumUpdateMs: number | null;
  readonly minBufferMs: number | null;
  /** Null: everything stays available. */
  readonly timeShiftBufferMs: number | null;
  readonly suggestedDelayMs: number | null;
  /** Absolute; where the next document is to be fetched from. */
  readonly locations: readonly string[];
  readonly patchLocations: readonly { readonly url: string; readonly ttlMs: number | null }[];
  readonly utcTimings: readonly UtcTiming[];
  readonly periods: readonly Period[];
}
