import { Agent, request } from 'node:http';
import { z } from 'zod';

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

const count = z.number();
const flows = z.object({
  flows: z.array(
    z.looseObject({
      input: z.string(),
      counters: z.looseObject({ sendErrors: count, shedLate: count, shedPriority: count }),
      port: z.looseObject({ kernelDrops: count }).nullable(),
    }),
  ),
});

/** How many flows the daemon has. */
export async function flowCount(api: AdminApi): Promise<number> {
  return flows.parse(JSON.parse(await api.ask('GET', '/v1/flows'))).flows.length;
}

/** Packets that the daemon's flows lost so far, by reason. */
export async function losses(api: AdminApi): Promise<Readonly<Record<string, number>>> {
  const all = flows.parse(JSON.parse(await api.ask('GET', '/v1/flows'))).flows;
  const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
  // Flows on one port all tell of the same socket.
  const ports = new Map(all.map(({ input, port }) => [input, port?.kernelDrops ?? 0]));
  return {
    'kernel drops': sum([...ports.values()]),
    'shed late': sum(all.map(({ counters }) => counters.shedLate)),
    'shed by priority': sum(all.map(({ counters }) => counters.shedPriority)),
    'send errors': sum(all.map(({ counters }) => counters.sendErrors)),
  };
}
