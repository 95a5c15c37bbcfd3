import type { Logger } from '../base/log.js';
import type { Daemon } from '../main.js';

/** How long an orderly end may take: callers count on 5 s from the signal to the end of the process. */
const CLOSE_WITHIN_MS = 4000;
/** How often the parent is looked at. */
const PARENT_POLL_MS = 250;

/** Why a daemon ends. */
export type EndReason = 'SIGINT' | 'SIGTERM' | 'SIGHUP' | 'stop' | 'parent ended';

/**
 * The wish to end, from its sources: signals, the parent's end, `sluice stop`. Made before anything starts, so that a signal
 * during the start is not lost.
 */
export class Ending {
  readonly #controller = new AbortController();
  readonly #parent = process.ppid;
  #poll: NodeJS.Timeout | undefined;
  /** Aborted, with the {@link EndReason} as reason, as soon as the process is to end. */
  readonly signal = this.#controller.signal;

  /** @param signals a command that reloads by SIGHUP leaves it out */
  constructor(signals: readonly ('SIGINT' | 'SIGTERM' | 'SIGHUP')[] = ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    for (const name of signals) process.on(name, () => this.request(name));
  }

  /** Also ends with the parent; one that init has started already has none. */
  withParent(): this {
    if (this.#parent <= 1) return this;
    this.#poll = setInterval(() => {
      if (process.ppid !== this.#parent) this.request('parent ended');
    }, PARENT_POLL_MS);
    this.#poll.unref();
    return this;
  }

  /** Asks for the end; a second time changes nothing. */
  request(reason: EndReason): void {
    if (this.signal.aborted) return;
    clearInterval(this.#poll);
    // Whatever hangs, the process must not outlive the promise it has made.
    setTimeout(() => {
      process.stderr.write(`sluice: not everything ended within ${CLOSE_WITHIN_MS / 1000} s; ending anyway\n`);
      process.exit();
    }, CLOSE_WITHIN_MS).unref();
    this.#controller.abort(reason);
  }

  /** Resolves when the end is asked for. */
  wait(): Promise<EndReason> {
    return new Promise((resolve) => {
      const told = (): void => resolve(this.signal.reason as EndReason);
      if (this.signal.aborted) told();
      else this.signal.addEventListener('abort', told, { once: true });
    });
  }
}

/** Keeps the daemon running until its end is asked for, then ends it. */
export async function superviseDaemon(daemon: Daemon, ending: Ending, log: Logger): Promise<void> {
  void daemon.stopRequested.then(() => ending.request('stop'));
  const reason = await ending.wait();
  log.info({ reason }, 'ending');
  await daemon.close();
  log.info('ended');
}
