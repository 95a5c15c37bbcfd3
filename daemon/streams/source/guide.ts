import { SluiceError } from '../../base/errors.js';
import type { UpstreamRequest, UpstreamResponse } from '../../plane/contract.js';
import { displayUrl } from '../media-url.js';
import type { Resolver } from './resolver.js';
import { bareHost, portOf, type UpstreamRules } from './upstream-rules.js';

/** Where one request goes, and what it says about us: what the URL and the rules decide. */
export type Endpoint = Pick<UpstreamRequest, 'address' | 'port' | 'tls' | 'host' | 'target' | 'headers'>;

export interface Fetched {
  /** After redirects. */
  readonly url: string;
  readonly response: UpstreamResponse;
}

/** Finds the way to what a URL names: addresses that may be gone to, one after the other, and redirects. */
export class Guide {
  /** @param userAgent `Sluice/VERSION` */
  constructor(
    private readonly resolver: Resolver,
    private readonly rules: UpstreamRules,
    private readonly userAgent: string,
  ) {}

  /** The same for a source that is configured with these URLs. */
  for(urls: readonly string[]): Guide {
    return new Guide(this.resolver, this.rules.for(urls), this.userAgent);
  }

  /**
   * The first answer that is not a redirect, whatever its status.
   * @param from absolute URL; its user information becomes basic authorization (RFC 7617)
   * @param ask makes one request; UPSTREAM_CONNECT leads to the next address of the host
   * @throws SluiceError as `ask`, and UPSTREAM_CONNECT, UPSTREAM_REDIRECTS, UPSTREAM_ADDRESS_REFUSED, UPSTREAM_HTTP,
   *   SOURCE_UNSUPPORTED
   */
  async follow(from: string, ask: (endpoint: Endpoint) => Promise<UpstreamResponse>): Promise<Fetched> {
    const visited: string[] = [];
    for (let url = from; ; ) {
      visited.push(url);
      const response = await this.#reach(new URL(url), ask);
      const target = this.rules.redirect(url, response);
      if (target === null) return { url, response };
      this.#requireProgress(visited, target);
      url = target;
    }
  }

  /** The way to a URL whose requests are made natively: the first of its addresses, no redirects. @throws as follow() */
  async endpoint(url: string): Promise<Endpoint> {
    const target = new URL(url);
    const [address = ''] = this.rules.permitted(target, await this.resolver.resolve(bareHost(target)));
    return this.#describe(target, address);
  }

  #requireProgress(visited: readonly string[], target: string): void {
    const way = [...visited, target].map(displayUrl).join(' -> ').slice(0, 1000);
    if (visited.includes(target)) throw new SluiceError('UPSTREAM_REDIRECTS', `the redirects go round: ${way}`);
    const { redirects } = this.rules;
    if (visited.length <= redirects) return;
    throw new SluiceError('UPSTREAM_REDIRECTS', `expected at most ${redirects} redirects, got one more: ${way}`);
  }

  /** All addresses of the host, until one can be connected to. */
  async #reach(url: URL, ask: (endpoint: Endpoint) => Promise<UpstreamResponse>): Promise<UpstreamResponse> {
    const host = bareHost(url);
    let failure: unknown;
    for (const address of this.rules.permitted(url, await this.resolver.resolve(host))) {
      try {
        const response = await ask(this.#describe(url, address));
        this.resolver.prefer(host, address);
        return response;
      } catch (error) {
        if (!(error instanceof SluiceError) || error.code !== 'UPSTREAM_CONNECT') throw error;
        failure = error;
      }
    }
    throw failure;
  }

  #describe(url: URL, address: string): Endpoint {
    const headers: Record<string, string> = {
      'user-agent': this.userAgent,
      accept: '*/*',
      via: `1.1 ${this.rules.viaName}`,
    };
    if (url.username !== '' || url.password !== '') {
      const credentials = `${decode(url.username)}:${decode(url.password)}`;
      headers['authorization'] = `Basic ${Buffer.from(credentials).toString('base64')}`;
    }
    return {
      address,
      port: portOf(url),
      tls: this.rules.tls(url),
      host: url.host,
      target: `${url.pathname}${url.search}`,
      headers,
    };
  }
}

/** Percent-decoded; as written where that is not possible. */
function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
