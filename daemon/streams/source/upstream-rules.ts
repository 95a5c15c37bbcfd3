import { randomBytes } from 'node:crypto';
import { type BlockList, isIP } from 'node:net';
import { SluiceError } from '../../base/errors.js';
import type { UpstreamResponse, UpstreamTls } from '../../plane/contract.js';
import { displayUrl } from '../media-url.js';
import { type UpstreamSettings, upstreamSchema } from '../upstream-settings.js';
import { prefixList, specialRange } from './address-policy.js';

const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
/** Below it only the ports of the web are given to an upstream's wishes. */
const FIRST_FREE_PORT = 1024;

/** The host of a URL as the resolver and certificates know it: without brackets and without a dot at the end. */
export function bareHost(url: URL): string {
  return url.hostname.replace(/^\[(.*)\]$/, '$1').replace(/\.$/, '');
}

/** The port of a URL, also where it is the scheme's. */
export function portOf(url: URL): number {
  if (url.port !== '') return Number(url.port);
  return url.protocol === 'https:' ? 443 : 80;
}

/** URLs that the configuration names: their hosts, servers and credentials. */
class NamedUrls {
  readonly #hosts: ReadonlySet<string>;
  readonly #endpoints: ReadonlySet<string>;
  readonly #credentials: ReadonlySet<string>;

  constructor(urls: readonly string[]) {
    const named = urls.map((text) => new URL(text));
    this.#hosts = new Set(named.map(bareHost));
    this.#endpoints = new Set(named.map(endpointOf));
    this.#credentials = new Set(named.map((url) => `${credentialsOf(url)}@${endpointOf(url)}`));
  }

  /** The same host, at a port of the web, a free one, or one that is named; with the credentials that are named there. */
  permit(url: URL): boolean {
    return this.#hosts.has(bareHost(url)) && this.objection(url) === null;
  }

  /** What is wrong with the URL itself, whatever its address. */
  objection(url: URL): string | null {
    const endpoint = endpointOf(url);
    const credentials = credentialsOf(url);
    if (credentials !== ':' && !this.#credentials.has(`${credentials}@${endpoint}`))
      return 'credentials of an upstream are not used';
    const port = portOf(url);
    if (port >= FIRST_FREE_PORT || port === 80 || port === 443 || this.#endpoints.has(endpoint)) return null;
    return `port ${port} is neither 80 nor 443 nor above 1023`;
  }
}

/**
 * Where the daemon lets itself be led: upstreams name further targets by redirects and in playlists, and may not use us to
 * reach what only we can reach.
 */
export class UpstreamRules {
  readonly #settings: UpstreamSettings;
  readonly #configured: () => readonly string[];
  readonly #own: NamedUrls;
  readonly #allowedHosts: ReadonlySet<string>;
  readonly #allowedPrefixes: BlockList;

  /**
   * @param configured every URL that the configuration names now: their hosts may be led to
   * @param own URLs of one source, which count though they may not be among those yet
   * @param viaName our name in Via (RFC 9110 section 7.6.3): another for every daemon, so that each knows itself in a chain
   */
  constructor(
    settings: UpstreamSettings = upstreamSchema.parse({}),
    configured: () => readonly string[] = () => [],
    own: readonly string[] = [],
    readonly viaName = `sluice-${randomBytes(4).toString('hex')}`,
  ) {
    this.#settings = settings;
    this.#configured = configured;
    this.#own = new NamedUrls(own);
    const isName = (entry: string): boolean => isIP(entry.split('/', 1)[0] ?? '') === 0;
    this.#allowedHosts = new Set(settings.allow.filter(isName).map((entry) => entry.toLowerCase()));
    this.#allowedPrefixes = prefixList(settings.allow.filter((entry) => !isName(entry)));
  }

  /** The same for a source with these URLs. */
  for(urls: readonly string[]): UpstreamRules {
    return new UpstreamRules(this.#settings, this.#configured, urls, this.viaName);
  }

  /** Most redirects of one request. */
  get redirects(): number {
    return this.#settings.redirects;
  }

  /** How the server of the URL is known; null without TLS. */
  tls(url: URL): UpstreamTls | null {
    if (url.protocol !== 'https:') return null;
    const serverName = bareHost(url);
    return { serverName, insecure: this.#settings.tls.insecure.some((host) => host.toLowerCase() === serverName) };
  }

  /**
   * Where a redirect leads (RFC 9110 section 15.4), or null when the answer is none. Relative to `from`.
   * @throws SluiceError UPSTREAM_HTTP without a usable Location, SOURCE_UNSUPPORTED when it leaves HTTP, UPSTREAM_REDIRECTS
   *   when it gives up TLS
   */
  redirect(from: string, response: Pick<UpstreamResponse, 'status' | 'headers'>): string | null {
    if (!REDIRECTS.has(response.status)) return null;
    const location = response.headers['location'] ?? '';
    if (location === '' || !URL.canParse(location, from)) {
      const got = JSON.stringify(location.slice(0, 100));
      const says = `expected a URL in Location of the redirect from ${displayUrl(from)}, got ${got}`;
      throw new SluiceError('UPSTREAM_HTTP', says);
    }
    const target = new URL(location, from);
    target.hash = '';
    requireHttp(target);
    if (new URL(from).protocol === 'https:' && target.protocol === 'http:' && !this.#settings.allow_downgrade) {
      const says = `expected https:// after the redirect from ${displayUrl(from)}, got ${displayUrl(target.href)} (upstream.allow_downgrade is false)`;
      throw new SluiceError('UPSTREAM_REDIRECTS', says);
    }
    return target.href;
  }

  /**
   * Those of a target's addresses that may be connected to; at least one. They are to be used as they are: a name that is
   * resolved a second time may say something else.
   * @throws SluiceError SOURCE_UNSUPPORTED for other schemes, UPSTREAM_ADDRESS_REFUSED with host, address and rule
   */
  permitted(url: URL, addresses: readonly string[]): readonly string[] {
    requireHttp(url);
    if (this.#own.permit(url)) return addresses;
    const named = new NamedUrls(this.#configured());
    if (named.permit(url)) return addresses;
    const rule = named.objection(url);
    if (rule !== null) throw refused(url, null, rule);
    if (this.#allowedHosts.has(bareHost(url))) return addresses;
    const good = addresses.filter((address) => this.#rangeOf(address) === null);
    const [first = ''] = addresses;
    if (good.length === 0) throw refused(url, first, `the address is ${this.#rangeOf(first)}`);
    return good;
  }

  #rangeOf(address: string): string | null {
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
    return this.#allowedPrefixes.check(address, family) ? null : specialRange(address);
  }
}

function endpointOf(url: URL): string {
  return `${bareHost(url)} ${portOf(url)}`;
}

function credentialsOf(url: URL): string {
  return `${url.username}:${url.password}`;
}

function requireHttp(url: URL): void {
  if (url.protocol === 'http:' || url.protocol === 'https:') return;
  const shown = displayUrl(url.href).slice(0, 200);
  throw new SluiceError('SOURCE_UNSUPPORTED', `expected http:// or https://, got ${shown}`, { url: shown });
}

function refused(url: URL, address: string | null, rule: string): SluiceError {
  const at = address === null ? '' : ` (${address})`;
  const says = `not going where an upstream leads: ${displayUrl(url.href).slice(0, 200)}${at}: ${rule}; upstream.allow permits hosts and prefixes`;
  return new SluiceError('UPSTREAM_ADDRESS_REFUSED', says, { host: bareHost(url), address, rule });
}
