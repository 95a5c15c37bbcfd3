/** A running timer; `cancel` is idempotent and safe after the timer has fired. */
export interface Timer {
  cancel(): void;
}

/**
 * The time source of everything that waits. Code takes a Clock instead of calling `Date.now` or `setTimeout`, so that long
 * timers are tested without waiting.
 */
export interface Clock {
  /** Milliseconds of CLOCK_MONOTONIC, fractions allowed. Its zero is arbitrary: only differences mean something. */
  now(): number;
  /** Milliseconds since 1970-01-01 UTC; may jump. Only for what people and protocols need in real time. */
  wall(): number;
  /** Calls `action` once after `ms` (0 to 2^31-1). The process does not stay alive for it when `keepAlive` is false. */
  setTimeout(action: () => void, ms: number, keepAlive?: boolean): Timer;
  /** Calls `action` every `ms` until cancelled. */
  setInterval(action: () => void, ms: number, keepAlive?: boolean): Timer;
  /** Resolves after `ms`; rejects with the signal's reason as soon as that is aborted. */
  delay(ms: number, signal?: AbortSignal): Promise<void>;
}

/** What {@link Clock.delay} is, in terms of {@link Clock.setTimeout}. */
function delayBy(clock: Pick<Clock, 'setTimeout'>, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(signal.reason as Error);
      return;
    }
    const onAbort = (): void => {
      timer.cancel();
      reject(signal?.reason as Error);
    };
    const timer = clock.setTimeout(() => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    }, ms);
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

/** The machine's own clock. */
export const systemClock: Clock = {
  now: () => Number(process.hrtime.bigint()) / 1e6,
  wall: () => Date.now(),
  setTimeout(action, ms, keepAlive = true) {
    const handle = setTimeout(action, ms);
    if (!keepAlive) handle.unref();
    return { cancel: () => clearTimeout(handle) };
  },
  setInterval(action, ms, keepAlive = true) {
    const handle = setInterval(action, ms);
    if (!keepAlive) handle.unref();
    return { cancel: () => clearInterval(handle) };
  },
  delay: (ms, signal) => delayBy(systemClock, ms, signal),
};

interface Due {
  readonly at: number;
  readonly order: number;
  readonly action: () => void;
}

/** A clock that moves only when {@link ManualClock.advance} is called: days pass in a test within microseconds. */
export class ManualClock implements Clock {
  #now: number;
  #order = 0;
  readonly #wallOffset: number;
  readonly #due = new Set<Due>();

  /** @param startMs the first `now()`; @param wallMs the first `wall()` */
  constructor(startMs = 0, wallMs = Date.UTC(2026, 0, 1)) {
    this.#now = startMs;
    this.#wallOffset = wallMs - startMs;
  }

  now(): number {
    return this.#now;
  }

  wall(): number {
    return this.#now + this.#wallOffset;
  }

  /** Timers that have not fired yet. */
  get pending(): number {
    return this.#due.size;
  }

  setTimeout(action: () => void, ms: number): Timer {
    const due: Due = { at: this.#now + Math.max(0, ms), order: this.#order++, action };
    this.#due.add(due);
    return { cancel: () => void this.#due.delete(due) };
  }

  setInterval(action: () => void, ms: number): Timer {
    let timer: Timer = this.setTimeout(fire, ms);
    // A zero interval would never let advance() end.
    const step = Math.max(1, ms);
    const arm = (): void => {
      timer = this.setTimeout(fire, step);
    };
    function fire(): void {
      arm();
      action();
    }
    return { cancel: () => timer.cancel() };
  }

  delay(ms: number, signal?: AbortSignal): Promise<void> {
    return delayBy(this, ms, signal);
  }

  /** Moves time forward by `ms`, firing what falls due in order; promises settle between two timers. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    for (;;) {
      await new Promise<void>((resolve) => setImmediate(resolve));
      const next = this.#next(end);
      if (next === undefined) break;
      this.#due.delete(next);
      this.#now = Math.max(this.#now, next.at);
      next.action();
    }
    this.#now = end;
  }

  #next(end: number): Due | undefined {
    let first: Due | undefined;
    for (const due of this.#due) {
      if (due.at > end) continue;
      if (first === undefined || due.at < first.at || (due.at === first.at && due.order < first.order)) first = due;
    }
    return first;
  }
}
