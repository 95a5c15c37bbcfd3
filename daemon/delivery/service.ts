/** The sites as one part of the daemon: they stand on the front from start() to stop(). */
import type { Logger } from '../base/log.js';
import type { Metrics } from '../base/metrics.js';
import type { Registry } from '../base/registry.js';
import type { PlaneApi, PlaneEvent, SiteHandle } from '../plane/contract.js';
import { displayUrl } from '../streams/media-url.js';
import type { Guide } from '../streams/source/guide.js';
import { offerObjectMetrics } from './metrics.js';
import { OriginClient } from './origin-client.js';
import type { SiteSettings } from './settings.js';
import { Site } from './site.js';
import { tokenRuleOf } from './tokens.js';

export interface DeliveryParts {
  readonly guide: Guide;
  readonly registry: Registry;
  readonly metrics: Metrics;
  readonly log: Logger;
}

export class DeliveryService {
  readonly #sites = new Map<SiteHandle, Site>();
  readonly #withdraw: (() => void)[] = [];

  constructor(
    private readonly plane: PlaneApi,
    private readonly settings: readonly SiteSettings[],
    private readonly parts: DeliveryParts,
  ) {}

  /** @throws SluiceError USAGE when two sites have one prefix */
  start(): void {
    this.#withdraw.push(this.plane.onEvent((event) => this.#onEvent(event)));
    for (const site of this.settings) this.#add(site);
    this.#withdraw.push(
      this.parts.registry.offer('sites', {
        columns: ['site', 'prefix', 'origin', 'documents', 'media', 'failed', 'last error'],
        rows: () => this.sites().map((site) => rowOf(site)),
      }),
      offerObjectMetrics(this.parts.metrics, this.plane, () => this.sites()),
    );
  }

  stop(): void {
    for (const withdraw of this.#withdraw.splice(0)) withdraw();
    for (const handle of this.#sites.keys()) this.plane.removeSite(handle);
    this.#sites.clear();
  }

  sites(): readonly Site[] {
    return [...this.#sites.values()];
  }

  #add(settings: SiteSettings): void {
    const { guide, log } = this.parts;
    const { prefix, query, id } = settings;
    const handle = this.plane.addSite({ prefix, query, name: id, tokens: tokenRuleOf(settings) });
    const client = new OriginClient(this.plane, guide.for([settings.origin.href]), settings);
    const site = new Site(settings, handle, this.plane, client, (url) => this.#localUrl(url), log);
    this.#sites.set(handle, site);
  }

  #onEvent(event: PlaneEvent): void {
    if (event.type !== 'object-wanted') return;
    const site = this.#sites.get(event.site);
    if (site !== undefined) void site.provide(event);
  }

  /** The path under which a site of ours gives out what is at `url`; the longest origin that it begins with counts. */
  #localUrl(url: string): string | null {
    const fitting = this.sites().filter(({ settings }) => url.startsWith(settings.origin.href));
    const best = fitting.sort((a, b) => b.settings.origin.href.length - a.settings.origin.href.length)[0];
    return best === undefined ? null : `${best.settings.prefix}${url.slice(best.settings.origin.href.length)}`;
  }
}

function rowOf({ settings, counts, lastError }: Site): Record<string, string | number | null> {
  return {
    site: settings.id,
    prefix: settings.prefix,
    origin: displayUrl(settings.origin.href),
    documents: counts.document,
    media: counts.media,
    failed: counts.failed,
    'last error': lastError,
  };
}
