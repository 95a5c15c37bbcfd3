/** Finds the first picture that a decoder can show in MPEG-TS of one programme (ISO/IEC 13818-1). */
const TS_PACKET = 188;
const SYNC = 0x47;
const PAT_PID = 0;
/** H.264 and HEVC (13818-1 table 2-34). */
const VIDEO = new Set([0x1b, 0x24]);

/**
 * Takes bytes as they come: a picture can be decoded when PAT and PMT came before it, it is a random access point, and all of
 * it is there, which the beginning of the next one tells.
 */
export class FirstPicture {
  #rest = Buffer.alloc(0);
  #pmt: number | undefined;
  #video: number | undefined;
  #begun = false;
  #found = false;

  /** True once it is there. */
  take(bytes: Buffer): boolean {
    const all = Buffer.concat([this.#rest, bytes]);
    let at = 0;
    for (; !this.#found && at + TS_PACKET <= all.length; at += TS_PACKET)
      this.#packet(all.subarray(at, at + TS_PACKET));
    this.#rest = all.subarray(at);
    return this.#found;
  }

  #packet(packet: Buffer): void {
    if (packet[0] !== SYNC) throw new Error(`expected a sync byte, got ${packet[0]}`);
    const pid = packet.readUInt16BE(1) & 0x1fff;
    const begins = ((packet[1] ?? 0) & 0x40) !== 0;
    if (!begins) return;
    if (pid === PAT_PID) this.#pmt = programMapOf(payload(packet));
    else if (pid === this.#pmt) this.#video = videoOf(payload(packet));
    else if (pid === this.#video) {
      this.#found = this.#begun;
      this.#begun ||= isAccessPoint(packet);
    }
  }
}

function payload(packet: Buffer): Buffer {
  const adapted = ((packet[3] ?? 0) & 0x20) !== 0;
  return packet.subarray(4 + (adapted ? 1 + (packet[4] ?? 0) : 0));
}

/** random_access_indicator of the adaptation field (2.4.3.5). */
function isAccessPoint(packet: Buffer): boolean {
  return ((packet[3] ?? 0) & 0x20) !== 0 && (packet[4] ?? 0) > 0 && ((packet[5] ?? 0) & 0x40) !== 0;
}

/** A section behind its pointer field (2.4.4.1). */
function section(bytes: Buffer): Buffer {
  return bytes.subarray(1 + (bytes[0] ?? 0));
}

/** PID of the first programme's PMT (2.4.4.4). */
function programMapOf(bytes: Buffer): number {
  return section(bytes).readUInt16BE(10) & 0x1fff;
}

/** PID of the first video stream (2.4.4.9). */
function videoOf(bytes: Buffer): number | undefined {
  const map = section(bytes);
  const end = 3 + (map.readUInt16BE(1) & 0xfff) - 4;
  for (let at = 12 + (map.readUInt16BE(10) & 0xfff); at + 5 <= end; at += 5 + (map.readUInt16BE(at + 3) & 0xfff)) {
    if (VIDEO.has(map[at] ?? 0)) return map.readUInt16BE(at + 1) & 0x1fff;
  }
  return undefined;
}
