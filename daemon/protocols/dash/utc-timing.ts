import type { DashDocument } from './document.js';
import type { UtcTiming } from './manifest.js';
import type { XmlElement } from './xml.js';

/** `urn:mpeg:dash:utc:KIND:YEAR`; both years are in use. */
const SCHEME = /^urn:mpeg:dash:utc:(direct|http-head|http-xsdate|http-iso|http-ntp|ntp|sntp):(?:2012|2014)$/;

export function timingKind(scheme: string): UtcTiming['kind'] {
  return (SCHEME.exec(scheme)?.[1] ?? 'other') as UtcTiming['kind'];
}

/** UTCTiming (section 5.8.4.11). */
export function readUtcTiming(document: DashDocument, element: XmlElement): UtcTiming {
  const scheme = document.attribute(element, 'schemeIdUri') ?? '';
  const kind = timingKind(scheme);
  const words = (document.attribute(element, 'value') ?? '').split(/\s+/).filter((word) => word !== '');
  const values = kind.startsWith('http-')
    ? words.map((word) => document.resolve(element.at, word, document.url))
    : words;
  return { kind, scheme, values };
}
