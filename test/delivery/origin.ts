/** An HTTP origin on loopback whose answers are scripted, and that remembers what it was asked. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Test } from 'tap';

export type Answer = (response: ServerResponse, request: IncomingMessage, nth: number) => void;

/** PEM. */
export interface Tls {
  readonly cert: string;
  readonly key: string;
}

export class Origin {
  /** By path and query. */
  readonly #answers = new Map<string, Answer>();
  readonly requests: IncomingMessage[] = [];
  readonly #server: Server;

  private constructor(private readonly tls: Tls | null) {
    const answer = (request: IncomingMessage, response: ServerResponse): void => {
      this.requests.push(request);
      const url = request.url ?? '';
      const answer = this.#answers.get(url);
      if (answer === undefined) return void response.writeHead(404).end('nothing here');
      answer(response, request, this.count(url));
    };
    this.#server = tls === null ? createServer(answer) : createSecureServer(tls, answer);
  }

  static async start(t: Test, tls: Tls | null = null): Promise<Origin> {
    const origin = new Origin(tls);
    origin.#server.listen(0, '127.0.0.1');
    await once(origin.#server, 'listening');
    t.teardown(() => {
      origin.#server.closeAllConnections();
      origin.#server.close();
    });
    return origin;
  }

  /** Ends in a slash. */
  get url(): string {
    return `${this.tls === null ? 'http' : 'https'}://127.0.0.1:${(this.#server.address() as AddressInfo).port}/`;
  }

  on(path: string, answer: Answer): void {
    this.#answers.set(path, answer);
  }

  gives(path: string, body: string | Buffer, headers: Record<string, string> = {}): void {
    this.on(path, (response) => void response.writeHead(200, headers).end(body));
  }

  /** How often it was asked for a path. */
  count(path: string): number {
    return this.requests.filter(({ url }) => url === path).length;
  }
}
