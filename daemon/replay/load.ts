import { basename, extname } from 'node:path';
import { SluiceError } from '../base/errors.js';
import { id } from '../config/units.js';
import { type Clip, createClip, readCapture } from '../plane/captures.js';
import type { CaptureFlow } from '../plane/contract.js';
import { LiveClip } from './live-clip.js';

export interface LoadOptions {
  /** Segments are cut at the first random access point after this time, 500 to 60,000 ms. */
  readonly segmentMs: number;
  /** Segments in a playlist. */
  readonly window: number;
  /** Told where a file is damaged; what is before the damage is played. */
  readonly onDamage?: (sentence: string) => void;
}

/**
 * The clips of captures, one for every MPEG-TS flow.
 * @param files `FILE` or `NAME=FILE`; the name of a bare file is what stands before its extension, lower case. Where a capture has
 *   several flows, `-PORT` is added.
 * @throws SluiceError CAPTURE_INVALID, CAPTURE_EMPTY (with the file), USAGE for names that are taken or no ids
 */
export function loadClips(files: readonly string[], options: LoadOptions): LiveClip[] {
  const clips = new Map<string, LiveClip>();
  for (const argument of files) {
    const { name, file } = split(argument);
    const { flows, damage } = readCapture(file);
    if (damage !== null) options.onDamage?.(damage);
    for (const flow of flows) {
      const own = checkedName(flows.length === 1 ? name : `${name}-${flow.port}`, argument);
      if (clips.has(own)) throw taken(own, argument);
      clips.set(own, new LiveClip(own, clipOf(flow, file, damage, options.segmentMs), options.window));
    }
  }
  return [...clips.values()];
}

function clipOf(flow: CaptureFlow, file: string, damage: string | null, segmentMs: number): Clip {
  try {
    return createClip(flow.ts, { name: `${file} (${describe(flow)})`, segmentMs });
  } catch (error) {
    if (damage === null || !(error instanceof SluiceError)) throw error;
    // The damage is the cause: what is before it is too little.
    throw new SluiceError(error.code, `${damage}; of what is before it: ${error.message}`, {}, { cause: error });
  }
}

function split(argument: string): { readonly name: string; readonly file: string } {
  const match = /^([a-z0-9][a-z0-9-]{0,62})=(.+)$/s.exec(argument);
  if (match?.[1] !== undefined && match[2] !== undefined) return { name: match[1], file: match[2] };
  return { name: basename(argument, extname(argument)).toLowerCase(), file: argument };
}

function checkedName(name: string, argument: string): string {
  if (id.safeParse(name).success) return name;
  throw new SluiceError(
    'USAGE',
    `replay: ${argument}: expected a name of letters, digits and hyphens, got ${name}; write NAME=FILE`,
  );
}

function taken(name: string, argument: string): SluiceError {
  return new SluiceError(
    'USAGE',
    `replay: ${argument}: expected names that differ, got ${name} twice; write NAME=FILE`,
  );
}

function describe({ destination, port, rtp }: CaptureFlow): string {
  return `${rtp ? 'RTP' : 'UDP'} to ${destination} port ${port}`;
}
