/** An operator's own system, as an HTTP server: it answers as it is told, and remembers what it was asked. */
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Asked {
  readonly headers: IncomingHttpHeaders;
  readonly body: unknown;
}

export class OperatorServer {
  readonly asked: Asked[] = [];
  /** Questions that are answered at this moment, and most ever at one time. */
  open = 0;
  most = 0;
  readonly #server: Server;

  constructor(answer: (response: ServerResponse, body: unknown) => void) {
    this.#server = createServer((request, response) => {
      this.most = Math.max(this.most, ++this.open);
      response.on('close', () => this.open--);
      let text = '';
      request.on('data', (chunk: Buffer) => {
        text += chunk.toString();
      });
      request.on('end', () => {
        const body: unknown = JSON.parse(text);
        this.asked.push({ headers: request.headers, body });
        answer(response, body);
      });
    });
  }

  /** Gives the URL to be asked. */
  async listen(): Promise<string> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/joins`;
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}
