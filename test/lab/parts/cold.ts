import { createHash } from 'node:crypto';

/** Bytes of each object of the cold origin. */
export const COLD_SIZE = 65_536;

/** What the cold origin gives out at the `generation`-th request of a path, from 1. */
export function coldBody(path: string, generation: number): Buffer {
  const block = createHash('sha256').update(`${path} ${generation}`).digest();
  return Buffer.alloc(COLD_SIZE, block);
}

/** A body as the `stampede` program names it: LENGTH:HASH by FNV-1a of 64 bits. */
export function bodyName(body: Uint8Array): string {
  let hash = 0xcbf29ce484222325n;
  for (const byte of body) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  return `${body.length}:${hash.toString(16).padStart(16, '0')}`;
}
