/**
 * What a part does about a changed configuration while the daemon runs. A reload is a transaction over the steps of all
 * parts: every step is prepared, and only when all are, every step is committed; when one cannot be prepared, those before it
 * are undone in the opposite order and nothing has changed.
 */

/** One thing that a reload does. */
export interface Step {
  /** For the operator, such as `stream news/high: begins`. */
  readonly says: string;
  /** Takes what the new configuration needs, beside what runs. What it throws refuses the reload; it leaves nothing then. */
  prepare?(): Promise<void> | void;
  /** Gives back what a successful `prepare` took. Must not throw. */
  undo?(): Promise<void> | void;
  /** Makes the new the current, and lets go of the old: cannot be undone. Must not throw. */
  commit?(): Promise<void> | void;
}

/** A change that cannot be made while the daemon runs. */
export interface RestartReason {
  /** As in {@link Change}: `http.listen`. */
  readonly key: string;
  /** Why, half a sentence. */
  readonly reason: string;
}

export interface ReloadPlan {
  /** Prepared in this order, committed in this order, undone in the opposite one. */
  readonly steps: readonly Step[];
  /** Not empty: the reload is refused. */
  readonly restart?: readonly RestartReason[];
}

/** A part that can be changed while it runs. `Settings` is as much of the configuration as it looks at. */
export interface Reloadable<Settings> {
  /** Keys whose changes it takes care of, those below included: `channels`, `log.level`. Others need a restart. */
  readonly covers: readonly string[];
  /** What is to be done to get from one configuration to the other. Changes nothing, opens nothing, throws nothing. */
  plan(old: Settings, next: Settings): ReloadPlan;
}

/** Whether a key is one of those covered, or below one: `channels[news].name` is below `channels`. */
export function isCovered(key: string, covers: readonly string[]): boolean {
  return covers.some((top) => key === top || (key.startsWith(top) && /^[.[]/.test(key.slice(top.length))));
}
