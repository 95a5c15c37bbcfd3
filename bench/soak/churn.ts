import type { AdminApi } from '../lib/flows/admin.js';
import { COUNTED_PORT, receivers } from '../lib/flows/topology.js';

/** Receivers that come and go, oldest first. */
export class Churn {
  readonly #api: AdminApi;
  readonly #flows: readonly string[];
  /** How many are there at a time. */
  readonly #present: number;
  /** Far from those of the flows' own receivers. */
  readonly #places = receivers(20_000, COUNTED_PORT).slice(10_000);
  #joined = 0;
  #left = 0;

  constructor(api: AdminApi, flows: readonly string[], present: number) {
    this.#api = api;
    this.#flows = flows;
    this.#present = present;
  }

  /** Joins so far; as many have left, but for those that are there. */
  get joined(): number {
    return this.#joined;
  }

  /** One receiver joins a flow, each flow in turn; when there are enough, the oldest leaves. */
  async step(): Promise<void> {
    const number = this.#joined++;
    const place = this.#places[number % this.#places.length];
    if (place === undefined) throw new RangeError('no place for a receiver');
    const receiver = { id: `guest-${number}`, to: `${place.address}:${place.port}`, ssrc: number, dscp: 0 };
    await this.#api.ask('POST', `/v1/flows/${this.#flow(number)}/receivers`, receiver);
    if (this.#joined - this.#left > this.#present) await this.#leave();
  }

  /** All that are there leave. */
  async end(): Promise<void> {
    while (this.#left < this.#joined) await this.#leave();
  }

  async #leave(): Promise<void> {
    const number = this.#left++;
    await this.#api.ask('DELETE', `/v1/flows/${this.#flow(number)}/receivers/guest-${number}`);
  }

  #flow(number: number): string {
    return this.#flows[number % this.#flows.length] ?? '';
  }
}
