import type {
  PlaneApi,
  StreamHandle,
  UpstreamCounters,
  UpstreamHandle,
  UpstreamOptions,
} from '../../plane/contract.js';

/** Short enough that an outage is noticed within a segment or two, long enough for one lost SYN (RFC 6298: 1 s). */
const OPTIONS: UpstreamOptions = {
  connectTimeoutMs: 2_500,
  tlsTimeoutMs: 2_500,
  headTimeoutMs: 5_000,
  idleTimeoutMs: 4_000,
};

/** The one upstream connection that a rendition may have, opened when needed; its counters go on when it is opened anew. */
export class UpstreamSlot {
  readonly #plane: PlaneApi;
  readonly #stream: StreamHandle;
  #handle: UpstreamHandle | null = null;
  #before = { connects: 0, requests: 0, bytesIn: 0 };

  constructor(plane: PlaneApi, stream: StreamHandle) {
    this.#plane = plane;
    this.#stream = stream;
  }

  get isOpen(): boolean {
    return this.#handle !== null;
  }

  /** Whether events of this upstream are ours. */
  owns(upstream: UpstreamHandle): boolean {
    return this.#handle === upstream;
  }

  open(): UpstreamHandle {
    this.#handle ??= this.#plane.openUpstream(this.#stream, OPTIONS);
    return this.#handle;
  }

  /** Ends a running request with UPSTREAM_CLOSED. Idempotent. */
  close(): void {
    if (this.#handle === null) return;
    const { connects, requests, bytesIn } = this.counters();
    this.#before = { connects, requests, bytesIn };
    const handle = this.#handle;
    this.#handle = null;
    this.#plane.closeUpstream(handle);
  }

  /** Totals over all connections so far; `connected` is a gauge. */
  counters(): UpstreamCounters {
    if (this.#handle === null) return { ...this.#before, connected: 0 };
    const live = this.#plane.upstreamCounters(this.#handle);
    return {
      connects: this.#before.connects + live.connects,
      requests: this.#before.requests + live.requests,
      bytesIn: this.#before.bytesIn + live.bytesIn,
      connected: live.connected,
    };
  }
}
