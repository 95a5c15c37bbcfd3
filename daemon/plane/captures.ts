/** Captures and endless clips, as the addon offers them (native/addon/capture.h). */
import { ERROR_CODES, SluiceError } from '../base/errors.js';
import { loadAddon } from './addon.js';
import type { CaptureFlows, CaptureSummary } from './contract.js';

/** One segment of a clip: from one random access point to a later one; it begins with PAT and PMT. */
export interface ClipSegment {
  /** Decoding time since the begin of the loop. */
  readonly startMs: number;
  readonly durationMs: number;
  /** Size as rendered. */
  readonly bytes: number;
  /**
   * Pairs of an offset in bytes and the PCR there, as ms since the begin of the loop; the first at 0, the last at `bytes`.
   * Times between two pairs lie on a straight line.
   */
  readonly marks: Float64Array;
}

/** One elementary stream of a clip. */
export interface ClipStream {
  readonly pid: number;
  /** stream_type (ISO/IEC 13818-1 table 2-34). */
  readonly type: number;
  /** At the loop: time between when the next PES packet was due and when it comes; below 0 it overlaps. 0 is seamless. */
  readonly jointMs: number;
}

export interface ClipInfo {
  /** Of one loop. */
  readonly durationMs: number;
  readonly accessPoints: number;
  /** Places where the recording itself lacks packets. */
  readonly continuityErrors: number;
  readonly pcrPid: number;
  readonly streams: readonly ClipStream[];
  readonly segments: readonly ClipSegment[];
}

/** A recording that plays endlessly: PCR, PTS, DTS and continuity counters go on from loop to loop. */
export interface Clip {
  readonly info: ClipInfo;
  /**
   * The bytes of one segment in one loop; the same arguments always give the same bytes.
   * @param segment index into `info.segments`
   * @param loop any whole number, negative ones too
   */
  render(segment: number, loop: number): Uint8Array;
}

/** Names the addon's errors as ours; `context` stands before the sentence. */
function native<T>(context: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    const raw = error instanceof Error && 'code' in error ? error.code : undefined;
    const code = ERROR_CODES.find((known) => known === raw);
    if (code === undefined || !(error instanceof Error)) throw error;
    throw new SluiceError(code, context + error.message, {}, { cause: error });
  }
}

/**
 * All MPEG-TS flows of a pcap or pcapng file, at least one; of a damaged file what is before the damage.
 * @throws SluiceError CAPTURE_INVALID (with file, byte offset, what was expected and what came) or CAPTURE_EMPTY
 */
export function readCapture(path: string): CaptureFlows {
  return native('', () => loadAddon().readCapture(path));
}

/**
 * What a pcap or pcapng file of any size holds. Reads it to its end, which takes its time.
 * @throws SluiceError CAPTURE_INVALID (as {@link readCapture}) where there is no packet before the damage; SYSTEM_CALL
 */
export function scanCapture(path: string): CaptureSummary {
  return native('', () => loadAddon().scanCapture(path));
}

/**
 * A clip of an MPEG-TS recording.
 * @param ts at least two random access points with PAT, PMT and PCR; copied
 * @param options `name` stands before messages; segments are cut at the first random access point that is `segmentMs`
 *   (1 to 60,000; less a tenth) or more after the one before
 * @throws SluiceError CAPTURE_INVALID or CAPTURE_EMPTY
 */
export function createClip(ts: Uint8Array, options: { readonly name: string; readonly segmentMs: number }): Clip {
  const { TsClip } = loadAddon();
  const clip = native(`${options.name}: `, () => new TsClip(ts, { segmentMs: options.segmentMs }));
  const info = clip.info() as ClipInfo;
  return { info, render: (segment, loop) => clip.render(segment, loop) };
}
