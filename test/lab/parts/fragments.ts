// Fragmented MP4 (ISO/IEC 14496-12) as an encoder writes it: cut into its initialisation and its fragments.

/** A movie fragment with its media. */
export interface Fragment {
  readonly bytes: Buffer;
  /** Seconds of the first track. */
  readonly duration: number;
  /** Whether the first track's first sample is a sync sample. */
  readonly independent: boolean;
}

const NON_SYNC = 0x10000;

/** Payload of the first box of this type, or undefined. */
function find(bytes: Buffer, type: string): Buffer | undefined {
  for (let at = 0; at + 8 <= bytes.length; ) {
    const size = bytes.readUInt32BE(at);
    if (size < 8) throw new RangeError(`a box ${type} was looked for, one of ${size} bytes was found`);
    if (bytes.toString('latin1', at + 4, at + 8) === type) return bytes.subarray(at + 8, at + size);
    at += size;
  }
  return undefined;
}

function must(bytes: Buffer, type: string): Buffer {
  const found = find(bytes, type);
  if (found === undefined) throw new RangeError(`there is no box ${type}`);
  return found;
}

/** The optional 32-bit fields of a box in their order: those whose flag is set. */
function optional(box: Buffer, from: number, flags: readonly number[]): { values: Map<number, number>; end: number } {
  const set = box.readUInt32BE(0) & 0xffffff;
  const values = new Map<number, number>();
  let end = from;
  for (const flag of flags) {
    if ((set & flag) === 0) continue;
    values.set(flag, box.readUInt32BE(end));
    end += 4;
  }
  return { values, end };
}

/** Duration in the track's units, and whether it begins with a sync sample (sections 8.8.7 and 8.8.8). */
function readRun(moof: Buffer): { units: number; independent: boolean } {
  const track = must(moof, 'traf');
  const header = must(track, 'tfhd');
  // The base data offset has 64 bits.
  const from = (header.readUInt32BE(0) & 1) === 0 ? 8 : 16;
  const defaults = optional(header, from, [0x2, 0x8, 0x10, 0x20]).values;
  const run = must(track, 'trun');
  const samples = run.readUInt32BE(4);
  const { values, end } = optional(run, 8, [0x1, 0x4]);
  const flags = run.readUInt32BE(0) & 0xffffff;
  const perSample = [0x100, 0x200, 0x400, 0x800].filter((flag) => (flags & flag) !== 0);
  const field = (sample: number, flag: number) =>
    run.readUInt32BE(end + 4 * (sample * perSample.length + perSample.indexOf(flag)));
  let units = samples * (defaults.get(0x8) ?? 0);
  if ((flags & 0x100) !== 0) {
    units = 0;
    for (let i = 0; i < samples; i++) units += field(i, 0x100);
  }
  const own = (flags & 0x400) !== 0 && samples > 0 ? field(0, 0x400) : undefined;
  const first = values.get(0x4) ?? own ?? defaults.get(0x20) ?? 0;
  return { units, independent: (first & NON_SYNC) === 0 };
}

/** Takes a stream's bytes as they come. */
export class FragmentReader {
  #rest: Buffer = Buffer.alloc(0);
  #head: Buffer[] = [];
  #init: Buffer | undefined;

  /** @param timescale units per second of the first track */
  constructor(private readonly timescale: number) {}

  /** `ftyp` and `moov`, once they are there. */
  get init(): Buffer | undefined {
    return this.#init;
  }

  /** The fragments that these bytes complete. */
  take(piece: Buffer): Fragment[] {
    this.#rest = Buffer.concat([this.#rest, piece]);
    const done: Fragment[] = [];
    for (let box = this.#next(); box !== undefined; box = this.#next()) {
      this.#head.push(box);
      const type = box.toString('latin1', 4, 8);
      if (type === 'moov') this.#init = this.#flush();
      if (type === 'mdat') done.push(this.#fragment());
    }
    return done;
  }

  #next(): Buffer | undefined {
    if (this.#rest.length < 8) return undefined;
    const size = this.#rest.readUInt32BE(0);
    if (size < 8) throw new RangeError(`a box of ${size} bytes`);
    if (this.#rest.length < size) return undefined;
    const box = this.#rest.subarray(0, size);
    this.#rest = this.#rest.subarray(size);
    return box;
  }

  #flush(): Buffer {
    return Buffer.concat(this.#head.splice(0));
  }

  #fragment(): Fragment {
    const bytes = this.#flush();
    const { units, independent } = readRun(must(bytes, 'moof'));
    return { bytes, duration: units / this.timescale, independent };
  }
}
