import { SluiceError } from '../../base/errors.js';
import type { UpstreamHandle } from '../../plane/contract.js';
import type { Attempt, Driver, SourceContext } from './attempt.js';
import { HlsDriver, type HlsDriverOptions } from './hls-driver.js';
import { TsDriver } from './ts-driver.js';

export type HttpFormat = 'hls' | 'ts';

/** Enough for any live playlist; a continuous stream passes it within moments. */
const PROBE_BYTES = 256 * 1024;
const PLAYLIST_START = '#EXTM3U';

/** What the path says, or null where it says nothing. */
export function formatOfPath(url: string): HttpFormat | null {
  const path = new URL(url).pathname;
  if (/\.m3u8?$/i.test(path)) return 'hls';
  return /\.(ts|mpegts|mpg|m2ts|mts)$/i.test(path) ? 'ts' : null;
}

/**
 * Plays an `http://` or `https://` location. Whether it is a playlist or a continuous stream is configured (`format`), or told by the
 * path; where neither says, the body is asked for once, with a bound: what begins with #EXTM3U is a playlist, anything
 * that goes on past the bound, or that is no text, is a stream.
 */
export class HttpDriver implements Driver {
  readonly #context: SourceContext;
  readonly #options: HlsDriverOptions;
  readonly #fixed: HttpFormat | null;
  #inner: HlsDriver | TsDriver | null = null;
  #skippedBefore = 0;

  constructor(context: SourceContext, format: HttpFormat | 'auto', options: HlsDriverOptions) {
    this.#context = context;
    this.#options = options;
    this.#fixed = format === 'auto' ? formatOfPath(options.url) : format;
  }

  get kind(): 'hls' | 'http' {
    return this.#inner?.kind ?? (this.#fixed === 'hls' ? 'hls' : 'http');
  }

  get skipped(): number {
    return this.#skippedBefore + (this.#inner?.skipped ?? 0);
  }

  leave(): void {
    this.#inner?.leave();
  }

  head(upstream: UpstreamHandle, status: number): void {
    if (this.#inner instanceof HlsDriver) this.#inner.head(upstream, status);
  }

  async play(attempt: Attempt): Promise<never> {
    this.#inner ??= this.#create(this.#fixed ?? (await this.#probe(attempt.signal)));
    attempt.signal.throwIfAborted();
    try {
      return await this.#inner.play(attempt);
    } catch (error) {
      if (this.#fixed === null && isMisjudged(error)) this.#forget();
      throw error;
    }
  }

  #create(format: HttpFormat): HlsDriver | TsDriver {
    return format === 'hls'
      ? new HlsDriver(this.#context, this.#options)
      : new TsDriver(this.#context, this.#options.url);
  }

  #forget(): void {
    this.#skippedBefore = this.skipped;
    this.#inner = null;
  }

  async #probe(signal: AbortSignal): Promise<HttpFormat> {
    try {
      const { response } = await this.#context.fetcher.fetch({
        url: this.#options.url,
        kind: 'playlist',
        sink: 'memory',
        maxBytes: PROBE_BYTES,
        headers: {},
        skipBytes: 0,
        discontinuity: false,
        signal,
      });
      const { status, body } = response;
      if (status < 200 || status >= 300)
        throw new SluiceError('UPSTREAM_STATUS', `expected a playlist or a stream, got status ${status}`, { status });
      return new TextDecoder().decode(body.subarray(0, 64)).startsWith(PLAYLIST_START) ? 'hls' : 'ts';
    } catch (error) {
      if (error instanceof SluiceError && error.code === 'UPSTREAM_TOO_LARGE') return 'ts';
      throw error;
    }
  }
}

/** The source is not what it was found to be: ask anew next time. */
function isMisjudged(error: unknown): boolean {
  return error instanceof SluiceError && (error.code === 'PLAYLIST_INVALID' || error.code === 'SOURCE_NOT_MPEGTS');
}
