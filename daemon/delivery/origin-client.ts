/** Asks origins. The way there is the guide's, connections are the plane's; this knows the site's fields and times. */
import type { FetchOptions, PlaneApi } from '../plane/contract.js';
import type { Fetched, Guide } from '../streams/source/guide.js';
import type { SiteSettings } from './settings.js';

/** One thing to get. */
export type Asked = Pick<FetchOptions, 'headers' | 'fill' | 'maxBytes'>;

export type OriginAnswer = Fetched;

export class OriginClient {
  constructor(
    private readonly plane: PlaneApi,
    private readonly guide: Guide,
    private readonly site: Pick<SiteSettings, 'headers' | 'timeouts'>,
  ) {}

  /**
   * The first answer that is not a redirect, whatever its status.
   * @throws SluiceError as PlaneApi.fetch and {@link Guide.follow}
   */
  get(from: string, asked: Asked): Promise<OriginAnswer> {
    const { connect, head, idle } = this.site.timeouts;
    const timeouts = {
      connectTimeoutMs: connect,
      tlsTimeoutMs: connect,
      headTimeoutMs: head,
      idleTimeoutMs: idle,
    };
    return this.guide.follow(from, (endpoint) =>
      this.plane.fetch({
        ...asked,
        ...endpoint,
        headers: { ...endpoint.headers, ...this.site.headers, ...asked.headers },
        timeouts,
      }),
    );
  }
}
