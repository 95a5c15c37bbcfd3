import { SluiceError } from '../../base/errors.js';
import type { PlaneApi, UpstreamRequest, UpstreamResponse } from '../../plane/contract.js';
import type { RequestCounts } from '../status.js';
import type { Fetched, Guide } from './guide.js';
import type { UpstreamSlot } from './upstream-slot.js';

/** One thing to fetch, redirects followed. */
export interface FetchRequest {
  /** Absolute `http://` or `https://` URL; its user information becomes basic authorization (RFC 7617). */
  readonly url: string;
  readonly kind: keyof RequestCounts;
  readonly sink: UpstreamRequest['sink'];
  /** Largest body for sink `memory`. */
  readonly maxBytes: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly skipBytes: number;
  readonly discontinuity: boolean;
  /** How the body is encrypted; in the clear when absent. */
  readonly seal?: UpstreamRequest['seal'];
  /** Nothing is asked for any more once it is aborted; what runs is ended by closing the slot. */
  readonly signal: AbortSignal;
}

/** A document that drips in is given up. */
const DOCUMENT_MS = 10_000;

/** Fetches over one upstream slot: the way there, and the connection that had gone stale meanwhile. */
export class Fetcher {
  constructor(
    private readonly plane: PlaneApi,
    private readonly slot: UpstreamSlot,
    private readonly guide: Guide,
    private readonly counts: RequestCounts,
  ) {}

  /**
   * The first answer that is not a redirect, whatever its status.
   * @throws SluiceError as PlaneApi.request and {@link Guide.follow}
   */
  fetch(request: FetchRequest): Promise<Fetched> {
    const document = request.sink === 'memory';
    return this.guide.follow(request.url, (endpoint) => {
      request.signal.throwIfAborted();
      const { sink, maxBytes, skipBytes, discontinuity, seal = null } = request;
      const coding = { 'accept-encoding': document ? 'gzip' : 'identity' };
      const headers = { ...endpoint.headers, ...coding, ...request.headers };
      const totalTimeoutMs = document ? DOCUMENT_MS : 0;
      return this.#ask(
        { ...endpoint, headers, sink, maxBytes, totalTimeoutMs, skipBytes, discontinuity, seal },
        request.kind,
      );
    });
  }

  /** One request; asked again at once when the kept connection turns out to have been closed by the other side. */
  async #ask(request: UpstreamRequest, kind: keyof RequestCounts): Promise<UpstreamResponse> {
    try {
      this.counts[kind] += 1;
      return await this.plane.request(this.slot.open(), request);
    } catch (error) {
      const stale =
        error instanceof SluiceError &&
        error.code === 'UPSTREAM_CLOSED' &&
        error.details['reused'] === true &&
        this.slot.isOpen;
      if (!stale) throw error;
      this.counts[kind] += 1;
      return await this.plane.request(this.slot.open(), request);
    }
  }
}
