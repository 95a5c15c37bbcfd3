import { compile } from '../../test/lab/lib/compile.js';
import type { Child } from '../../test/lab/lib/process.js';
import { SOURCE_ADDRESS, type Topology } from '../lib/topology.js';

/** Compiles one of the bench's programs. */
export function tool(name: 'tsgen' | 'mcsink' | 'bare-sender'): Promise<string> {
  return compile(`bench-${name}`, [`bench/main-job/${name}.cc`], { headers: ['bench/lib'] });
}

/** Groups of the live input, one per rate, so that a run gets exactly the rate it asks for. */
export function inputGroup(megabits: number): string {
  return `239.20.1.${megabits}`;
}
export const INPUT_PORT = 5000;

/** Starts the live source of a rate; it runs until the lab is closed. */
export async function startSource({ source }: Topology, megabits: number): Promise<Child> {
  const args = [inputGroup(megabits), String(INPUT_PORT), SOURCE_ADDRESS, String(megabits)];
  return source.spawn(`tsgen-${megabits}`, [await tool('tsgen'), ...args]);
}
