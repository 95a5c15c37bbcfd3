import type { Host } from '../../test/lab/lib/host.js';
import { poll } from '../../test/lab/lib/poll.js';
import type { Child } from '../../test/lab/lib/process.js';

/** A sink that cannot connect ends at once; a server that was only just started is given time to listen. */
export async function listening(host: Host, server: Child, port: number): Promise<void> {
  const listens = async (): Promise<boolean> => {
    if (!server.running) throw new Error(`${server.name} ended: ${server.tail()}`);
    return (await host.must(['ss', '-Hltn', `sport = :${port}`])).stdout !== '';
  };
  await poll(listens, 10_000, `${server.name} to listen`);
}

/** Starts a server, waits until it listens, and stops it after its use. */
export async function withServer<T>(
  host: Host,
  start: () => Promise<Child>,
  port: number,
  use: (server: Child) => Promise<T>,
): Promise<T> {
  const server = await start();
  try {
    await listening(host, server, port);
    return await use(server);
  } finally {
    await server.stop();
  }
}
