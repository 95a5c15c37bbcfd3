import { test } from 'tap';
import { PcapngBlocks } from '../../daemon/cli/capture-control.js';

/** A block of pcapng: its type, its length at both ends, and what is between. */
function block(type: number, body: Buffer): Buffer {
  const out = Buffer.alloc(12 + body.length);
  out.writeUInt32LE(type);
  out.writeUInt32LE(out.length, 4);
  body.copy(out, 8);
  out.writeUInt32LE(out.length, out.length - 4);
  return out;
}

function packet(onTheWire: number): Buffer {
  const body = Buffer.alloc(20 + 8);
  body.writeUInt32LE(8, 12);
  body.writeUInt32LE(onTheWire, 16);
  return block(6, body);
}

test('what is written ends with a whole block, however the bytes come', async (t) => {
  const whole = Buffer.concat([block(0x0a0d0d0a, Buffer.alloc(16)), packet(60), packet(1500)]);
  for (const size of [1, 3, 40, whole.length]) {
    const blocks = new PcapngBlocks();
    const out: Buffer[] = [];
    const file = Buffer.concat([whole, packet(9).subarray(0, 20)]);
    for (let at = 0; at < file.length; at += size) out.push(blocks.take(file.subarray(at, at + size)));
    t.ok(Buffer.concat(out).equals(whole), `${size} bytes at a time`);
    t.equal(blocks.packets, 2);
    t.equal(blocks.bytes, 1560);
  }
  t.throws(() => new PcapngBlocks().take(Buffer.alloc(8)), { code: 'CAPTURE_INVALID' });
});
