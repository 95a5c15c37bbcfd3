import { invalid } from './invalid.js';
import { DEFAULT_XML_LIMITS, readXml, type XmlAttribute, type XmlElement, type XmlLimits } from './xml.js';

/** Characters of one URL, and of all that is made of a document: levels that multiply each other must not fill the memory. */
const MAX_URL = 8192;
const MAX_MADE = 64 * 2 ** 20;
/** What each thing made counts as, besides its characters. */
const LEAST_COST = 256;
const MAX_SAFE = BigInt(Number.MAX_SAFE_INTEGER);
const DURATION =
  /^P(?:(\d{1,6})Y)?(?:(\d{1,6})M)?(?:(\d{1,9})D)?(?:T(?:(\d{1,9})H)?(?:(\d{1,9})M)?(?:(\d{1,12}(?:\.\d{0,12})?)S)?)?$/;
/** Seconds of each field; years and months, which nobody writes, as 365 and 30 days. */
const FIELDS = [365 * 86_400, 30 * 86_400, 86_400, 3600, 60, 1];
const DATE_TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,12})?(Z|[+-]\d{2}:\d{2})?$/;

/** An MPD as XML, and the readers of its values; each throws MANIFEST_INVALID with the place. */
export class DashDocument {
  readonly text: string;
  readonly root: XmlElement;
  /** Absolute URL that it came from. */
  readonly url: string;
  /** Elements of DASH have the root's prefix; all others are somebody else's. */
  readonly #prefix: string;
  readonly #children = new Map<XmlElement, ReadonlyMap<string, XmlElement[]>>();
  #made = 0;

  constructor(text: string, url: string, limits: XmlLimits = DEFAULT_XML_LIMITS) {
    if (!URL.canParse(url)) throw invalid(text, 0, 'an absolute URL to resolve its references with', url);
    this.text = text;
    this.url = url;
    this.root = readXml(text, limits);
    this.#prefix = this.root.name.slice(0, this.root.name.lastIndexOf(':') + 1);
    if (this.nameOf(this.root) !== 'MPD') throw invalid(text, this.root.at, 'an MPD', `<${this.root.name}>`);
  }

  /** The local name of an element of DASH, or null. */
  nameOf({ name }: XmlElement): string | null {
    const local = name.slice(this.#prefix.length);
    return name.startsWith(this.#prefix) && !local.includes(':') ? local : null;
  }

  children(parent: XmlElement, name: string): readonly XmlElement[] {
    // All representations ask what is above them.
    let names = this.#children.get(parent);
    if (names === undefined) {
      names = this.#byName(parent);
      this.#children.set(parent, names);
    }
    return names.get(name) ?? [];
  }

  child(parent: XmlElement, name: string): XmlElement | undefined {
    return this.children(parent, name)[0];
  }

  #byName(parent: XmlElement): ReadonlyMap<string, XmlElement[]> {
    const names = new Map<string, XmlElement[]>();
    for (const element of parent.children) {
      const name = this.nameOf(element);
      if (name === null) continue;
      const list = names.get(name);
      if (list === undefined) names.set(name, [element]);
      else list.push(element);
    }
    return names;
  }

  /** Counts one thing that is made of the document. @throws SluiceError MANIFEST_INVALID when it is more than anybody needs */
  spend(at: number, characters = 0): void {
    this.#made += LEAST_COST + characters;
    if (this.#made > MAX_MADE)
      throw invalid(this.text, at, `a document that stands for at most ${MAX_MADE} characters`, 'more');
  }

  attribute(element: XmlElement, name: string): string | null {
    return findAttribute(element, name)?.value.trim() ?? null;
  }

  /** xs:unsignedLong up to 2^53-1. */
  integer(element: XmlElement, name: string): number | null {
    const value = this.long(element, name);
    if (value === null) return null;
    if (value < 0n || value > MAX_SAFE) throw this.#wrong(element, name, 'an integer of 0 to 2^53-1');
    return Number(value);
  }

  /** An integer of up to 64 bits, with a sign. */
  long(element: XmlElement, name: string): bigint | null {
    const text = this.attribute(element, name);
    if (text === null) return null;
    if (!/^-?\d{1,19}$/.test(text)) throw this.#wrong(element, name, 'an integer');
    return BigInt(text);
  }

  /** xs:double of 0 and above; `INF` is Infinity. */
  double(element: XmlElement, name: string): number | null {
    const text = this.attribute(element, name);
    if (text === null) return null;
    const value = text === 'INF' ? Number.POSITIVE_INFINITY : Number(text);
    if (text === '' || !(value >= 0)) throw this.#wrong(element, name, 'a number of 0 and above');
    return value;
  }

  /** xs:duration in milliseconds; negative ones are not accepted. */
  duration(element: XmlElement, name: string): number | null {
    const text = this.attribute(element, name);
    if (text === null) return null;
    const match = DURATION.exec(text);
    const fields = match?.slice(1) ?? [];
    if (!fields.some((field) => field !== undefined)) throw this.#wrong(element, name, 'a duration (PT1.5S)');
    return (
      Math.round(FIELDS.reduce((sum, seconds, index) => sum + seconds * Number(fields[index] ?? 0), 0) * 1e6) / 1e3
    );
  }

  /** xs:dateTime in milliseconds since 1970; UTC where no zone is given. */
  dateTime(element: XmlElement, name: string): number | null {
    const text = this.attribute(element, name);
    if (text === null) return null;
    const match = DATE_TIME.exec(text);
    const value = match === null ? Number.NaN : Date.parse(match[1] === undefined ? `${text}Z` : text);
    if (Number.isNaN(value)) throw this.#wrong(element, name, 'a date and time (2024-01-01T00:00:00Z)');
    return value;
  }

  /** An absolute URL of a reference in the document. */
  resolve(at: number, reference: string, base: string): string {
    if (!URL.canParse(reference, base)) throw invalid(this.text, at, 'a URL', reference);
    const { href } = new URL(reference, base);
    if (href.length > MAX_URL) throw invalid(this.text, at, `a URL of at most ${MAX_URL} characters`, reference);
    this.spend(at, href.length);
    return href;
  }

  #wrong(element: XmlElement, name: string, expected: string): Error {
    const attribute = findAttribute(element, name);
    return invalid(this.text, attribute?.start ?? element.at, `${expected} for ${name}`, attribute?.value ?? '');
  }
}

export function findAttribute(element: XmlElement, name: string): XmlAttribute | undefined {
  return element.attributes.find((attribute) => attribute.name === name);
}
