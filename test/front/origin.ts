/** An HTTP origin of texts that remembers what it was asked. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Test } from 'tap';

export interface Origin {
  readonly url: string;
  /** Targets, in the order in which they were asked for. */
  readonly asked: string[];
}

/** @param texts by path; everything else is not found */
export async function startOrigin(t: Test, texts: Readonly<Record<string, string>>): Promise<Origin> {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    const target = request.url ?? '';
    asked.push(target);
    const text = texts[target.split('?', 1)[0] ?? ''];
    response.writeHead(text === undefined ? 404 : 200, { 'cache-control': 'max-age=60' });
    response.end(text);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, asked };
}
