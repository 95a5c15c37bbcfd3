import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import t from 'tap';
import { must } from './lib/process.js';
import { type StampedeOptions, type StampedeResult, stampede, stampedeResult } from './lib/stampede.js';
import { which } from './lib/tools.js';

const unless = which('g++') === undefined ? { skip: 'g++ not found' } : {};
const CLIENTS = 50;

interface Asked {
  /** Requests so far, the first asker's included. */
  requests: number;
  /** Requests whose connection ended before they were answered. */
  abandoned: number;
}

/** Runs a stampede against a server whose answers are made by `answer`, which knows how many came before. */
async function run(
  answer: (response: ServerResponse, before: number) => void,
  options: Partial<StampedeOptions> = {},
): Promise<StampedeResult & Asked> {
  const asked: Asked = { requests: 0, abandoned: 0 };
  const server: Server = createServer((_request, response) => {
    response.on('close', () => {
      if (!response.writableFinished) asked.abandoned++;
    });
    answer(response, asked.requests++);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  try {
    const settings = { address: '127.0.0.1', port, path: '/one', clients: CLIENTS, timeoutMs: 10_000, ...options };
    const { stdout } = await must(await stampede(settings));
    return { ...stampedeResult.parse(JSON.parse(stdout)), ...asked };
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

t.test('a stampede counts complete answers by status and by body', { timeout: 60_000, ...unless }, async (t) => {
  const same = await run((response) => response.end('an object'));
  t.match(same, { complete: CLIENTS, lost: 0, late: 0, statuses: { 200: CLIENTS }, requests: CLIENTS });
  t.strictSame(Object.values(same.bodies), [CLIENTS]);

  const mixed = await run((response, before) => {
    if (before < 3) response.writeHead(500).end();
    // Without a length: in chunks.
    else response.write('an obj', () => response.end(before < 5 ? 'ECT' : 'ect'));
  });
  t.strictSame(mixed.statuses, { 200: CLIENTS - 3, 500: 3 });
  t.strictSame(
    Object.values(mixed.bodies).toSorted((a, b) => a - b),
    [2, 3, CLIENTS - 5],
    'a body of the same length with other bytes is another body',
  );
});

t.test(
  'a stampede tells answers that were cut from such that never ended',
  { timeout: 60_000, ...unless },
  async (t) => {
    const result = await run(
      (response, before) => {
        response.writeHead(200, { 'content-length': 10 });
        if (before < 4) response.write('cut', () => response.destroy());
        else if (before < 10) response.write('stays');
        else response.end('0123456789');
      },
      { timeoutMs: 1_000 },
    );
    t.match(result, { complete: CLIENTS - 10, lost: 4, late: 6 });
  },
);

t.test(
  'the first asker of a stampede comes before the others and goes away',
  { timeout: 60_000, ...unless },
  async (t) => {
    let first: ServerResponse | undefined;
    const result = await run(
      (response) => {
        first ??= response;
        if (response !== first) response.end('an object');
      },
      { leadMs: 50 },
    );
    t.match(result, { complete: CLIENTS, requests: CLIENTS + 1, abandoned: 1 });
  },
);
