/** Viewers of objects: plain sockets, so that nothing is pooled or asked again behind one's back. */
import { once } from 'node:events';
import { Agent, get, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';

export interface Got {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** Ended as its framing says. */
  readonly whole: boolean;
}

/** One request on a connection of its own. */
export async function view(url: string, headers: Record<string, string> = {}): Promise<Got> {
  const agent = new Agent({ keepAlive: false });
  const [response] = (await once(get(url, { agent, headers }), 'response')) as [IncomingMessage];
  const pieces: Buffer[] = [];
  response.on('data', (piece: Buffer) => pieces.push(piece));
  await new Promise((resolve) => response.on('error', resolve).on('close', resolve));
  const { statusCode = 0, complete } = response;
  return { status: statusCode, headers: response.headers, body: Buffer.concat(pieces), whole: complete };
}

/** So many at once. */
export function crowd(url: string, viewers: number): Promise<Got[]> {
  return Promise.all(Array.from({ length: viewers }, () => view(url)));
}

/** A request that is given up. */
export class Quitter {
  readonly #request;
  constructor(url: string) {
    this.#request = get(url, { agent: new Agent({ keepAlive: false }) });
    this.#request.on('error', () => undefined);
  }
  quit(): void {
    this.#request.destroy();
  }
}
