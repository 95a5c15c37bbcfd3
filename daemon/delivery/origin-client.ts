/** Asks origins. The way there is the guide's, connections are the plane's; this knows the site's fields and times. */
import type { FetchOptions, PlaneApi, UpstreamResponse } from '../plane/contract.js';
import type { Endpoint, Fetched, Guide } from '../streams/source/guide.js';
import type { SiteSettings } from './settings.js';

/** One thing to get. */
export type Asked = Pick<FetchOptions, 'headers' | 'fill' | 'maxBytes'>;

export interface OriginAnswer extends Fetched {
  /** Where the last request went; null when nobody was asked. */
  readonly endpoint: Endpoint | null;
}

export class OriginClient {
  constructor(
    private readonly plane: PlaneApi,
    private readonly guide: Guide,
    private readonly site: Pick<SiteSettings, 'origin' | 'headers' | 'timeouts'>,
  ) {}

  /**
   * The first answer that is not a redirect, whatever its status.
   * @param known what the origin answered to the first request already
   * @throws SluiceError as PlaneApi.fetch and {@link Guide.follow}
   */
  async get(from: string, asked: Asked, known: UpstreamResponse | null = null): Promise<OriginAnswer> {
    let first = known;
    let last: Endpoint | null = null;
    const fetched = await this.guide.follow(from, (endpoint) => {
      const answer = first;
      first = null;
      if (answer !== null) return Promise.resolve(answer);
      last = endpoint;
      const headers = { ...endpoint.headers, ...this.#ownHeaders(endpoint), ...asked.headers };
      return this.plane.fetch({ ...asked, ...endpoint, headers, timeouts: this.timeouts });
    });
    return { ...fetched, endpoint: last };
  }

  get timeouts(): FetchOptions['timeouts'] {
    const { connect, head, idle } = this.site.timeouts;
    return { connectTimeoutMs: connect, tlsTimeoutMs: connect, headTimeoutMs: head, idleTimeoutMs: idle };
  }

  /** What is configured for the origin, credentials above all, is not for whom it redirects to. */
  #ownHeaders({ host, tls }: Endpoint): Readonly<Record<string, string>> {
    const { origin, headers } = this.site;
    return host === origin.host && (tls !== null) === (origin.protocol === 'https:') ? headers : {};
  }
}
