import { isDeepStrictEqual } from 'node:util';
import type { Step } from '../base/reloadable.js';
import type { SiteSettings } from './settings.js';

/** What can be done about sites; nothing of it throws for settings that were checked. */
export interface SiteActions {
  add(settings: SiteSettings): void;
  change(settings: SiteSettings): void;
  remove(id: string): void;
  /** Forgets all objects of a site. */
  purge(id: string): void;
}

/**
 * The steps from the running sites to those configured. Sites that go, or take another place, leave before any comes: one
 * may take the prefix of another. Nothing has to be prepared: what a site needs is there.
 */
export function planSites(
  running: readonly SiteSettings[],
  next: readonly SiteSettings[],
  actions: SiteActions,
): Step[] {
  const leave: Step[] = [];
  const come: Step[] = [];
  for (const { id } of running) {
    if (next.some((site) => site.id === id)) continue;
    leave.push({ says: `site ${id}: ends`, commit: () => actions.remove(id) });
  }
  for (const site of next) {
    const old = running.find(({ id }) => id === site.id);
    if (old === undefined) {
      come.push({ says: `site ${site.id}: begins at ${site.prefix}`, commit: () => actions.add(site) });
    } else if (old.prefix !== site.prefix || old.query !== site.query) {
      leave.push({ says: `site ${site.id}: leaves ${old.prefix}`, commit: () => actions.remove(site.id) });
      come.push({ says: `site ${site.id}: begins anew at ${site.prefix}`, commit: () => actions.add(site) });
    } else {
      come.push(...changes(old, site, actions));
    }
  }
  return [...leave, ...come];
}

function changes(old: SiteSettings, site: SiteSettings, actions: SiteActions): Step[] {
  if (old.origin.href !== site.origin.href) {
    const commit = (): void => {
      actions.change(site);
      actions.purge(site.id);
    };
    return [{ says: `site ${site.id}: another origin, its objects are forgotten`, commit }];
  }
  if (isDeepStrictEqual({ ...old, origin: '' }, { ...site, origin: '' })) return [];
  return [{ says: `site ${site.id}: other settings, its objects stay`, commit: () => actions.change(site) }];
}
