/** Reads the shared table of counters: no call crosses, the loop writes while JavaScript reads. */

/** Gauges that are signed in the table. */
const SIGNED = new Set(['clockPpb']);

const UPPER_WORD = 2 ** 32;

/** A view of the table. The loop's words may be newer from one field to the next; each is whole in itself. */
export class CounterTable {
  /** Halves of 64-bit words, little-endian: numbers cost a tenth of what big integers do, and this is read for each flow. */
  readonly #halves: Uint32Array;
  readonly #slotWords: number;

  constructor(table: ArrayBuffer, slotWords: number) {
    this.#halves = new Uint32Array(table);
    this.#slotWords = slotWords;
  }

  /**
   * The counters of a slot by their names. Exact up to 2^53.
   *
   * @param counters is filled and given back: for what is read often
   */
  read<Name extends string>(
    slot: number,
    names: readonly Name[],
    counters: Partial<Record<Name, number>> = {},
  ): Readonly<Record<Name, number>> {
    let word = slot * this.#slotWords;
    for (const name of names) counters[name] = this.#word(word++, SIGNED.has(name));
    return counters as Record<Name, number>;
  }

  #word(word: number, signed: boolean): number {
    const [low, high] = [2 * word, 2 * word + 1];
    for (;;) {
      const upper = this.#halves[high] ?? 0;
      const lower = this.#halves[low] ?? 0;
      // The lower half may have run over between the two.
      if ((this.#halves[high] ?? 0) === upper) return (signed ? upper | 0 : upper) * UPPER_WORD + lower;
    }
  }

  /** The counters of several slots, each added up. */
  sum<Name extends string>(slots: readonly number[], names: readonly Name[]): Readonly<Record<Name, number>> {
    const each = slots.map((slot) => this.read(slot, names));
    const entries = names.map((name) => [name, each.reduce((sum, counters) => sum + counters[name], 0)] as const);
    return Object.fromEntries(entries) as Record<Name, number>;
  }
}
