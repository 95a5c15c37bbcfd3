import type { Clock } from '../base/clock.js';
import { describeError, SluiceError } from '../base/errors.js';
import type { Logger } from '../base/log.js';
import type { Metrics } from '../base/metrics.js';
import { isCovered, type Reloadable, type RestartReason, type Step } from '../base/reloadable.js';
import { type Change, diff } from './diff.js';
import { type Printable, printable } from './printable.js';
import { commitAll, prepareAll } from './transaction.js';

/** What a reload has done. */
export interface ReloadOutcome {
  /** `planned`: a dry run that would change something. */
  readonly outcome: 'applied' | 'unchanged' | 'planned';
  readonly file: string;
  readonly changes: readonly Change[];
  /** What was done, or would be, one sentence each. */
  readonly steps: readonly string[];
}

export interface ReloadRequest {
  /** Whoever asks, for the log. */
  readonly by: string;
  /** Tells what would be done, and does nothing; nothing is opened to try it. */
  readonly dryRun?: boolean;
}

/** The running configuration, as it may be shown. */
export interface RunningConfig {
  /** Null when the daemon was not started with a file. */
  readonly file: string | null;
  readonly config: Printable;
  /** Keys that a reload can change, those below included. */
  readonly reloadable: readonly string[];
}

/** Where a daemon's configuration comes from. */
export interface ConfigFile<Settings> {
  readonly file: string;
  /** Reads and checks it; throws CONFIG_UNREADABLE or CONFIG_INVALID. */
  load(): Promise<Settings>;
}

export interface ReloaderOptions<Settings> {
  /** Null when there is nothing to read again. */
  readonly source: ConfigFile<Settings> | null;
  /** What the daemon was started with. */
  readonly settings: Settings;
  /** In the order in which they are prepared: those first that may find something taken. */
  readonly parts: readonly Reloadable<Settings>[];
  readonly log: Logger;
  readonly clock: Clock;
  readonly metrics: Metrics;
}

type Result = 'applied' | 'unchanged' | 'refused' | 'failed';
const RESULTS: readonly Result[] = ['applied', 'unchanged', 'refused', 'failed'];

/** Brings a running daemon to what its file says now: all of it, or nothing. One reload at a time. */
export class Reloader<Settings> {
  readonly #options: ReloaderOptions<Settings>;
  readonly #counts: Record<Result, number> = { applied: 0, unchanged: 0, refused: 0, failed: 0 };
  #settings: Settings;
  #state: 'starting' | 'running' | 'ending' = 'starting';
  /** The end of the reload before. */
  #tail: Promise<unknown> = Promise.resolve();
  #succeededAt: number;

  constructor(options: ReloaderOptions<Settings>) {
    this.#options = options;
    this.#settings = options.settings;
    this.#succeededAt = options.clock.wall();
    this.#offerMetrics(options.metrics);
  }

  /** The daemon is up: reloads are taken from now on. */
  open(): void {
    this.#state = 'running';
  }

  /** Takes no further reload; resolves when the one under way has ended. */
  async close(): Promise<void> {
    this.#state = 'ending';
    await this.#tail;
  }

  running(): RunningConfig {
    const { source, parts } = this.#options;
    return {
      file: source?.file ?? null,
      config: printable(this.#settings),
      reloadable: parts.flatMap((part) => part.covers),
    };
  }

  /**
   * Reads the file and makes it the running configuration. Whatever it throws, nothing has changed.
   * @throws SluiceError RELOAD_UNAVAILABLE; CONFIG_UNREADABLE, CONFIG_INVALID; RELOAD_NEEDS_RESTART; or that of the step that
   *   could not be prepared
   */
  reload(request: ReloadRequest): Promise<ReloadOutcome> {
    const mine = this.#tail.then(() => this.#run(request));
    this.#tail = mine.catch(() => undefined);
    return mine;
  }

  async #run(request: ReloadRequest): Promise<ReloadOutcome> {
    const { log, clock } = this.#options;
    const { by, dryRun = false } = request;
    try {
      const outcome = await this.#reload(dryRun);
      const facts = { by, file: outcome.file, changes: outcome.changes.map(changeText), steps: outcome.steps };
      if (dryRun) return outcome;
      this.#succeededAt = clock.wall();
      this.#count(outcome.changes.length > 0 ? 'applied' : 'unchanged');
      log.info(facts, outcome.changes.length > 0 ? 'configuration reloaded' : 'reload: the configuration is unchanged');
      return outcome;
    } catch (error) {
      if (!dryRun) {
        if (!(error instanceof StepFailed)) this.#count('refused');
        log.error({ by, err: causeOf(error) }, 'reload refused: nothing was changed');
      }
      throw causeOf(error);
    }
  }

  async #reload(dryRun: boolean): Promise<ReloadOutcome> {
    const source = this.#available();
    const next = await source.load();
    const changes = diff(this.#settings, next);
    const { steps, restart } = this.#plan(next, changes);
    if (restart.length > 0) throw needsRestart(restart, changes);
    const outcome = { file: source.file, changes, steps: steps.map(({ says }) => says) };
    if (dryRun) return { outcome: changes.length > 0 ? 'planned' : 'unchanged', ...outcome };
    await this.#apply(steps);
    this.#settings = next;
    return { outcome: changes.length > 0 ? 'applied' : 'unchanged', ...outcome };
  }

  #available(): ConfigFile<Settings> {
    const { source } = this.#options;
    if (this.#state !== 'running') throw reloadUnavailable(this.#state);
    if (source === null) throw reloadUnavailable('without a file');
    return source;
  }

  #plan(next: Settings, changes: readonly Change[]): { steps: readonly Step[]; restart: readonly RestartReason[] } {
    const { parts } = this.#options;
    const covers = parts.flatMap((part) => part.covers);
    const fixed = changes
      .filter(({ key }) => !isCovered(key, covers))
      .map(({ key }) => ({ key, reason: 'it is read at the start only' }));
    const plans = parts.map((part) => part.plan(this.#settings, next));
    return {
      steps: plans.flatMap(({ steps }) => steps),
      restart: [...fixed, ...plans.flatMap(({ restart = [] }) => restart)],
    };
  }

  async #apply(steps: readonly Step[]): Promise<void> {
    const { log } = this.#options;
    try {
      await prepareAll(steps, log);
    } catch (error) {
      this.#count('failed');
      throw new StepFailed(error);
    }
    await commitAll(steps, log);
  }

  #count(result: Result): void {
    this.#counts[result] += 1;
  }

  #offerMetrics(metrics: Metrics): void {
    metrics.counter({
      name: 'sluice_config_reloads_total',
      help: 'Reloads: applied; unchanged; refused (bad file, needs a restart); failed (a step could not be made, undone).',
      labels: ['result'],
      read: () => RESULTS.map((result) => ({ labels: { result }, value: this.#counts[result] })),
    });
    metrics.gauge({
      name: 'sluice_config_last_reload_timestamp_seconds',
      help: 'When the running configuration was last found to be that of the file: the start, or a successful reload.',
      read: () => [{ labels: {}, value: this.#succeededAt / 1000 }],
    });
  }
}

/** Tells a step that failed from a refusal before anything was tried. */
class StepFailed extends Error {
  constructor(override readonly cause: unknown) {
    super(describeError(cause), { cause });
  }
}

function causeOf(error: unknown): unknown {
  return error instanceof StepFailed ? error.cause : error;
}

/** The refusal of a reload that comes when there can be none. */
export function reloadUnavailable(state: 'starting' | 'ending' | 'without a file'): SluiceError {
  const why = {
    starting: 'the daemon is still starting: try again when it is up',
    ending: 'the daemon is ending',
    'without a file': 'the daemon was not started with a configuration file',
  } as const;
  return new SluiceError('RELOAD_UNAVAILABLE', why[state], { state });
}

function needsRestart(reasons: readonly RestartReason[], changes: readonly Change[]): SluiceError {
  const list = reasons.map(({ key, reason }) => `${key} (${reason})`).join(', ');
  return new SluiceError(
    'RELOAD_NEEDS_RESTART',
    `nothing was changed: these keys cannot change while the daemon runs: ${list}`,
    { keys: reasons.map(({ key }) => key), reasons, changes },
  );
}

/** `~ channels[news].name: "News" -> "News 24"`: one change as a line of the log. */
function changeText({ key, kind, old, new: next }: Change): string {
  if (kind === 'added') return `+ ${key}: ${JSON.stringify(next)}`;
  if (kind === 'removed') return `- ${key}: ${JSON.stringify(old)}`;
  return `~ ${key}: ${JSON.stringify(old)} -> ${JSON.stringify(next)}`;
}
