import { SluiceError } from './errors.js';

/** One cell of a table. */
export type Cell = string | number | boolean | null;
/** One line of a table, by column name; further keys are for machines (`--json`) only. */
export type Row = Readonly<Record<string, Cell | readonly string[]>>;

/** What a part offers under a noun: the operator's columns in order, and the lines as they stand now. */
export interface Offer {
  readonly columns: readonly string[];
  /** What an id behind the noun names, such as `flow`, where the lines of one can be asked for. */
  readonly of?: string;
  /** @param id only those of it; only where {@link Offer.of} says what it is */
  rows(id?: string): Promise<readonly Row[]> | readonly Row[];
}

/** A table as read. */
export interface Table {
  readonly noun: string;
  readonly columns: readonly string[];
  readonly rows: readonly Row[];
}

/** Explains one thing: sentences from the cause to the effect, or undefined when there is no thing of that id. */
export type Explain = (id: string) => Promise<readonly string[] | undefined> | readonly string[] | undefined;

/** Where parts put what `sluice show NOUN`, `sluice why NOUN ID` and the admin API read. One per daemon. */
export class Registry {
  readonly #offers = new Map<string, Offer>();
  readonly #explains = new Map<string, Explain>();

  /** Offers a table; returns the function that withdraws it. A noun is offered once. */
  offer(noun: string, offer: Offer): () => void {
    if (this.#offers.has(noun)) throw new Error(`the noun ${noun} is already offered`);
    this.#offers.set(noun, offer);
    return () => void this.#offers.delete(noun);
  }

  /** Offers the answer to `why NOUN ID`; the noun in the singular. */
  explain(noun: string, explain: Explain): () => void {
    if (this.#explains.has(noun)) throw new Error(`the noun ${noun} is already explained`);
    this.#explains.set(noun, explain);
    return () => void this.#explains.delete(noun);
  }

  /** Nouns for `show`, in alphabetical order. */
  nouns(): string[] {
    return [...this.#offers.keys()].sort();
  }

  /** Nouns for `why`, in alphabetical order. */
  explained(): string[] {
    return [...this.#explains.keys()].sort();
  }

  /** Reads one table, or what it has of one thing. Throws USAGE for a noun that nobody offers, or that takes no id. */
  async read(noun: string, id?: string): Promise<Table> {
    const offer = this.#offers.get(noun);
    if (offer === undefined) throw unknownNoun('show', noun, this.nouns());
    if (id !== undefined && offer.of === undefined)
      throw new SluiceError('USAGE', `show: ${noun} takes no id (got ${id})`, { noun, id });
    return { noun, columns: offer.columns, rows: await offer.rows(id) };
  }

  /** Why the thing is as it is; undefined when there is none of that id. Throws USAGE for a noun that nobody explains. */
  async why(noun: string, id: string): Promise<readonly string[] | undefined> {
    const explain = this.#explains.get(noun);
    if (explain === undefined) throw unknownNoun('why', noun, this.explained());
    return explain(id);
  }
}

function unknownNoun(verb: string, noun: string, known: readonly string[]): SluiceError {
  const expected = known.length === 0 ? 'nothing is offered' : `one of ${known.join(', ')}`;
  return new SluiceError('USAGE', `${verb}: unknown noun (expected ${expected}, got ${noun})`, { noun, known });
}
