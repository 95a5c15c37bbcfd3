// A small MPEG-TS for tests of the plane: PAT, PMT, and pictures with PCR, PTS and access points, at a constant rate.

const PACKET = 188;
const VIDEO = 0x100;
const PMT = 0x1000;
const CLOCK = 27_000_000;

function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte << 24;
    for (let bit = 0; bit < 8; bit++) crc = crc & 0x80000000 ? (crc << 1) ^ 0x04c11db7 : crc << 1;
  }
  return crc >>> 0;
}

function header(pid: number, start: boolean, control: number, counter: number): Buffer {
  const packet = Buffer.alloc(PACKET, 0xff);
  packet.set([0x47, (start ? 0x40 : 0) | (pid >> 8), pid & 0xff, control | (counter & 15)]);
  return packet;
}

function table(pid: number, counter: number, section: readonly number[]): Buffer {
  const packet = header(pid, true, 0x10, counter);
  const body = Buffer.from(section);
  body[1] = 0xb0;
  body[2] = body.length + 1;
  packet[4] = 0;
  packet.set(body, 5);
  packet.writeUInt32BE(crc32(body), 5 + body.length);
  return packet;
}

/** Makes one packet after the other, `perSecond` a second; a picture in 40 ms, of which so many make a group. */
export class TsMaker {
  #made = 0;
  readonly #counters = new Map<number, number>();
  readonly #perSecond: number;
  readonly #group: number;

  constructor(perSecond = 2500, group = 25) {
    this.#perSecond = perSecond;
    this.#group = group;
  }

  make(packets: number): Buffer {
    return Buffer.concat(Array.from({ length: packets }, () => this.#next()));
  }

  #count(pid: number): number {
    const counter = this.#counters.get(pid) ?? 0;
    this.#counters.set(pid, counter + 1);
    return counter;
  }

  #next(): Buffer {
    const phase = this.#made % (this.#perSecond / 25);
    const entry = Math.floor(this.#made / (this.#perSecond / 25)) % this.#group === 0;
    const clock = Math.floor((this.#made++ * CLOCK) / this.#perSecond);
    if (entry && phase === 0) return table(0, this.#count(0), [0, 0, 0, 0, 1, 0xc1, 0, 0, 0, 1, 0xf0, 0]);
    if (entry && phase === 1) {
      const section = [2, 0, 0, 0, 1, 0xc1, 0, 0, 0xe1, 0, 0xf0, 0, 0x1b, 0xe1, 0, 0xf0, 0];
      return table(PMT, this.#count(PMT), section);
    }
    if (phase === (entry ? 2 : 0)) return this.#picture(entry, clock);
    return header(VIDEO, false, 0x10, this.#count(VIDEO)).fill(0x55, 4);
  }

  #picture(entry: boolean, clock: number): Buffer {
    const packet = header(VIDEO, true, 0x30, this.#count(VIDEO));
    const base = Math.floor(clock / 300);
    packet.set([7, entry ? 0x50 : 0x10], 4);
    packet.writeUInt32BE(Math.floor(base / 2), 6);
    packet.set([((base & 1) << 7) | 0x7e | ((clock % 300) >> 8), (clock % 300) & 0xff], 10);
    const pts = base + 9000;
    const stamp = [
      0x21 | ((pts / 2 ** 29) & 0x0e),
      (pts >> 22) & 0xff,
      ((pts >> 14) & 0xfe) | 1,
      (pts >> 7) & 0xff,
      ((pts << 1) & 0xfe) | 1,
    ];
    packet.set([0, 0, 1, 0xe0, 0, 0, 0x80, 0x80, 5, ...stamp, 0, 0, 0, 1, entry ? 0x65 : 0x41], 12);
    return packet;
  }
}
