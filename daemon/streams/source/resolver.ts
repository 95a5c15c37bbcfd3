import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import type { Clock } from '../../base/clock.js';
import { describeError, SluiceError } from '../../base/errors.js';

/** Asks for all addresses of a name. */
export type Lookup = (name: string) => Promise<readonly string[]>;

const CACHE_MS = 5_000;
const TIMEOUT_MS = 5_000;
const CACHE_ENTRIES = 256;

/** The system's resolver (hosts file and DNS), in the order that it prefers (RFC 6724). */
async function systemLookup(name: string): Promise<readonly string[]> {
  return (await lookup(name, { all: true, verbatim: true })).map((entry) => entry.address);
}

/** Names to addresses: asked anew for every attempt, but for a short cache that spares the resolver within one. */
export class Resolver {
  readonly #clock: Clock;
  readonly #lookup: Lookup;
  readonly #cache = new Map<string, { readonly addresses: readonly string[]; readonly until: number }>();

  constructor(clock: Clock, lookupName: Lookup = systemLookup) {
    this.#clock = clock;
    this.#lookup = lookupName;
  }

  /**
   * All addresses of a host, at least one; numeric hosts stand for themselves.
   * @throws SluiceError UPSTREAM_CONNECT when the name cannot be resolved within 5 s
   */
  async resolve(host: string): Promise<readonly string[]> {
    const bare = host.replace(/^\[(.*)\]$/, '$1');
    if (isIP(bare) !== 0) return [bare];
    const cached = this.#cache.get(host);
    if (cached !== undefined && cached.until > this.#clock.now()) return cached.addresses;
    const addresses = await this.#ask(host);
    if (this.#cache.size >= CACHE_ENTRIES) this.#cache.clear();
    this.#cache.set(host, { addresses, until: this.#clock.now() + CACHE_MS });
    return addresses;
  }

  /** An address has worked: it is tried first while the entry lives, so that one connection serves on. */
  prefer(host: string, address: string): void {
    const cached = this.#cache.get(host);
    if (cached === undefined || cached.addresses[0] === address) return;
    this.#cache.set(host, {
      ...cached,
      addresses: [address, ...cached.addresses.filter((other) => other !== address)],
    });
  }

  async #ask(host: string): Promise<readonly string[]> {
    const late = new AbortController();
    try {
      const timeout = this.#clock.delay(TIMEOUT_MS, late.signal).then((): readonly string[] => {
        throw new Error(`no answer within ${TIMEOUT_MS} ms`);
      });
      const addresses = await Promise.race([this.#lookup(host), timeout]);
      if (addresses.length === 0) throw new Error('the name has no address');
      return addresses;
    } catch (error) {
      throw new SluiceError(
        'UPSTREAM_CONNECT',
        `cannot resolve ${host}: ${describeError(error)}`,
        { host },
        { cause: error },
      );
    } finally {
      late.abort(new Error('resolved'));
    }
  }
}
