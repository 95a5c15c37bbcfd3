import type { DashDocument } from './document.js';
import { invalid } from './invalid.js';
import type { BaseUrl } from './manifest.js';
import type { XmlElement } from './xml.js';

/** Alternatives of one representation, over all levels. */
const MAX_ALTERNATIVES = 64;

/** What relative references in the document itself refer to. */
export function documentBase(document: DashDocument): BaseUrl[] {
  return [{ url: document.url, serviceLocation: null, availabilityTimeOffset: 0, availabilityTimeComplete: true }];
}

/** The alternatives within an element: each of its BaseURLs with each of those above it (section 5.6.4). */
export function basesWithin(
  document: DashDocument,
  element: XmlElement,
  above: readonly BaseUrl[],
): readonly BaseUrl[] {
  const own = document.children(element, 'BaseURL');
  if (own.length === 0) return above;
  if (own.length * above.length > MAX_ALTERNATIVES)
    throw invalid(document.text, element.at, `at most ${MAX_ALTERNATIVES} alternative base URLs`, 'more');
  return own.flatMap((base) =>
    above.map((parent) => ({
      url: document.resolve(base.at, base.text.trim(), parent.url),
      serviceLocation: document.attribute(base, 'serviceLocation') ?? parent.serviceLocation,
      availabilityTimeOffset: parent.availabilityTimeOffset + (document.double(base, 'availabilityTimeOffset') ?? 0),
      availabilityTimeComplete:
        parent.availabilityTimeComplete && document.attribute(base, 'availabilityTimeComplete') !== 'false',
    })),
  );
}
