import { invalid } from './invalid.js';

/** A piece of the text, `end` not included. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

export interface XmlAttribute extends Span {
  /** As written, with its prefix. */
  readonly name: string;
  /** References to characters replaced, white space as written. The span is that of the value between its quotes. */
  readonly value: string;
}

/** An element, and where it stands. */
export interface XmlElement {
  /** As written, with its prefix. */
  readonly name: string;
  /** Offset of its `<`. */
  readonly at: number;
  readonly attributes: readonly XmlAttribute[];
  readonly children: readonly XmlElement[];
  /** Its own character data, references replaced. */
  readonly text: string;
  /** Between the start tag and the end tag; empty for `<X/>`. */
  readonly content: Span;
}

export interface XmlLimits {
  /** Characters of the whole document. */
  readonly maxLength: number;
  readonly maxDepth: number;
  readonly maxElements: number;
  /** Of one element. */
  readonly maxAttributes: number;
}

export const DEFAULT_XML_LIMITS: XmlLimits = {
  maxLength: 4 * 2 ** 20,
  maxDepth: 32,
  maxElements: 100_000,
  maxAttributes: 64,
};

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
interface Open extends Mutable<Omit<XmlElement, 'children' | 'attributes'>> {
  readonly attributes: XmlAttribute[];
  readonly children: XmlElement[];
}

const NAME = /[A-Za-z_:\u00c0-\uffff][\w:.\u00b7-\uffff-]*/y;
const SPACE = /[ \t\r\n]*/y;
const REFERENCE = /&([^;&]{1,12});/g;
const NAMED: ReadonlyMap<string, string> = new Map([
  ['amp', '&'],
  ['lt', '<'],
  ['gt', '>'],
  ['quot', '"'],
  ['apos', "'"],
]);

/**
 * Reads one XML document in one pass, and says where everything stands. Without document types: there are no entities but
 * the five of XML 1.0 (section 4.6), and nothing is fetched.
 * @throws SluiceError MANIFEST_INVALID where it is not well-formed, or over a limit
 */
export function readXml(text: string, limits: XmlLimits = DEFAULT_XML_LIMITS): XmlElement {
  return new Reader(text, limits).read();
}

class Reader {
  readonly #text: string;
  readonly #limits: XmlLimits;
  readonly #open: Open[] = [];
  #root: XmlElement | null = null;
  #elements = 0;
  #at = 0;

  constructor(text: string, limits: XmlLimits) {
    this.#text = text;
    this.#limits = limits;
  }

  read(): XmlElement {
    const text = this.#text;
    if (text.length > this.#limits.maxLength)
      throw this.#invalid(0, `at most ${this.#limits.maxLength} characters`, `${text.length}`);
    if (text.startsWith('\ufeff')) this.#at = 1;
    while (this.#at < text.length) {
      const tag = text.indexOf('<', this.#at);
      const end = tag < 0 ? text.length : tag;
      if (end > this.#at) this.#takeText(this.#at, end);
      this.#at = end;
      if (tag >= 0) this.#takeMarkup();
    }
    const open = this.#open.at(-1);
    if (open !== undefined) throw this.#invalid(open.at, `</${open.name}>`, 'the end of the document');
    if (this.#root === null) throw this.#invalid(0, 'an element', text);
    return this.#root;
  }

  #invalid(at: number, expected: string, got: string): Error {
    return invalid(this.#text, at, expected, got);
  }

  #takeText(start: number, end: number): void {
    const raw = this.#text.slice(start, end);
    const open = this.#open.at(-1);
    if (open !== undefined) open.text += decodeXml(raw);
    else if (raw.trim() !== '') throw this.#invalid(start, 'nothing but an element', raw.trim());
  }

  #takeMarkup(): void {
    const text = this.#text;
    const at = this.#at;
    if (text.startsWith('<!--', at)) this.#at = this.#past('-->', at + 4, 'a comment');
    else if (text.startsWith('<?', at)) this.#at = this.#past('?>', at + 2, 'a processing instruction');
    else if (text.startsWith('<![CDATA[', at)) this.#takeCdata(at);
    else if (text.startsWith('<!', at)) throw this.#invalid(at, 'no document type', text.slice(at, at + 20));
    else if (text.startsWith('</', at)) this.#takeEndTag(at);
    else this.#takeStartTag(at);
  }

  /** The offset behind the end of something. */
  #past(end: string, from: number, what: string): number {
    const found = this.#text.indexOf(end, from);
    if (found < 0) throw this.#invalid(from, `${end} after ${what}`, 'the end of the document');
    return found + end.length;
  }

  #takeCdata(at: number): void {
    const open = this.#open.at(-1);
    if (open === undefined) throw this.#invalid(at, 'an element', '<![CDATA[');
    this.#at = this.#past(']]>', at, 'a CDATA section');
    open.text += this.#text.slice(at + 9, this.#at - 3);
  }

  #takeEndTag(at: number): void {
    const open = this.#open.pop();
    this.#at = at + 2;
    const name = this.#name();
    if (open?.name !== name)
      throw this.#invalid(at, open === undefined ? 'an element' : `</${open.name}>`, `</${name}>`);
    this.#skipSpace();
    this.#expect('>');
    open.content = { start: open.content.start, end: at };
  }

  #takeStartTag(at: number): void {
    this.#at = at + 1;
    const open: Open = {
      name: this.#name(),
      at,
      attributes: [],
      children: [],
      text: '',
      content: { start: 0, end: 0 },
    };
    this.#readAttributes(open.attributes);
    const closed = this.#text[this.#at] === '/';
    if (closed) this.#at += 1;
    this.#expect('>');
    open.content = { start: this.#at, end: this.#at };
    this.#place(open);
    if (!closed) this.#open.push(open);
  }

  #place(element: XmlElement): void {
    const { maxDepth, maxElements } = this.#limits;
    this.#elements += 1;
    if (this.#elements > maxElements) throw this.#invalid(element.at, `at most ${maxElements} elements`, 'one more');
    if (this.#open.length >= maxDepth) throw this.#invalid(element.at, `at most ${maxDepth} levels`, 'one more');
    const parent = this.#open.at(-1);
    if (parent !== undefined) parent.children.push(element);
    else if (this.#root === null) this.#root = element;
    else throw this.#invalid(element.at, 'one root element', `<${element.name}`);
  }

  #readAttributes(attributes: XmlAttribute[]): void {
    const names = new Set<string>();
    for (let spaced = this.#skipSpace(); !/[/>]/.test(this.#text[this.#at] ?? '>'); spaced = this.#skipSpace()) {
      const at = this.#at;
      if (!spaced) throw this.#invalid(at, 'white space before an attribute', this.#text[at] ?? '');
      const attribute = this.#readAttribute();
      if (names.has(attribute.name)) throw this.#invalid(at, 'every attribute once', attribute.name);
      names.add(attribute.name);
      const { maxAttributes } = this.#limits;
      if (attributes.length >= maxAttributes)
        throw this.#invalid(at, `at most ${maxAttributes} attributes`, 'one more');
      attributes.push(attribute);
    }
  }

  #readAttribute(): XmlAttribute {
    const name = this.#name();
    this.#skipSpace();
    this.#expect('=');
    this.#skipSpace();
    const quote = this.#text[this.#at] ?? '';
    if (quote !== '"' && quote !== "'") throw this.#invalid(this.#at, 'a quoted value', quote);
    const start = this.#at + 1;
    const end = this.#past(quote, start, 'a value') - 1;
    const raw = this.#text.slice(start, end);
    const less = raw.indexOf('<');
    if (less >= 0) throw this.#invalid(start + less, `${quote} after a value`, '<');
    this.#at = end + 1;
    return { name, value: decodeXml(raw), start, end };
  }

  #name(): string {
    NAME.lastIndex = this.#at;
    const name = NAME.exec(this.#text)?.[0];
    if (name === undefined) throw this.#invalid(this.#at, 'a name', this.#text.slice(this.#at, this.#at + 20));
    this.#at += name.length;
    return name;
  }

  #expect(character: string): void {
    const found = this.#text[this.#at] ?? '';
    if (found !== character) throw this.#invalid(this.#at, character, found);
    this.#at += 1;
  }

  #skipSpace(): boolean {
    SPACE.lastIndex = this.#at;
    const { length } = SPACE.exec(this.#text)?.[0] ?? '';
    this.#at += length;
    return length > 0;
  }
}

/**
 * Replaces the references to characters (XML 1.0 section 4.1). An ampersand that begins none stands for itself: encoders
 * write such URLs, and players read them.
 */
export function decodeXml(raw: string): string {
  if (!raw.includes('&')) return raw;
  return raw.replace(REFERENCE, (whole, name: string) => NAMED.get(name) ?? codePoint(name) ?? whole);
}

/** `#65` or `#x41` (XML 1.0 section 4.1). */
function codePoint(name: string): string | undefined {
  const digits = /^#(?:(\d+)|x([\dA-Fa-f]+))$/.exec(name);
  const code =
    digits === null ? Number.NaN : Number.parseInt(digits[1] ?? digits[2] ?? '', digits[1] === undefined ? 16 : 10);
  return code > 0 && code <= 0x10ffff && !(code >= 0xd800 && code < 0xe000) ? String.fromCodePoint(code) : undefined;
}

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&apos;',
};

/** As it may stand in character data, and in a value in either kind of quotes. */
export function escapeXml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ESCAPES[character] ?? character);
}
