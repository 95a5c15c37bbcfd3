import { SluiceError } from '../../base/errors.js';
import type { PlaneApi, UpstreamRequest, UpstreamResponse } from '../../plane/contract.js';
import { displayUrl } from '../media-url.js';
import type { RequestCounts } from '../status.js';
import type { Resolver } from './resolver.js';
import type { UpstreamSlot } from './upstream-slot.js';

/** One thing to fetch, redirects followed. */
export interface FetchRequest {
  /** Absolute `http://` URL; its user information becomes basic authorization (RFC 7617). */
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

export interface Fetched {
  /** After redirects. */
  readonly url: string;
  readonly response: UpstreamResponse;
}

const MAX_REDIRECTS = 5;
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/**
 * Where a redirect leads (RFC 9110 section 15.4), or null when the answer is none. Relative to `from`.
 * @throws SluiceError UPSTREAM_HTTP without a usable Location, SOURCE_UNSUPPORTED when it leaves plain HTTP
 */
export function redirectTarget(from: string, response: Pick<UpstreamResponse, 'status' | 'headers'>): string | null {
  if (!REDIRECTS.has(response.status)) return null;
  const location = response.headers['location'] ?? '';
  if (location === '' || !URL.canParse(location, from)) {
    throw new SluiceError(
      'UPSTREAM_HTTP',
      `expected a URL in Location of the redirect from ${displayUrl(from)}, got ${JSON.stringify(location.slice(0, 100))}`,
    );
  }
  const target = new URL(location, from);
  target.hash = '';
  requireHttp(target);
  return target.href;
}

function requireHttp(url: URL): void {
  if (url.protocol === 'http:') return;
  throw new SluiceError(
    'SOURCE_UNSUPPORTED',
    `expected http://, got ${displayUrl(url.href).slice(0, 200)}: upstreams are fetched by plain HTTP only`,
    {
      url: displayUrl(url.href),
    },
  );
}

/** Percent-decoded; as written where that is not possible. */
function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Fetches over one upstream slot: names, addresses, redirects, and the connection that had gone stale meanwhile. */
export class Fetcher {
  readonly #plane: PlaneApi;
  readonly #slot: UpstreamSlot;
  readonly #resolver: Resolver;
  readonly #userAgent: string;
  readonly #counts: RequestCounts;

  constructor(plane: PlaneApi, slot: UpstreamSlot, resolver: Resolver, userAgent: string, counts: RequestCounts) {
    this.#plane = plane;
    this.#slot = slot;
    this.#resolver = resolver;
    this.#userAgent = userAgent;
    this.#counts = counts;
  }

  /**
   * The first answer that is not a redirect, whatever its status.
   * @throws SluiceError as PlaneApi.request, and UPSTREAM_REDIRECTS, SOURCE_UNSUPPORTED
   */
  async fetch(request: FetchRequest): Promise<Fetched> {
    let url = request.url;
    for (let hops = 0; ; hops++) {
      const response = await this.#attempt(request, url);
      const target = redirectTarget(url, response);
      if (target === null) return { url, response };
      if (hops === MAX_REDIRECTS) {
        throw new SluiceError(
          'UPSTREAM_REDIRECTS',
          `expected at most ${MAX_REDIRECTS} redirects from ${displayUrl(request.url)}, got one more to ${displayUrl(target)}`,
        );
      }
      url = target;
    }
  }

  /** All addresses of the host, until one can be connected to. */
  async #attempt(request: FetchRequest, text: string): Promise<UpstreamResponse> {
    const url = new URL(text);
    requireHttp(url);
    let failure: unknown;
    for (const address of await this.#resolver.resolve(url.hostname)) {
      try {
        request.signal.throwIfAborted();
        const response = await this.#ask(this.#describe(request, url, address), request.kind);
        this.#resolver.prefer(url.hostname, address);
        return response;
      } catch (error) {
        if (!(error instanceof SluiceError) || error.code !== 'UPSTREAM_CONNECT') throw error;
        failure = error;
      }
    }
    throw failure;
  }

  #describe(request: FetchRequest, url: URL, address: string): UpstreamRequest {
    const headers: Record<string, string> = { 'user-agent': this.#userAgent, accept: '*/*', ...request.headers };
    if (url.username !== '' || url.password !== '') {
      const credentials = `${decode(url.username)}:${decode(url.password)}`;
      headers['authorization'] = `Basic ${Buffer.from(credentials).toString('base64')}`;
    }
    return {
      address,
      port: url.port === '' ? 80 : Number(url.port),
      host: url.host,
      target: `${url.pathname}${url.search}`,
      headers,
      sink: request.sink,
      maxBytes: request.maxBytes,
      skipBytes: request.skipBytes,
      discontinuity: request.discontinuity,
      seal: request.seal ?? null,
    };
  }

  /** One request; asked again at once when the kept connection turns out to have been closed by the other side. */
  async #ask(request: UpstreamRequest, kind: keyof RequestCounts): Promise<UpstreamResponse> {
    try {
      this.#counts[kind] += 1;
      return await this.#plane.request(this.#slot.open(), request);
    } catch (error) {
      const stale =
        error instanceof SluiceError &&
        error.code === 'UPSTREAM_CLOSED' &&
        error.details['reused'] === true &&
        this.#slot.isOpen;
      if (!stale) throw error;
      this.#counts[kind] += 1;
      return await this.#plane.request(this.#slot.open(), request);
    }
  }
}
