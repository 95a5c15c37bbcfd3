import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { ROOT } from '../../daemon/cli/root.js';

export const PACKET = 188;
export const HIGH = join(ROOT, 'fixtures', 'pcap', 'demo-high.pcap');
export const LOW = join(ROOT, 'fixtures', 'pcap', 'demo-low.pcap');

/** A folder that is gone after the test. */
export function temporaryFolder(t: Test): string {
  const path = mkdtempSync(join(tmpdir(), 'sluice-replay-'));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** Packets whose continuity counter does not follow the one before on its PID (ISO/IEC 13818-1 2.4.3.3). */
export function continuityErrors(ts: Uint8Array): number {
  const last = new Map<number, number>();
  let errors = 0;
  for (let at = 0; at + PACKET <= ts.length; at += PACKET) {
    const [sync = 0, high = 0, low = 0, flags = 0] = ts.subarray(at, at + 4);
    const pid = ((high & 0x1f) << 8) | low;
    if (sync !== 0x47) errors++;
    if (pid === 0x1fff) continue;
    const before = last.get(pid);
    const expected = ((before ?? 0) + ((flags & 0x10) === 0 ? 0 : 1)) & 15;
    if (before !== undefined && (flags & 15) !== expected) errors++;
    last.set(pid, flags & 15);
  }
  return errors;
}

/** All PCRs of a stream, 27 MHz. */
export function clocks(ts: Uint8Array): number[] {
  const found: number[] = [];
  for (let at = 0; at + PACKET <= ts.length; at += PACKET) {
    const p = ts.subarray(at, at + PACKET);
    if (((p[3] ?? 0) & 0x20) === 0 || (p[4] ?? 0) < 7 || ((p[5] ?? 0) & 0x10) === 0) continue;
    const view = new DataView(p.buffer, p.byteOffset + 6, 6);
    found.push((view.getUint32(0) * 2 + (view.getUint8(4) >> 7)) * 300 + (view.getUint16(4) & 0x1ff));
  }
  return found;
}
