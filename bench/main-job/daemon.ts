import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../../test/lab/lib/compile.js';
import { poll } from '../../test/lab/lib/poll.js';
import type { Child } from '../../test/lab/lib/process.js';
import { TOWARDS_SOURCE, type Topology } from '../lib/topology.js';
import { INPUT_PORT, inputGroup } from './source.js';

export const HTTP_PORT = 8080;
export const LIVE_PATH = '/live/bench-1/main.ts';

export interface DaemonOptions {
  readonly megabits: number;
  /** Channels that all take the same input. */
  readonly channels?: number;
  readonly ringBytes: number;
  readonly delayMs: number;
  /** Multicast output of the first channel, as in the configuration. */
  readonly multicast?: Readonly<Record<string, string | number | boolean>>;
}

function configuration(options: DaemonOptions, socket: string): string {
  const channels = Array.from({ length: options.channels ?? 1 }, (_, i) => ({
    id: `bench-${i + 1}`,
    renditions: [
      {
        id: 'main',
        url: `rtp://${inputGroup(options.megabits)}:${INPUT_PORT}?iface=${TOWARDS_SOURCE}`,
        buffer: { memory: `${options.ringBytes / 2 ** 20}MiB`, delay: `${options.delayMs}ms` },
        ...(i === 0 && options.multicast !== undefined ? { multicast: options.multicast } : {}),
      },
    ],
  }));
  // JSON is YAML.
  const http = { listen: [`0.0.0.0:${HTTP_PORT}`] };
  return JSON.stringify({ admin: { listen: '127.0.0.1:9480', socket }, log: { level: 'warn' }, http, channels });
}

/** Starts the daemon as an operator would and waits until every channel can be watched. */
export async function startDaemon({ lab, edge }: Topology, options: DaemonOptions): Promise<Child> {
  const file = lab.file('sluice.yaml');
  writeFileSync(file, configuration(options, lab.file('admin.sock')));
  const command = [process.execPath, join(ROOT, 'dist/daemon/cli/sluice.js'), 'run', '-c', file];
  const daemon = await edge.spawn('sluice', command);
  const watchable = async (): Promise<boolean> => {
    if (!daemon.running) throw new Error(`the daemon ended: ${daemon.tail()}`);
    for (let i = 1; i <= (options.channels ?? 1); i++) {
      const url = `http://127.0.0.1:${HTTP_PORT}/live/bench-${i}/main/index.m3u8`;
      if ((await edge.get(url).catch(() => null))?.status !== 200) return false;
    }
    return true;
  };
  await poll(watchable, 20_000, () => `the daemon to serve: ${daemon.tail()}`, 250);
  return daemon;
}
