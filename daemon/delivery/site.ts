/** One site: decides for every object that is wanted where it is fetched, how long it is good, and what goes on instead. */
import { SluiceError } from '../base/errors.js';
import type { Logger } from '../base/log.js';
import type {
  FreshnessRule,
  ObjectRefusal,
  PlaneApi,
  SiteHandle,
  Ticket,
  UpstreamResponse,
  Way,
} from '../plane/contract.js';
import { displayUrl } from '../streams/media-url.js';
import type { Endpoint } from '../streams/source/guide.js';
import { DOCUMENT_ENDS, type DocumentKind, documentKind, isUnreadable, rewriteDocument } from './documents.js';
import type { OriginAnswer, OriginClient } from './origin-client.js';
import type { SiteSettings } from './settings.js';

/** What is wanted. */
export interface Wanted {
  readonly ticket: Ticket;
  /** Behind the prefix, with its query. */
  readonly target: string;
  readonly etag: string;
  readonly lastModified: string;
  /** What the origin answered already, along the way that the plane knew. */
  readonly answer: UpstreamResponse | SluiceError | null;
}

/** What the origin was asked for. */
export interface SiteCounts {
  document: number;
  media: number;
  failed: number;
  /** Documents that could not be read, and went through as they came. */
  odd: number;
}

/** Statuses that say that there is nothing, which may be remembered for a moment. */
const MISSING: ReadonlySet<number> = new Set([404, 410]);
const MEDIA_HEADERS = { 'accept-encoding': 'identity' };
/** A name is looked up anew this often. */
const WAY_MS = 5000;
const MAX_DOCUMENT = 4 * 2 ** 20;
/** What viewers are told when the origin gave nothing to tell. */
const STATUS_OF: Readonly<Partial<Record<string, number>>> = {
  UPSTREAM_TIMEOUT: 504,
  UPSTREAM_BUSY: 503,
  OBJECT_STORE_FULL: 503,
};

export class Site {
  readonly counts: SiteCounts = { document: 0, media: 0, failed: 0, odd: 0 };
  #settings: SiteSettings;
  #client: OriginClient;
  #lastError: string | null = null;
  #lastOddity = '';
  /** What the plane was told last. */
  #way: Way | null = null;

  constructor(
    settings: SiteSettings,
    readonly handle: SiteHandle,
    private readonly plane: PlaneApi,
    client: OriginClient,
    /** Where a URL of an origin is to be had here, or null. */
    private readonly localUrl: (url: string) => string | null,
    private readonly log: Logger,
  ) {
    this.#settings = settings;
    this.#client = client;
  }

  get settings(): SiteSettings {
    return this.#settings;
  }

  /** Goes by other settings from now on; what there is of objects stays. */
  change(settings: SiteSettings, client: OriginClient): void {
    this.#settings = settings;
    this.#client = client;
    // The plane asks again, and is told anew.
    if (this.#way !== null) this.plane.setWay(this.handle, { ...this.#way, validMs: 0 });
  }

  /** What was asked of the origin in all: here, and by the plane along the known way. */
  get requests(): SiteCounts {
    return { ...this.counts, media: this.counts.media + this.plane.siteCounters(this.handle).fetched };
  }

  /** Why the origin last gave nothing, or null. */
  get lastError(): string | null {
    return this.#lastError;
  }

  /** Ends the flight, one way or another. Never rejects. */
  async provide(wanted: Wanted): Promise<void> {
    try {
      const kind = documentKind(wanted.target);
      await (kind === null ? this.#provideMedia(wanted) : this.#provideDocument(wanted, kind));
    } catch (error) {
      this.#fail(wanted, error);
    }
  }

  async #provideMedia(wanted: Wanted): Promise<void> {
    if (wanted.answer instanceof SluiceError) throw wanted.answer;
    if (wanted.answer === null) this.counts.media += 1;
    const conditions: Record<string, string> = {};
    if (wanted.etag !== '') conditions['if-none-match'] = wanted.etag;
    if (wanted.lastModified !== '') conditions['if-modified-since'] = wanted.lastModified;
    const url = this.#url(wanted);
    const asked = {
      headers: { ...MEDIA_HEADERS, ...conditions },
      fill: { ...this.#rule(this.#settings.cache.media), ticket: wanted.ticket },
      maxBytes: 0,
    };
    const client = this.#client;
    const answer = await client.get(url, asked, wanted.answer);
    if (answer.response.status !== 200 && answer.response.status !== 304) return this.#pass(wanted, answer);
    // A way of before a change of the settings is none any more.
    const holds = answer.url === url && client === this.#client;
    if (holds && answer.endpoint !== null) this.#tellWay(answer.endpoint);
  }

  /** What has just worked holds for the next objects, too: the plane need not ask for a while. */
  #tellWay({ address, port, tls, host, headers }: Endpoint): void {
    this.#way = {
      address,
      port,
      tls,
      host,
      base: this.settings.origin.pathname,
      headers: { ...headers, ...this.settings.headers, ...MEDIA_HEADERS },
      timeouts: this.#client.timeouts,
      freshness: this.#rule(this.#settings.cache.media),
      but: DOCUMENT_ENDS,
      validMs: WAY_MS,
    };
    this.plane.setWay(this.handle, this.#way);
  }

  async #provideDocument(wanted: Wanted, kind: DocumentKind): Promise<void> {
    this.counts.document += 1;
    const asked = this.#url(wanted);
    const answer = await this.#client.get(asked, {
      headers: { 'accept-encoding': 'gzip' },
      fill: null,
      maxBytes: MAX_DOCUMENT,
    });
    const { response } = answer;
    if (response.status !== 200) return this.#pass(wanted, answer);
    const text = new TextDecoder('utf-8', { fatal: false, ignoreBOM: true }).decode(response.body);
    const body = this.#rewrite(kind, text, asked, answer.url);
    const headers = puttable(response.headers);
    // Validators of the origin's are for its bytes, not ours.
    const { etag: _, 'last-modified': __, ...own } = headers;
    this.plane.putObject(wanted.ticket, {
      status: 200,
      headers: body === text ? headers : own,
      body,
      freshness: this.#rule(this.#settings.cache.documents),
    });
  }

  /** A document that cannot be read goes through as it is: players may know better. */
  #rewrite(kind: DocumentKind, text: string, asked: string, url: string): string {
    try {
      return rewriteDocument(kind, text, { asked, url, prefix: this.settings.prefix, localUrl: this.localUrl });
    } catch (error) {
      if (!isUnreadable(error)) throw error;
      this.counts.odd += 1;
      // The same playlist comes every few seconds.
      if (this.#lastOddity !== error.message)
        this.log.warn({ url: displayUrl(url), err: error }, 'a document goes through unread');
      this.#lastOddity = error.message;
      return text;
    }
  }

  /** The origin said no: viewers are told what it said. */
  #pass(wanted: Wanted, { url, response }: OriginAnswer): void {
    this.counts.failed += 1;
    const { status } = response;
    const message = `the origin answered ${status}`;
    this.#lastError = `${displayUrl(url)}: ${message}`;
    this.log.debug({ url: displayUrl(url), status }, 'the origin has no object');
    if (!MISSING.has(status)) {
      const known = status >= 400 && status <= 599;
      this.#refuse(wanted, { status: known ? status : 502, retryAfter: status >= 500 ? 1 : 0, message });
      return;
    }
    const rule = { ...this.#rule(this.#settings.cache.missing), honour: false, staleIfErrorMs: 0 };
    this.plane.putObject(wanted.ticket, {
      status,
      headers: { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-cache' },
      body: `${message}\n`,
      freshness: rule,
    });
  }

  #fail(wanted: Wanted, error: unknown): void {
    this.counts.failed += 1;
    const known = error instanceof SluiceError;
    const code = known ? error.code : 'INTERNAL';
    if (!known) this.log.error({ err: error, target: wanted.target }, 'an object could not be provided');
    this.#lastError = `${code}: ${known ? error.message : 'internal error'}`;
    // What an upstream is called and why it failed is the operator's to know.
    this.#refuse(wanted, {
      status: STATUS_OF[code] ?? 502,
      retryAfter: 1,
      message: `the origin gave nothing (${code})`,
    });
  }

  #refuse(wanted: Wanted, refusal: ObjectRefusal): void {
    this.plane.refuseObject(wanted.ticket, refusal);
  }

  #url(wanted: Wanted): string {
    // Put together as text: what the viewer wrote is what the origin gets.
    return `${this.#settings.origin.href}${wanted.target}`;
  }

  #rule(otherwiseMs: number): FreshnessRule {
    const { honour, min, max, stale_if_error } = this.#settings.cache;
    return { honour, otherwiseMs, leastMs: min, mostMs: max, staleIfErrorMs: stale_if_error };
  }
}

/** The fields that can be said again: origins send what no field may have (RFC 9110 section 5.5). */
function puttable(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([, value]) => /^[\t -~\u0080-\u00ff]*$/.test(value)));
}
