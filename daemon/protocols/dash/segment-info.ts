import type { DashDocument } from './document.js';
import { invalid } from './invalid.js';
import type { DashRange, SegmentInfo, TimelineRun, UrlRange } from './manifest.js';
import type { XmlElement } from './xml.js';

/** The elements of one kind on the levels of the document, the innermost first: each level's values hold where those inside are silent. */
class Levels {
  readonly #document: DashDocument;
  readonly #elements: readonly XmlElement[];
  readonly #base: string;

  constructor(document: DashDocument, elements: readonly XmlElement[], base: string) {
    this.#document = document;
    this.#elements = elements;
    this.#base = base;
  }

  get<T>(read: (element: XmlElement) => T | null | undefined): T | null {
    for (const element of this.#elements) {
      const value = read(element);
      if (value !== null && value !== undefined) return value;
    }
    return null;
  }

  text(name: string): string | null {
    return this.get((element) => this.#document.attribute(element, name));
  }

  integer(name: string): number | null {
    return this.get((element) => this.#document.integer(element, name));
  }

  common() {
    const document = this.#document;
    const timescale = this.integer('timescale') ?? 1;
    if (timescale === 0) throw this.invalid('a timescale above 0', '0');
    return {
      timescale,
      presentationTimeOffset: this.get((element) => document.long(element, 'presentationTimeOffset')) ?? 0n,
      availabilityTimeOffset: this.get((element) => document.double(element, 'availabilityTimeOffset')) ?? 0,
      availabilityTimeComplete: this.text('availabilityTimeComplete') !== 'false',
    };
  }

  multiple() {
    const startNumber = this.integer('startNumber') ?? 1;
    const timeline = this.get((element) => this.#document.child(element, 'SegmentTimeline'));
    const duration = timeline === null ? this.integer('duration') : null;
    if (duration === 0) throw this.invalid('a duration above 0', '0');
    return {
      ...this.common(),
      startNumber,
      endNumber: this.integer('endNumber'),
      duration,
      timeline: timeline === null ? null : readTimeline(this.#document, timeline, startNumber),
    };
  }

  /** Child elements of URLType (section 5.3.9.2.3). */
  urlRange(name: string): UrlRange | null {
    const document = this.#document;
    const element = this.get((level) => document.child(level, name));
    return element === null ? null : this.resource(element, 'sourceURL', 'range');
  }

  segmentUrls(): UrlRange[] {
    const document = this.#document;
    const list = this.get((level) => {
      const found = document.children(level, 'SegmentURL');
      return found.length > 0 ? found : null;
    });
    return (list ?? []).map((element) => this.resource(element, 'media', 'mediaRange'));
  }

  resource(element: XmlElement, url: string, range: string): UrlRange {
    const document = this.#document;
    return {
      url: document.resolve(element.at, document.attribute(element, url) ?? '', this.#base),
      range: readRange(document, element, range),
    };
  }

  range(name: string): DashRange | null {
    return this.get((element) => readRange(this.#document, element, name));
  }

  invalid(expected: string, got: string): Error {
    return invalid(this.#document.text, this.#elements[0]?.at ?? 0, expected, got);
  }
}

function readRange(document: DashDocument, element: XmlElement, name: string): DashRange | null {
  const text = document.attribute(element, name);
  if (text === null) return null;
  const match = /^(\d{1,15})-(\d{1,15})$/.exec(text);
  const range = { from: Number(match?.[1] ?? Number.NaN), to: Number(match?.[2] ?? Number.NaN) };
  if (!(range.from <= range.to)) throw invalid(document.text, element.at, `FIRST-LAST for ${name}`, text);
  return range;
}

/** SegmentTimeline (section 5.3.9.6): runs as written, times and numbers filled in. */
function readTimeline(document: DashDocument, timeline: XmlElement, startNumber: number): TimelineRun[] {
  const runs: TimelineRun[] = [];
  let time = 0n;
  let number = startNumber;
  const entries = document.children(timeline, 'S');
  entries.forEach((entry, index) => {
    const wrong = (expected: string): Error =>
      invalid(document.text, entry.at, expected, document.text.slice(entry.at, entry.at + 40));
    const duration = document.integer(entry, 'd') ?? 0;
    if (duration === 0) throw wrong('a d above 0');
    const start = document.long(entry, 't') ?? time;
    number = document.integer(entry, 'n') ?? number;
    const following = entries[index + 1];
    const next = following === undefined ? null : document.long(following, 't');
    const count = countOf(document.long(entry, 'r') ?? 0n, start, duration, next);
    if (count === null && following !== undefined) throw wrong('a t after an open repeat');
    if (count !== null && !Number.isSafeInteger(number + count)) throw wrong('segment numbers below 2^53');
    document.spend(entry.at);
    runs.push({ time: start, duration, number, count });
    time = start + BigInt(duration) * BigInt(count ?? 0);
    number += count ?? 0;
  });
  return runs;
}

/** Segments of an S; a negative repeat goes on to the next S, or to the end of the period (null). */
function countOf(repeat: bigint, start: bigint, duration: number, next: bigint | null): number | null {
  if (repeat >= 0n) return Number(repeat) + 1;
  if (next === null) return null;
  const length = BigInt(duration);
  return Math.max(1, Number((next - start + length - 1n) / length));
}

/**
 * How the segments of a representation are found, with what the levels above say (section 5.3.9.1).
 * @param levels representation, adaptation set, period
 * @param base absolute URL that relative references refer to
 */
export function readSegmentInfo(
  document: DashDocument,
  levels: readonly XmlElement[],
  base: string,
): SegmentInfo | null {
  const of = (name: string): Levels | null => {
    const elements = levels.flatMap((level) => document.child(level, name) ?? []);
    return elements.length === 0 ? null : new Levels(document, elements, base);
  };
  const template = of('SegmentTemplate');
  if (template !== null)
    return {
      kind: 'template',
      ...template.multiple(),
      media: template.text('media'),
      initialization: template.text('initialization'),
      index: template.text('index'),
    };
  const list = of('SegmentList');
  if (list !== null)
    return {
      kind: 'list',
      ...list.multiple(),
      initialization: list.urlRange('Initialization'),
      segments: list.segmentUrls(),
    };
  const single = of('SegmentBase');
  if (single === null) return null;
  return {
    kind: 'base',
    ...single.common(),
    initialization: single.urlRange('Initialization'),
    indexRange: single.range('indexRange'),
  };
}
