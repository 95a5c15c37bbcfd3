/** Classic nanosecond captures, made and read without any code of the project's. */
import { readFileSync, writeFileSync } from 'node:fs';

const FILE_HEADER = 24;
const RECORD_HEADER = 16;
export const ETHERNET = 1;

export interface Packet {
  readonly timeNs: number;
  readonly bytes: Uint8Array;
}

/** Packets as a file. */
export function writePcap(file: string, packets: readonly Packet[], linkType = ETHERNET): void {
  const header = Buffer.alloc(FILE_HEADER);
  header.writeUInt32LE(0xa1b23c4d, 0);
  header.writeUInt16LE(2, 4);
  header.writeUInt16LE(4, 6);
  header.writeUInt32LE(262_144, 16);
  header.writeUInt32LE(linkType, 20);
  const records = packets.flatMap(({ timeNs, bytes }) => {
    const record = Buffer.alloc(RECORD_HEADER);
    record.writeUInt32LE(Math.floor(timeNs / 1e9), 0);
    record.writeUInt32LE(timeNs % 1e9, 4);
    record.writeUInt32LE(bytes.length, 8);
    record.writeUInt32LE(bytes.length, 12);
    return [record, bytes];
  });
  writeFileSync(file, Buffer.concat([header, ...records]));
}

/** The packets of a little-endian file with nanoseconds; their times are since the first. */
export function readPcap(file: string): Packet[] {
  const bytes = readFileSync(file);
  const packets: Packet[] = [];
  let first: number | undefined;
  for (let at = FILE_HEADER; at < bytes.length; ) {
    const seconds = bytes.readUInt32LE(at);
    first ??= seconds;
    const timeNs = (seconds - first) * 1e9 + bytes.readUInt32LE(at + 4);
    const end = at + RECORD_HEADER + bytes.readUInt32LE(at + 8);
    packets.push({ timeNs, bytes: bytes.subarray(at + RECORD_HEADER, end) });
    at = end;
  }
  return packets;
}

/** A frame with VLAN tags between addresses and EtherType. */
export function tagged(frame: Uint8Array, tags: readonly (readonly [type: number, control: number])[]): Uint8Array {
  const inserted = Buffer.alloc(tags.length * 4);
  tags.forEach(([type, control], at) => {
    inserted.writeUInt16BE(type, at * 4);
    inserted.writeUInt16BE(control, at * 4 + 2);
  });
  return Buffer.concat([frame.subarray(0, 12), inserted, frame.subarray(12)]);
}
