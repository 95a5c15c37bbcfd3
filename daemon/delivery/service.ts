/** The sites as one part of the daemon: they stand on the front from start() to stop(). */
import { SluiceError } from '../base/errors.js';
import type { Logger } from '../base/log.js';
import type { Metrics } from '../base/metrics.js';
import type { Registry } from '../base/registry.js';
import type { Reloadable, ReloadPlan } from '../base/reloadable.js';
import type { PlaneApi, PlaneEvent } from '../plane/contract.js';
import { displayUrl } from '../streams/media-url.js';
import type { Guide } from '../streams/source/guide.js';
import { offerObjectMetrics } from './metrics.js';
import { OriginClient } from './origin-client.js';
import { planSites } from './reload.js';
import type { SiteSettings } from './settings.js';
import { Site } from './site.js';
import { tokenRuleOf } from './tokens.js';

export interface DeliveryParts {
  readonly guide: Guide;
  readonly registry: Registry;
  readonly metrics: Metrics;
  readonly log: Logger;
}

interface DeliverySettings {
  readonly sites: readonly SiteSettings[];
}

export class DeliveryService implements Reloadable<DeliverySettings> {
  readonly covers = ['sites'];
  /** By id. */
  readonly #sites = new Map<string, Site>();
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
        columns: ['site', 'prefix', 'origin', 'documents', 'media', 'failed', 'odd', 'last error'],
        rows: () => this.sites().map((site) => rowOf(site)),
      }),
      offerObjectMetrics(this.parts.metrics, this.plane, () => this.sites()),
    );
  }

  stop(): void {
    for (const withdraw of this.#withdraw.splice(0)) withdraw();
    for (const id of this.#sites.keys()) this.#remove(id);
  }

  sites(): readonly Site[] {
    return [...this.#sites.values()];
  }

  /** URLs of all origins. */
  origins(): readonly string[] {
    return this.sites().map(({ settings }) => settings.origin.href);
  }

  /**
   * Forgets what a site has of a path and all that begins with it; viewers who are being served go on.
   * @param path as viewers ask for it, or what stands behind the prefix; '' for everything
   * @returns how many objects
   * @throws SluiceError NOT_FOUND
   */
  purge(id: string, path: string): number {
    const site = this.#sites.get(id);
    if (site === undefined) throw new SluiceError('NOT_FOUND', `there is no site ${id}`, { site: id });
    const { prefix } = site.settings;
    return this.plane.purge(site.handle, path.startsWith(prefix) ? path.slice(prefix.length) : path.replace(/^\//, ''));
  }

  /** Sites are told apart by their ids; one whose origin and names stay keeps its objects. */
  plan(_old: DeliverySettings, { sites: next }: DeliverySettings): ReloadPlan {
    const steps = planSites(
      this.sites().map(({ settings }) => settings),
      next,
      {
        add: (settings) => this.#add(settings),
        change: (settings) => this.#change(settings),
        remove: (id) => this.#remove(id),
        purge: (id) => void this.purge(id, ''),
      },
    );
    return { steps };
  }

  #add(settings: SiteSettings): void {
    const { prefix, query, id } = settings;
    const handle = this.plane.addSite({ prefix, query, name: id, tokens: tokenRuleOf(settings) });
    const localUrl = (url: string): string | null => this.#localUrl(url);
    const site = new Site(settings, handle, this.plane, this.#clientOf(settings), localUrl, this.parts.log);
    this.#sites.set(settings.id, site);
  }

  #change(settings: SiteSettings): void {
    const site = this.#sites.get(settings.id);
    if (site === undefined) return;
    site.change(settings, this.#clientOf(settings));
    this.plane.setTokens(site.handle, tokenRuleOf(settings));
  }

  #remove(id: string): void {
    const site = this.#sites.get(id);
    if (site !== undefined) this.plane.removeSite(site.handle);
    this.#sites.delete(id);
  }

  #clientOf(settings: SiteSettings): OriginClient {
    return new OriginClient(this.plane, this.parts.guide.for([settings.origin.href]), settings);
  }

  #onEvent(event: PlaneEvent): void {
    if (event.type !== 'object-wanted') return;
    const site = this.sites().find(({ handle }) => handle === event.site);
    if (site !== undefined) void site.provide(event);
  }

  /** The path under which a site of ours gives out what is at `url`; the longest origin that it begins with counts. */
  #localUrl(url: string): string | null {
    const fitting = this.sites().filter(({ settings }) => url.startsWith(settings.origin.href));
    const best = fitting.sort((a, b) => b.settings.origin.href.length - a.settings.origin.href.length)[0];
    return best === undefined ? null : `${best.settings.prefix}${url.slice(best.settings.origin.href.length)}`;
  }
}

function rowOf({ settings, requests, lastError }: Site): Record<string, string | number | null> {
  return {
    site: settings.id,
    prefix: settings.prefix,
    origin: displayUrl(settings.origin.href),
    documents: requests.document,
    media: requests.media,
    failed: requests.failed,
    odd: requests.odd,
    'last error': lastError,
  };
}
