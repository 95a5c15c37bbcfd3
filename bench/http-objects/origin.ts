import { z } from 'zod';
import type { Child } from '../../test/lab/lib/process.js';
import { listening } from '../lib/listen.js';
import type { Topology } from '../lib/topology.js';
import { tool } from './programs.js';
import { ORIGIN_PORT } from './servers.js';

/** How the origin sends its objects. */
export interface Origin {
  /** From the first byte of an object to its last; 0: at once. */
  readonly paceMs: number;
  readonly framing: 'length' | 'chunked';
}

/** Starts an origin with nothing counted yet. */
export async function startOrigin({ source }: Topology, origin: Origin, bytes: number): Promise<Child> {
  const settings = [ORIGIN_PORT, bytes, origin.paceMs, origin.framing].map(String);
  const child = await source.spawn('origin', [await tool('origin'), ...settings]);
  await listening(source, child, ORIGIN_PORT);
  return child;
}

const report = z.object({ connections: z.number(), requests: z.number(), objects: z.number(), most: z.number() });

/** What was asked of an origin so far: different objects, and the most requests for one of them. */
export function objectsOf(origin: Child): z.infer<typeof report> {
  const last = origin.lines().at(-1);
  return last === undefined ? { connections: 0, requests: 0, objects: 0, most: 0 } : report.parse(JSON.parse(last));
}
