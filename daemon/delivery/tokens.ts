import type { Reloadable, ReloadPlan, Step } from '../base/reloadable.js';
import type { PlaneApi, TokenRule } from '../plane/contract.js';
import type { SiteSettings } from './settings.js';
import type { Site } from './site.js';

interface SitesSettings {
  readonly sites: readonly SiteSettings[];
}

/** What the plane takes for a token of the site. */
export function tokenRuleOf({ id, tokens }: SiteSettings): TokenRule {
  return { realm: id, keys: tokens?.keys ?? [], required: tokens?.required ?? true };
}

/** Keys are changed while the sites run: nobody is disconnected when one takes the place of another. */
export class SiteTokens implements Reloadable<SitesSettings> {
  constructor(
    private readonly plane: PlaneApi,
    private readonly sites: () => readonly Site[],
  ) {}

  get covers(): readonly string[] {
    return this.sites().map(({ settings }) => `sites[${settings.id}].tokens`);
  }

  plan(old: SitesSettings, next: SitesSettings): ReloadPlan {
    return { steps: this.sites().flatMap((site) => this.#changing(site, old, next)) };
  }

  #changing({ settings: { id }, handle }: Site, old: SitesSettings, next: SitesSettings): Step[] {
    const [before, after] = [old, next].map(({ sites }) => sites.find((site) => site.id === id));
    if (before === undefined || after === undefined) return [];
    const rule = tokenRuleOf(after);
    if (JSON.stringify(rule) === JSON.stringify(tokenRuleOf(before))) return [];
    return [{ says: `sites[${id}].tokens: new keys`, commit: () => this.plane.setTokens(handle, rule) }];
  }
}
