/**
 * MPEG-TS that the tests make themselves: one H.264 programme of tiny pictures, each of which carries its number, so that a
 * test sees what was lost, repeated or reordered on the way. ISO/IEC 13818-1.
 */

const PACKET = 188;
const PMT_PID = 0x1000;
const VIDEO_PID = 0x100;
/** Pictures a second. */
export const FRAME_RATE = 25;
const TICKS = 90_000 / FRAME_RATE;
const MARK = Buffer.from('FRAME:');

/** CRC_32 of annex A. */
function crc32(bytes: Buffer): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte << 24;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 0x80000000) !== 0 ? (crc << 1) ^ 0x04c11db7 : crc << 1;
  }
  return crc >>> 0;
}

function section(tableId: number, id: number, body: Buffer): Buffer {
  const length = 5 + body.length + 4;
  const head = Buffer.from([tableId, 0xb0 | (length >> 8), length & 0xff, id >> 8, id & 0xff, 0xc1, 0, 0]);
  const crc = Buffer.alloc(4);
  crc.writeUInt32BE(crc32(Buffer.concat([head, body])));
  return Buffer.concat([Buffer.from([0]), head, body, crc]);
}

/** Makes the packets of one timeline; continuity counters go on from call to call. */
export class TsMaker {
  readonly #counters = new Map<number, number>();
  readonly #programs: number;
  readonly #sizeOf: (picture: number) => number;

  /** @param programs entries of the PAT; @param frameBytes about the size of a picture, of all or by its number */
  constructor(programs = 1, frameBytes: number | ((picture: number) => number) = 900) {
    this.#programs = programs;
    this.#sizeOf = typeof frameBytes === 'number' ? () => frameBytes : frameBytes;
  }

  /** Pictures `from` to `to` (not included); the tables and an access point at each multiple of `gop`. */
  frames(from: number, to: number, gop = FRAME_RATE): Buffer {
    const packets: Buffer[] = [];
    for (let n = from; n < to; n++) {
      const entry = n % gop === 0;
      if (entry) packets.push(this.#tables());
      packets.push(this.#picture(n, entry));
    }
    return Buffer.concat(packets);
  }

  #next(pid: number): number {
    const counter = this.#counters.get(pid) ?? 0;
    this.#counters.set(pid, (counter + 1) & 0x0f);
    return counter;
  }

  #tables(): Buffer {
    const entries = Array.from({ length: this.#programs }, (_, n) => [
      0,
      n + 1,
      0xe0 | ((PMT_PID + n) >> 8),
      (PMT_PID + n) & 0xff,
    ]);
    const pat = section(0x00, 1, Buffer.from(entries.flat()));
    const pmt = section(
      0x02,
      1,
      Buffer.from([
        0xe0 | (VIDEO_PID >> 8),
        VIDEO_PID & 0xff,
        0xf0,
        0,
        0x1b,
        0xe0 | (VIDEO_PID >> 8),
        VIDEO_PID & 0xff,
        0xf0,
        0,
      ]),
    );
    return Buffer.concat([this.#packet(0, pat, true, null), this.#packet(PMT_PID, pmt, true, null)]);
  }

  #picture(n: number, entry: boolean): Buffer {
    const pts = 90_000 + n * TICKS;
    const type = entry ? 0x65 : 0x41;
    const text = Buffer.concat([MARK, Buffer.from(`${String(n).padStart(8, '0')};`)]);
    const parameters = entry
      ? [0, 0, 0, 1, 0x67, 0x42, 0xc0, 0x0a, 0xda, 0x79, 0, 0, 0, 1, 0x68, 0xce, 0x3c, 0x80]
      : [];
    const es = Buffer.concat([
      Buffer.from([0, 0, 0, 1, 0x09, 0x10, ...parameters, 0, 0, 1, type, 0x88]),
      text,
      Buffer.alloc(this.#sizeOf(n), 0x5a),
    ]);
    const stamp = Buffer.from([
      0x21 | (Math.floor(pts / 2 ** 30) << 1),
      (pts >> 22) & 0xff,
      ((pts >> 14) & 0xfe) | 1,
      (pts >> 7) & 0xff,
      ((pts << 1) & 0xfe) | 1,
    ]);
    const pes = Buffer.concat([Buffer.from([0, 0, 1, 0xe0, 0, 0, 0x80, 0x80, 5]), stamp, es]);
    const packets: Buffer[] = [];
    for (let at = 0; at < pes.length; ) {
      const first = at === 0;
      const room = PACKET - 4 - (first ? 8 : 0);
      const piece = pes.subarray(at, at + room);
      packets.push(this.#packet(VIDEO_PID, piece, first, first ? { pcr: pts - 9000, entry } : null));
      at += piece.length;
    }
    return Buffer.concat(packets);
  }

  #packet(pid: number, payload: Buffer, start: boolean, clock: { pcr: number; entry: boolean } | null): Buffer {
    const field =
      clock === null
        ? Buffer.alloc(0)
        : Buffer.concat([Buffer.from([7, clock.entry ? 0x50 : 0x10]), pcrField(clock.pcr)]);
    const missing = PACKET - 4 - field.length - payload.length;
    const adaptation = pid === 0 || pid === PMT_PID ? Buffer.alloc(0) : stuffed(field, missing);
    const tail = pid === 0 || pid === PMT_PID ? Buffer.alloc(missing, 0xff) : Buffer.alloc(0);
    const control = adaptation.length > 0 ? 0x30 : 0x10;
    return Buffer.concat([
      Buffer.from([0x47, (start ? 0x40 : 0) | (pid >> 8), pid & 0xff, control | this.#next(pid)]),
      adaptation,
      payload,
      tail,
    ]);
  }
}

function pcrField(base: number): Buffer {
  const field = Buffer.alloc(6);
  field.writeUInt32BE(Math.floor(base / 2));
  field[4] = ((base & 1) << 7) | 0x7e;
  return field;
}

/** An adaptation field made longer by so many bytes. */
function stuffed(field: Buffer, missing: number): Buffer {
  if (missing === 0) return field;
  if (field.length > 0)
    return Buffer.concat([Buffer.from([(field[0] ?? 0) + missing]), field.subarray(1), Buffer.alloc(missing, 0xff)]);
  return missing === 1
    ? Buffer.from([0])
    : Buffer.concat([Buffer.from([missing - 1, 0]), Buffer.alloc(missing - 2, 0xff)]);
}

/** Numbers of the pictures in a transport stream, in order; packet payloads are put together first. */
export function frameNumbers(stream: Buffer): number[] {
  const payloads: Buffer[] = [];
  for (let at = 0; at + PACKET <= stream.length; at += PACKET) {
    const packet = stream.subarray(at, at + PACKET);
    const pid = (((packet[1] ?? 0) & 0x1f) << 8) | (packet[2] ?? 0);
    const skip = ((packet[3] ?? 0) & 0x20) !== 0 ? 5 + (packet[4] ?? 0) : 4;
    if (pid === VIDEO_PID && ((packet[3] ?? 0) & 0x10) !== 0) payloads.push(packet.subarray(skip));
  }
  return [
    ...Buffer.concat(payloads)
      .toString('latin1')
      .matchAll(/FRAME:(\d{8});/g),
  ].map((match) => Number(match[1]));
}

/** Continuity errors (2.4.3.3), and bytes that are not in a packet. */
export function continuityErrors(stream: Buffer): number {
  const last = new Map<number, number>();
  let errors = 0;
  for (let at = 0; at + PACKET <= stream.length; at += PACKET) {
    if (stream[at] !== 0x47) return Number.POSITIVE_INFINITY;
    const pid = (((stream[at + 1] ?? 0) & 0x1f) << 8) | (stream[at + 2] ?? 0);
    const control = stream[at + 3] ?? 0;
    const counter = control & 0x0f;
    const announced = (control & 0x20) !== 0 && (stream[at + 4] ?? 0) > 0 && ((stream[at + 5] ?? 0) & 0x80) !== 0;
    const before = last.get(pid);
    if ((control & 0x10) !== 0 && before !== undefined && !announced && counter !== ((before + 1) & 0x0f)) errors += 1;
    last.set(pid, counter);
  }
  return errors;
}
