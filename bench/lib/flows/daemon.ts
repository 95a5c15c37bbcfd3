import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../../../test/lab/lib/compile.js';
import { poll } from '../../../test/lab/lib/poll.js';
import type { Child } from '../../../test/lab/lib/process.js';
import { Absent } from '../bench.js';
import type { Topology } from '../topology.js';
import { on } from './topology.js';

/** Anything that goes into the configuration. */
export type Json = string | number | boolean | readonly Json[] | { readonly [key: string]: Json };

export const ADMIN_PORT = 9480;

const SLUICE = [process.execPath, join(ROOT, 'dist/daemon/cli/sluice.js')];

/** Writes a configuration as an operator would; JSON is YAML. */
export function writeConfiguration({ lab }: Topology, parts: Readonly<Record<string, Json>>): string {
  const file = lab.file('sluice.yaml');
  const admin = { listen: `127.0.0.1:${ADMIN_PORT}`, socket: lab.file('admin.sock') };
  writeFileSync(file, JSON.stringify({ admin, log: { level: 'warn' }, ...parts }));
  return file;
}

/**
 * Starts the daemon and waits until it is ready: its flows run then.
 *
 * @param env what the process finds in its environment besides
 * @throws {Absent} where this build does not know the configuration
 */
export async function startFlows(
  topology: Topology,
  parts: Readonly<Record<string, Json>>,
  env: Readonly<Record<string, string>> = {},
): Promise<Child> {
  const { edge } = topology;
  const file = writeConfiguration(topology, parts);
  const check = await edge.exec([...SLUICE, 'check', '-c', file]);
  const refusal = check.stderr.split('\n')[0]?.replace(`${file}:`, '') ?? '';
  if (check.code !== 0) throw new Absent(`this build refuses its configuration: ${refusal}`);
  const daemon = await edge.spawn('sluice', on('program', [...SLUICE, 'run', '-c', file]), { env });
  const ready = async (): Promise<boolean> => {
    if (!daemon.running) throw new Error(`the daemon ended: ${daemon.tail()}`);
    const answer = await edge.get(`http://127.0.0.1:${ADMIN_PORT}/readyz`).catch(() => null);
    // The API's socket is the last that it opens.
    return answer?.status === 200 && existsSync(topology.lab.file('admin.sock'));
  };
  await poll(ready, 30_000, () => `the daemon to be ready: ${daemon.tail()}`, 100);
  return daemon;
}
