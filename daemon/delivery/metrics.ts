import type { Metrics, Sample } from '../base/metrics.js';
import type { FetchCounters, ObjectCounters, PlaneApi, SiteCounters } from '../plane/contract.js';
import type { Site } from './site.js';

const OBJECTS: readonly ['counter' | 'gauge', string, keyof ObjectCounters, string][] = [
  ['counter', 'sluice_object_hits_total', 'hits', 'Requests answered from a complete, fresh object.'],
  [
    'counter',
    'sluice_object_misses_total',
    'misses',
    'Requests that began a flight: nobody else was fetching the object.',
  ],
  ['counter', 'sluice_object_joins_total', 'joined', 'Requests that joined a flight, or an object that is growing.'],
  [
    'counter',
    'sluice_object_stale_total',
    'stale',
    'Flights that ended with the old object because the origin failed.',
  ],
  ['counter', 'sluice_object_revalidated_total', 'revalidated', 'Flights that ended with the old object, fresh again.'],
  ['counter', 'sluice_object_refused_total', 'refused', 'Flights that ended without an object.'],
  ['counter', 'sluice_object_failed_total', 'failed', 'Objects that were cut short.'],
  ['counter', 'sluice_object_evicted_total', 'evicted', 'Objects that gave way to others.'],
  ['counter', 'sluice_object_bytes_total', 'bytesIn', 'Bytes put into objects.'],
  ['gauge', 'sluice_objects', 'objects', 'Complete objects.'],
  ['gauge', 'sluice_objects_growing', 'growing', 'Objects that are growing.'],
  ['gauge', 'sluice_object_memory_bytes', 'usedBytes', 'Memory of all objects.'],
  ['gauge', 'sluice_object_memory_budget_bytes', 'budgetBytes', 'Budget for the memory of all objects.'],
];

const FETCHES: readonly ['counter' | 'gauge', string, keyof FetchCounters, string][] = [
  ['counter', 'sluice_fetch_requests_total', 'requests', 'Requests to origins of sites.'],
  ['counter', 'sluice_fetch_connects_total', 'connects', 'Connections made to origins of sites.'],
  ['counter', 'sluice_fetch_bytes_total', 'bytesIn', 'Bytes from origins of sites, heads included.'],
  ['gauge', 'sluice_fetch_connections', 'connections', 'Open connections to origins of sites.'],
  ['gauge', 'sluice_fetch_queued', 'queued', 'Requests that wait for a connection.'],
];

/** Offers the metrics of objects and sites; returns the function that takes them away. */
export function offerObjectMetrics(metrics: Metrics, plane: PlaneApi, sites: () => readonly Site[]): () => void {
  const names: string[] = [];
  const offer = (kind: 'counter' | 'gauge', name: string, help: string, read: () => number): void => {
    metrics[kind]({ name, help, labels: [], read: () => [{ labels: {}, value: read() }] });
    names.push(name);
  };
  for (const [kind, name, counter, help] of OBJECTS) offer(kind, name, help, () => plane.objectCounters()[counter]);
  for (const [kind, name, counter, help] of FETCHES) offer(kind, name, help, () => plane.fetchCounters()[counter]);
  metrics.counter({
    name: 'sluice_site_requests_total',
    help: 'What was asked of the origin of a site; kind failed: of these, what it did not give; odd: documents that could not be read.',
    labels: ['site', 'kind'],
    read: () => sites().flatMap((site) => siteSamples(site)),
  });
  metrics.counter({
    name: 'sluice_site_tokens_total',
    help: 'Tokens of viewers: accepted, or refused and why.',
    labels: ['site', 'result'],
    read: () => sites().flatMap((site) => tokenSamples(site, plane)),
  });
  names.push('sluice_site_requests_total', 'sluice_site_tokens_total');
  return () => {
    for (const name of names) metrics.remove(name);
  };
}

const TOKENS: readonly [string, keyof SiteCounters][] = [
  ['accepted', 'tokensAccepted'],
  ['missing', 'tokenMissing'],
  ['malformed', 'tokenMalformed'],
  ['key', 'tokenKey'],
  ['signature', 'tokenSignature'],
  ['expired', 'tokenExpired'],
  ['address', 'tokenAddress'],
  ['scope', 'tokenScope'],
];

function tokenSamples({ settings, handle }: Site, plane: PlaneApi): Sample[] {
  if (settings.tokens === undefined) return [];
  const counters = plane.siteCounters(handle);
  return TOKENS.map(([result, counter]) => ({ labels: { site: settings.id, result }, value: counters[counter] }));
}

function siteSamples({ settings, requests }: Site): Sample[] {
  return Object.entries(requests).map(([kind, value]) => ({ labels: { site: settings.id, kind }, value }));
}
