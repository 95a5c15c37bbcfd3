import type { TokenRule } from '../plane/contract.js';
import type { SiteSettings } from './settings.js';

/** What the plane takes for a token of the site. */
export function tokenRuleOf({ id, tokens }: SiteSettings): TokenRule {
  return { realm: id, keys: tokens?.keys ?? [], required: tokens?.required ?? true };
}
