import { applyEdits, type Edit } from '../edits.js';
import { DashDocument, findAttribute } from './document.js';
import { timingKind } from './utc-timing.js';
import { decodeXml, escapeXml, type Span, type XmlElement, type XmlLimits } from './xml.js';

/** What a reference in an MPD points to. */
export type DashRole =
  /** BaseURL: what relative references below it refer to. */
  | 'base'
  /** Where the next MPD is. */
  | 'location'
  | 'patch-location'
  | 'steering'
  /** Media segments; a template keeps its `$…$`. */
  | 'media'
  | 'index'
  | 'initialization'
  | 'bitstream-switching'
  /** Where the time is asked for. */
  | 'timing'
  /** Another piece of the MPD. */
  | 'xlink';

/**
 * What is to stand in the place of a reference; null leaves it as written. Relative references of the roles `media`, `index`,
 * `initialization` and `bitstream-switching` follow their BaseURL or the MPD: where those are mapped so that paths below them
 * hold, such references are best left.
 * @param absoluteUrl `http:` or `https:`; resolved by the first of several BaseURLs
 * @param written as it stands in the document
 */
export type MapDashUri = (absoluteUrl: string, role: DashRole, written: string) => string | null;

/** Element -> its attributes that are references. */
const ATTRIBUTES: ReadonlyMap<string, readonly (readonly [name: string, role: DashRole])[]> = new Map([
  [
    'SegmentTemplate',
    [
      ['media', 'media'],
      ['index', 'index'],
      ['initialization', 'initialization'],
      ['bitstreamSwitching', 'bitstream-switching'],
    ],
  ],
  [
    'SegmentURL',
    [
      ['media', 'media'],
      ['index', 'index'],
    ],
  ],
  ['Initialization', [['sourceURL', 'initialization']]],
  ['RepresentationIndex', [['sourceURL', 'index']]],
  ['BitstreamSwitching', [['sourceURL', 'bitstream-switching']]],
]);

/** Elements whose text is a reference. */
const TEXTS: ReadonlyMap<string, DashRole> = new Map([
  ['BaseURL', 'base'],
  ['Location', 'location'],
  ['PatchLocation', 'patch-location'],
  ['ContentSteering', 'steering'],
]);

/** Elements that hold others of DASH; into what else there is (events, descriptors) nobody looks. */
const STRUCTURE = new Set([
  'MPD',
  'Period',
  'AdaptationSet',
  'EmptyAdaptationSet',
  'Representation',
  'SegmentBase',
  'SegmentList',
  'SegmentTemplate',
  'ProducerReferenceTime',
]);

/**
 * Replaces the references of an MPD (ISO/IEC 23009-1) where they stand. Everything else stays as it is, character by
 * character: white space, comments, unknown elements, quotes, the order of attributes.
 * @param text with its byte order mark, if it has one
 * @param documentUrl absolute URL that it came from, after redirects
 * @throws SluiceError MANIFEST_INVALID where the document or a reference cannot be read, or over a limit
 */
export function rewriteDash(text: string, documentUrl: string, mapUri: MapDashUri, limits?: XmlLimits): string {
  const rewriter = new Rewriter(new DashDocument(text, documentUrl, limits), mapUri);
  return applyEdits(text, rewriter.edits());
}

class Rewriter {
  readonly #document: DashDocument;
  readonly #mapUri: MapDashUri;
  readonly #edits: Edit[] = [];

  constructor(document: DashDocument, mapUri: MapDashUri) {
    this.#document = document;
    this.#mapUri = mapUri;
  }

  /** In the order of the text. */
  edits(): Edit[] {
    this.#visit(this.#document.root, this.#document.url);
    return this.#edits.toSorted((one, other) => one.start - other.start);
  }

  #visit(element: XmlElement, base: string): void {
    const document = this.#document;
    const name = document.nameOf(element) ?? '';
    this.#visitAttribute(element, 'xlink:href', 'xlink', base);
    if (name === 'UTCTiming') this.#visitTiming(element);
    const role = TEXTS.get(name);
    if (role !== undefined) this.#visitText(element, role, role === 'base' ? base : document.url);
    for (const [attribute, role] of ATTRIBUTES.get(name) ?? []) this.#visitAttribute(element, attribute, role, base);
    if (!STRUCTURE.has(name)) return;
    const own = document.child(element, 'BaseURL');
    const within = own === undefined ? base : document.resolve(own.at, own.text.trim(), base);
    // BaseURLs of one element are alternatives: each refers to what is above, and holds for all else.
    for (const child of element.children) this.#visit(child, document.nameOf(child) === 'BaseURL' ? base : within);
  }

  #visitAttribute(element: XmlElement, name: string, role: DashRole, base: string): void {
    const attribute = findAttribute(element, name);
    if (attribute !== undefined) this.#map(attribute, attribute.value, role, base);
  }

  #visitText(element: XmlElement, role: DashRole, base: string): void {
    const { start, end } = element.content;
    const raw = this.#document.text.slice(start, end);
    // A comment or a CDATA section within goes with what it stands in.
    const inner = raw.includes('<') ? raw : raw.trim();
    const from = start + raw.indexOf(inner);
    this.#map({ start: from, end: from + inner.length }, element.text, role, base);
  }

  /** The value of an HTTP scheme is a list of URLs. */
  #visitTiming(element: XmlElement): void {
    const scheme = this.#document.attribute(element, 'schemeIdUri') ?? '';
    const value = findAttribute(element, 'value');
    if (value === undefined || !timingKind(scheme).startsWith('http-')) return;
    const raw = this.#document.text.slice(value.start, value.end);
    for (const { 0: word, index } of raw.matchAll(/\S+/g)) {
      const start = value.start + index;
      this.#map({ start, end: start + word.length }, decodeXml(word), 'timing', this.#document.url);
    }
  }

  #map(span: Span, value: string, role: DashRole, base: string): void {
    const written = value.trim();
    const url = this.#document.resolve(span.start, written, base);
    if (!/^https?:/.test(url)) return;
    const mapped = this.#mapUri(url, role, written);
    if (mapped === null || mapped === written) return;
    this.#edits.push({ ...span, replacement: escapeXml(mapped) });
  }
}
