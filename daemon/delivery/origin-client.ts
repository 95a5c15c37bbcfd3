/** Asks origins: names, addresses, redirects. Shared by the sites; connections are the plane's. */
import { SluiceError } from '../base/errors.js';
import type { FetchOptions, PlaneApi, UpstreamResponse } from '../plane/contract.js';
import { displayUrl } from '../streams/media-url.js';
import { redirectTarget } from '../streams/source/fetcher.js';
import type { Resolver } from '../streams/source/resolver.js';
import type { SiteSettings } from './settings.js';

const MAX_REDIRECTS = 5;

/** One thing to get. */
export type Asked = Pick<FetchOptions, 'headers' | 'fill' | 'maxBytes'>;

export interface OriginAnswer {
  /** After redirects. */
  readonly url: string;
  readonly response: UpstreamResponse;
}

export class OriginClient {
  constructor(
    private readonly plane: PlaneApi,
    private readonly resolver: Resolver,
    private readonly userAgent: string,
    private readonly site: Pick<SiteSettings, 'headers' | 'timeouts'>,
  ) {}

  /**
   * The first answer that is not a redirect, whatever its status.
   * @throws SluiceError as PlaneApi.fetch, and UPSTREAM_REDIRECTS, SOURCE_UNSUPPORTED
   */
  async get(from: string, asked: Asked): Promise<OriginAnswer> {
    let url = from;
    for (let hops = 0; hops <= MAX_REDIRECTS; hops++) {
      const response = await this.#ask(new URL(url), asked);
      const target = redirectTarget(url, response);
      if (target === null) return { url, response };
      url = target;
    }
    throw new SluiceError(
      'UPSTREAM_REDIRECTS',
      `expected at most ${MAX_REDIRECTS} redirects from ${displayUrl(from)}, got one more to ${displayUrl(url)}`,
    );
  }

  /** All addresses of the host, until one can be connected to. */
  async #ask(url: URL, asked: Asked): Promise<UpstreamResponse> {
    let failure: unknown;
    for (const address of await this.resolver.resolve(url.hostname)) {
      try {
        const response = await this.plane.fetch(this.#describe(url, address, asked));
        this.resolver.prefer(url.hostname, address);
        return response;
      } catch (error) {
        if (!(error instanceof SluiceError) || error.code !== 'UPSTREAM_CONNECT') throw error;
        failure = error;
      }
    }
    throw failure;
  }

  #describe(url: URL, address: string, asked: Asked): FetchOptions {
    const { connect, head, idle } = this.site.timeouts;
    return {
      ...asked,
      address,
      port: url.port === '' ? 80 : Number(url.port),
      host: url.host,
      target: `${url.pathname}${url.search}`,
      headers: { 'user-agent': this.userAgent, accept: '*/*', ...this.site.headers, ...asked.headers },
      timeouts: { connectTimeoutMs: connect, headTimeoutMs: head, idleTimeoutMs: idle },
    };
  }
}
