import { SluiceError } from '../../base/errors.js';
import type { Attempt, Driver, SourceContext } from './attempt.js';

const POLL_MS = 250;

/** Plays a continuous MPEG-TS over HTTP: one request that should never end. */
export class TsDriver implements Driver {
  readonly kind = 'http';
  readonly skipped = 0;
  readonly #context: SourceContext;
  readonly #url: string;

  constructor(context: SourceContext, url: string) {
    this.#context = context;
    this.#url = url;
  }

  leave(): void {}

  head(): void {}

  async play(attempt: Attempt): Promise<never> {
    const { clock, fetcher } = this.#context;
    const before = this.#context.counters();
    const watch = clock.setInterval(() => {
      if (this.#context.counters().tsPacketsIn > before.tsPacketsIn) attempt.flowing();
    }, POLL_MS);
    try {
      const { response } = await fetcher.fetch({
        url: this.#url,
        kind: 'stream',
        sink: 'stream',
        maxBytes: 0,
        headers: {},
        skipBytes: 0,
        discontinuity: before.bytesIn > 0,
        signal: attempt.signal,
      });
      throw ended(response.status, response.bytes);
    } finally {
      watch.cancel();
    }
  }
}

function ended(status: number, bytes: number): SluiceError {
  if (status >= 200 && status < 300)
    return new SluiceError('UPSTREAM_CLOSED', `the continuous stream ended after ${bytes} bytes`, { bytes });
  return new SluiceError('UPSTREAM_STATUS', `expected a continuous stream, got status ${status}`, { status });
}
