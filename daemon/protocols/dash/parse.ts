import { basesWithin, documentBase } from './base-url.js';
import { DashDocument } from './document.js';
import { invalid } from './invalid.js';
import type { AdaptationSet, BaseUrl, EventStream, Manifest, Period, Representation } from './manifest.js';
import { readSegmentInfo } from './segment-info.js';
import { readUtcTiming } from './utc-timing.js';
import type { XmlElement, XmlLimits } from './xml.js';

/**
 * Reads an MPD of ISO/IEC 23009-1. What is not known in it is passed over.
 * @param url absolute, that it came from, after redirects: relative references refer to it
 * @throws SluiceError MANIFEST_INVALID, naming line and column, what was expected and what came; never anything else
 */
export function parseManifest(text: string, url: string, limits?: XmlLimits): Manifest {
  const document = new DashDocument(text, url, limits);
  const { root } = document;
  const type = document.attribute(root, 'type') ?? 'static';
  if (type !== 'static' && type !== 'dynamic') throw invalid(text, root.at, 'static or dynamic for type', type);
  const durationMs = document.duration(root, 'mediaPresentationDuration');
  return {
    isDynamic: type === 'dynamic',
    profiles: (document.attribute(root, 'profiles') ?? '').split(/[\s,]+/).filter((profile) => profile !== ''),
    availabilityStartMs: document.dateTime(root, 'availabilityStartTime'),
    availabilityEndMs: document.dateTime(root, 'availabilityEndTime'),
    publishTimeMs: document.dateTime(root, 'publishTime'),
    durationMs,
    minimumUpdateMs: document.duration(root, 'minimumUpdatePeriod'),
    minBufferMs: document.duration(root, 'minBufferTime'),
    timeShiftBufferMs: document.duration(root, 'timeShiftBufferDepth'),
    suggestedDelayMs: document.duration(root, 'suggestedPresentationDelay'),
    locations: document
      .children(root, 'Location')
      .map((element) => document.resolve(element.at, element.text.trim(), url)),
    patchLocations: document.children(root, 'PatchLocation').map((element) => ({
      url: document.resolve(element.at, element.text.trim(), url),
      ttlMs: secondsToMs(document.double(element, 'ttl')),
    })),
    utcTimings: document.children(root, 'UTCTiming').map((element) => readUtcTiming(document, element)),
    periods: readPeriods(document, type === 'static', durationMs),
  };
}

function secondsToMs(seconds: number | null): number | null {
  return seconds === null ? null : seconds * 1000;
}

/** Periods, with the starts and durations that are left out derived from their neighbours (section 5.3.2.1). */
function readPeriods(document: DashDocument, isStatic: boolean, durationMs: number | null): Period[] {
  const elements = document.children(document.root, 'Period');
  const bases = basesWithin(document, document.root, documentBase(document));
  const starts: (number | null)[] = [];
  elements.forEach((element, index) => {
    const before = elements[index - 1];
    const previous = starts[index - 1];
    const previousDuration = before === undefined ? null : document.duration(before, 'duration');
    const derived =
      previous === undefined || previous === null || previousDuration === null ? null : previous + previousDuration;
    starts.push(document.duration(element, 'start') ?? derived ?? (index === 0 && isStatic ? 0 : null));
  });
  return elements.map((element, index) => {
    const start = starts[index] ?? null;
    const end = index + 1 < elements.length ? (starts[index + 1] ?? null) : durationMs;
    const derived = start === null || end === null ? null : Math.max(0, end - start);
    return readPeriod(document, element, bases, start, document.duration(element, 'duration') ?? derived);
  });
}

function readPeriod(
  document: DashDocument,
  element: XmlElement,
  above: readonly BaseUrl[],
  startMs: number | null,
  durationMs: number | null,
): Period {
  const bases = basesWithin(document, element, above);
  const xlink = document.attribute(element, 'xlink:href');
  return {
    id: document.attribute(element, 'id'),
    startMs,
    durationMs,
    xlink: xlink === null ? null : document.resolve(element.at, xlink, above[0]?.url ?? document.url),
    adaptationSets: document
      .children(element, 'AdaptationSet')
      .map((set) => readAdaptationSet(document, set, element, bases)),
    eventStreams: document.children(element, 'EventStream').map((stream) => readEventStream(document, stream)),
  };
}

function readAdaptationSet(
  document: DashDocument,
  element: XmlElement,
  period: XmlElement,
  above: readonly BaseUrl[],
): AdaptationSet {
  const bases = basesWithin(document, element, above);
  return {
    id: document.attribute(element, 'id'),
    contentType: document.attribute(element, 'contentType'),
    lang: document.attribute(element, 'lang'),
    representations: document
      .children(element, 'Representation')
      .map((representation) => readRepresentation(document, [representation, element, period], bases)),
  };
}

/** @param levels representation, adaptation set, period */
function readRepresentation(
  document: DashDocument,
  levels: readonly [XmlElement, XmlElement, XmlElement],
  above: readonly BaseUrl[],
): Representation {
  const [element, set] = levels;
  const id = document.attribute(element, 'id');
  const bandwidth = document.integer(element, 'bandwidth');
  if (id === null || bandwidth === null)
    throw invalid(document.text, element.at, `${id === null ? 'id' : 'bandwidth'} of a Representation`, '');
  const inherited = <T>(read: (element: XmlElement) => T | null): T | null => read(element) ?? read(set);
  const baseUrls = basesWithin(document, element, above);
  return {
    id,
    bandwidth,
    mimeType: inherited((e) => document.attribute(e, 'mimeType')),
    codecs: inherited((e) => document.attribute(e, 'codecs')),
    width: inherited((e) => document.integer(e, 'width')),
    height: inherited((e) => document.integer(e, 'height')),
    baseUrls,
    segments: readSegmentInfo(document, levels, baseUrls[0]?.url ?? document.url),
  };
}

function readEventStream(document: DashDocument, element: XmlElement): EventStream {
  return {
    scheme: document.attribute(element, 'schemeIdUri') ?? '',
    value: document.attribute(element, 'value'),
    timescale: document.integer(element, 'timescale') ?? 1,
    events: document.children(element, 'Event').map((event) => ({
      id: document.attribute(event, 'id'),
      presentationTime: document.long(event, 'presentationTime') ?? 0n,
      duration: document.long(event, 'duration'),
      content: document.text.slice(event.content.start, event.content.end),
      messageData: document.attribute(event, 'messageData'),
    })),
  };
}
