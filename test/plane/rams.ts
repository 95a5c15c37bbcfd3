/** Messages of rapid acquisition, written here from RFC 6285 section 7: RTPFB with FMT 6, for peers of both sides. */

const RTPFB = 205;
const RAMS = 6;

/** SFMT. */
export const REQUEST = 1;
export const INFORMATION = 2;
export const TERMINATION = 3;

/** Types of TLV elements. */
export const TLV = {
  sources: 1,
  minFill: 2,
  maxRate: 4,
  source: 31,
  first: 32,
  join: 33,
  duration: 34,
  rate: 35,
  multicast: 61,
} as const;

export interface Rams {
  /** SSRC of the packet's sender, and of the media. */
  readonly sender: number;
  readonly media: number;
  /** SFMT. */
  readonly kind: number;
  /** Of RAMS-I: message sequence number and response. */
  readonly number: number;
  readonly response: number;
  readonly elements: ReadonlyMap<number, Buffer>;
}

export function word(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
}

export function half(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value & 0xffff);
  return bytes;
}

export function long(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(value);
  return bytes;
}

/** Type, reserved, length; the value is filled up to whole words (section 7.1). */
function element(type: number, value: Buffer): Buffer {
  const bytes = Buffer.alloc(4 + Math.ceil(value.length / 4) * 4);
  bytes.writeUInt8(type, 0);
  bytes.writeUInt16BE(value.length, 2);
  value.copy(bytes, 4);
  return bytes;
}

/** Feedback of whatever control information: a whole number of words. */
export function feedback(sender: number, media: number, control: Buffer): Buffer {
  const bytes = Buffer.concat([Buffer.from([0x80 | RAMS, RTPFB, 0, 0]), word(sender), word(media), control]);
  bytes.writeUInt16BE(bytes.length / 4 - 1, 2);
  return bytes;
}

export function write({ sender, media, kind, number, response, elements }: Rams): Buffer {
  const head = Buffer.from([kind, number, response >> 8, response & 0xff]);
  const rest = [...elements].map(([type, value]) => element(type, value));
  return feedback(sender, media, Buffer.concat([head, ...rest]));
}

function readElements(bytes: Buffer): Map<number, Buffer> {
  const elements = new Map<number, Buffer>();
  for (let at = 0; at < bytes.length; ) {
    const size = bytes.readUInt16BE(at + 2);
    elements.set(bytes.readUInt8(at), bytes.subarray(at + 4, at + 4 + size));
    at += 4 + Math.ceil(size / 4) * 4;
  }
  return elements;
}

/** Packet types of a compound, and its message of rapid acquisition where it has one. */
export function read(datagram: Buffer): { readonly types: number[]; readonly rams: Rams | undefined } {
  const types: number[] = [];
  let rams: Rams | undefined;
  for (let at = 0; at < datagram.length; ) {
    const end = at + 4 * (1 + datagram.readUInt16BE(at + 2));
    const type = datagram.readUInt8(at + 1);
    types.push(type);
    if (type === RTPFB && (datagram.readUInt8(at) & 31) === RAMS) {
      const [kind, number] = [datagram.readUInt8(at + 12), datagram.readUInt8(at + 13)];
      const [sender, media] = [datagram.readUInt32BE(at + 4), datagram.readUInt32BE(at + 8)];
      const elements = readElements(datagram.subarray(at + 16, end));
      rams = { sender, media, kind, number, response: datagram.readUInt16BE(at + 14), elements };
    }
    at = end;
  }
  return { types, rams };
}

/** RFC 5761 section 4. */
export function isRtcp(datagram: Buffer): boolean {
  const type = datagram.readUInt8(1);
  return type >= 192 && type <= 223;
}

/** A packet sent again (RFC 4588 section 4). */
export function retransmission(original: Buffer, ssrc: number, sequence: number): Buffer {
  const bytes = Buffer.concat([original.subarray(0, 12), half(original.readUInt16BE(2)), original.subarray(12)]);
  bytes.writeUInt8(97, 1);
  bytes.writeUInt16BE(sequence & 0xffff, 2);
  bytes.writeUInt32BE(ssrc >>> 0, 8);
  return bytes;
}
