import { Agent, request } from 'node:http';
import { COUNTED_PORT, receivers } from '../lib/flows/topology.js';

/** The admin API behind the daemon's Unix socket, which is reached from any network namespace. */
export class AdminApi {
  readonly #socket: string;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 2 });

  constructor(socket: string) {
    this.#socket = socket;
  }

  /** Resolves with the answer's body; rejects unless its status is one of 200 to 299. */
  ask(method: 'GET' | 'POST' | 'DELETE', path: string, body?: unknown): Promise<string> {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const headers = text === undefined ? {} : { 'content-type': 'application/json' };
    return new Promise((resolve, reject) => {
      const asked = request({ socketPath: this.#socket, agent: this.#agent, method, path, headers }, (answer) => {
        const pieces: Buffer[] = [];
        answer.on('data', (piece: Buffer) => pieces.push(piece));
        answer.on('error', reject);
        answer.on('end', () => {
          const answered = Buffer.concat(pieces).toString();
          const status = answer.statusCode ?? 0;
          if (status >= 200 && status < 300) resolve(answered);
          else reject(new Error(`${method} ${path}: status ${status}: ${answered.slice(0, 300)}`));
        });
      });
      asked.on('error', reject);
      asked.end(text);
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}

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
