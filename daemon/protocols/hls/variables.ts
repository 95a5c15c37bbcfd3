import { scanAttributes } from './attributes.js';
import { invalid, type Line, type PlaylistLimits } from './lines.js';

const REFERENCE = /\{\$([A-Za-z0-9_-]{1,256})\}/g;
const NAME = /^[A-Za-z0-9_-]{1,256}$/;
const NONE: ReadonlyMap<string, string> = new Map();

/**
 * The variables of one playlist (RFC 8216bis sections 4.3 and 4.4.2.3). They hold from their EXT-X-DEFINE on. A playlist that
 * declares none is taken to mean `{$name}` as it stands there.
 */
export class Variables {
  readonly #base: string;
  readonly #limits: PlaylistLimits;
  readonly #imports: ReadonlyMap<string, string>;
  readonly #values = new Map<string, string>();
  /** Characters put in for references so far: definitions that multiply each other must not fill the memory. */
  #expanded = 0;

  /**
   * @param base URL of the playlist, for QUERYPARAM
   * @param imports variables of the multivariant playlist, for IMPORT
   */
  constructor(base: string, limits: PlaylistLimits, imports: ReadonlyMap<string, string> = NONE) {
    this.#base = base;
    this.#limits = limits;
    this.#imports = imports;
  }

  /** Name -> value of what has been declared so far. */
  get values(): ReadonlyMap<string, string> {
    return this.#values;
  }

  /** Takes an EXT-X-DEFINE. @throws SluiceError PLAYLIST_INVALID where it gives no value, or a name twice */
  define(line: Line): void {
    const attributes = new Map([...scanAttributes(line)].map(({ name, value }) => [name, value]));
    const [kind, name] = ['NAME', 'IMPORT', 'QUERYPARAM']
      .map((kind) => [kind, attributes.get(kind)] as const)
      .find(([, name]) => name !== undefined) ?? ['', ''];
    if (name === undefined || !NAME.test(name))
      throw invalid(line.number, 'a variable name for NAME, IMPORT or QUERYPARAM in EXT-X-DEFINE', line.value);
    if (this.#values.has(name)) throw invalid(line.number, 'every variable declared once', name);
    const value = this.#valueOf(kind, name, attributes.get('VALUE'));
    if (value === null) throw invalid(line.number, `a value for the ${kind} of EXT-X-DEFINE`, name);
    this.#values.set(name, this.apply(line, value));
  }

  #valueOf(kind: string, name: string, written: string | undefined): string | null {
    if (kind === 'IMPORT') return this.#imports.get(name) ?? null;
    if (kind === 'QUERYPARAM') return new URL(this.#base).searchParams.get(name) || null;
    return written ?? null;
  }

  /** The text with every `{$name}` replaced. @throws SluiceError PLAYLIST_INVALID where one is not declared */
  apply(line: Line, text: string): string {
    if (this.#values.size === 0 || !text.includes('{$')) return text;
    const result = text.replace(REFERENCE, (reference, name: string) => {
      const value = this.#values.get(name);
      if (value === undefined)
        throw invalid(line.number, 'only variables declared by an EXT-X-DEFINE above', reference);
      this.#expanded += value.length;
      if (this.#expanded > this.#limits.maxBytes)
        throw invalid(line.number, `variables that stand for at most ${this.#limits.maxBytes} characters`, 'more');
      return value;
    });
    if (result.length > this.#limits.maxLineLength)
      throw invalid(line.number, `at most ${this.#limits.maxLineLength} characters`, `${result.length} characters`);
    return result;
  }
}
