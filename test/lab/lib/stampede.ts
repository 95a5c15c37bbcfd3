import { z } from 'zod';
import { compile } from './compile.js';

const count = z.int().nonnegative();
const counts = z.record(z.string(), count);

/** What the `stampede` program prints: how the answers to so many simultaneous requests came out. */
export const stampedeResult = z.object({
  clients: count,
  /** Answers that came to their end, whatever their status. */
  complete: count,
  /** Connections that ended before their answer did. */
  lost: count,
  /** Answers that had not ended in time. */
  late: count,
  /** Complete answers by status. */
  statuses: counts,
  /** Complete answers by body, as LENGTH:HASH: one entry when all got the same. */
  bodies: counts,
  /** From the requests to the first byte of any answer; -1 without one. */
  firstByteMs: z.int(),
  lastEndMs: z.int(),
});
export type StampedeResult = z.infer<typeof stampedeResult>;

export interface StampedeOptions {
  readonly address: string;
  readonly port: number;
  readonly path: string;
  readonly clients: number;
  readonly timeoutMs: number;
  /** A further asker comes so long before the others, and goes away when they have asked. */
  readonly leadMs?: number;
}

/** The command of a stampede; it prints one {@link stampedeResult}. */
export async function stampede(options: StampedeOptions): Promise<string[]> {
  const program = await compile('stampede', ['test/lab/stampede/stampede.cc'], { headers: ['test/lab/viewers'] });
  const { address, port, path, clients, timeoutMs, leadMs } = options;
  return [program, address, String(port), path, String(clients), String(timeoutMs), String(leadMs ?? 0)];
}
