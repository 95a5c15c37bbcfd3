/** Reads the shared table of counters: no call crosses, the loop writes while JavaScript reads. */

/** Gauges that are signed in the table. */
const SIGNED = new Set(['clockPpb']);

/** A view of the table. The loop's words may be newer from one field to the next; each is whole in itself. */
export class CounterTable {
  readonly #words: BigUint64Array;
  readonly #slotWords: number;

  constructor(table: ArrayBuffer, slotWords: number) {
    this.#words = new BigUint64Array(table);
    this.#slotWords = slotWords;
  }

  /** The counters of a slot by their names. Exact up to 2^53. */
  read<Name extends string>(slot: number, names: readonly Name[]): Readonly<Record<Name, number>> {
    const base = slot * this.#slotWords;
    const entries = names.map((name, at) => {
      const word = this.#words[base + at] ?? 0n;
      return [name, Number(SIGNED.has(name) ? BigInt.asIntN(64, word) : word)] as const;
    });
    return Object.fromEntries(entries) as Record<Name, number>;
  }

  /** The counters of several slots, each added up. */
  sum<Name extends string>(slots: readonly number[], names: readonly Name[]): Readonly<Record<Name, number>> {
    const each = slots.map((slot) => this.read(slot, names));
    const entries = names.map((name) => [name, each.reduce((sum, counters) => sum + counters[name], 0)] as const);
    return Object.fromEntries(entries) as Record<Name, number>;
  }
}
