/** Random numbers that a seed repeats (mulberry32). */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** Even in [0, 1). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number in [0, bound). */
  below(bound: number): number {
    return Math.floor(this.next() * bound);
  }

  pick<T>(items: readonly [T, ...T[]]): T {
    return items[this.below(items.length)] ?? items[0];
  }

  bytes(size: number): Buffer {
    return Buffer.from(Array.from({ length: size }, () => this.below(256)));
  }

  /** A copy with some bytes overwritten, some cut out and some put in. */
  damage(bytes: Uint8Array, places = 8): Buffer {
    let damaged = Buffer.from(bytes);
    for (let i = 0; i < places && damaged.length > 0; i++) {
      const at = this.below(damaged.length);
      const size = 1 + this.below(16);
      const kind = this.below(3);
      const rest = damaged.subarray(at + (kind === 1 ? 0 : size));
      damaged = Buffer.concat([damaged.subarray(0, at), kind === 0 ? Buffer.alloc(0) : this.bytes(size), rest]);
    }
    return damaged;
  }
}
