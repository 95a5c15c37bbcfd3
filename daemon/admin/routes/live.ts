import type { FastifyInstance } from 'fastify';
import type { RouteContext } from '../context.js';

/** Websocket clients at once; further ones are told to come back later. */
const MAX_CLIENTS = 32;
/** Snapshots that a client may miss in a row, because it does not read, before it is disconnected. */
const MAX_SKIPPED = 10;

/** What we use of a websocket. */
export interface LiveSocket {
  /** Bytes handed over and not yet taken by the kernel. */
  readonly bufferedAmount: number;
  readonly readyState: number;
  send(data: string): void;
  close(code: number, reason: string): void;
  terminate(): void;
  on(event: 'close' | 'message', listener: () => void): void;
}

interface Client {
  readonly socket: LiveSocket;
  skipped: number;
}

/** `/v1/live`: a snapshot on connecting, then one a second; a client that does not read gets none until it does. */
export function liveRoute(app: FastifyInstance, { sampler, log }: RouteContext): void {
  const clients = new Set<Client>();
  const stopListening = sampler.onSnapshot((snapshot) => {
    if (clients.size === 0) return;
    const text = JSON.stringify(snapshot);
    for (const client of clients) push(client, text);
  });
  const push = (client: Client, text: string): void => {
    const { socket } = client;
    if (socket.bufferedAmount === 0) {
      client.skipped = 0;
      socket.send(text);
    } else if (++client.skipped >= MAX_SKIPPED) {
      log.warn({ skipped: client.skipped }, 'a status client does not read and is disconnected');
      socket.terminate();
    }
  };
  app.addHook('onClose', async () => stopListening());
  app.get('/v1/live', { websocket: true }, (raw: unknown) => {
    const socket = raw as LiveSocket;
    if (clients.size >= MAX_CLIENTS) {
      socket.close(1013, `at most ${MAX_CLIENTS} clients at once`);
      return;
    }
    const client: Client = { socket, skipped: 0 };
    clients.add(client);
    socket.on('close', () => void clients.delete(client));
    // RFC 6455 section 7.4.1: 1008 for a message that violates the policy; clients only listen here.
    socket.on('message', () => socket.close(1008, 'nothing is expected from clients'));
    push(client, JSON.stringify(sampler.snapshot));
  });
}
