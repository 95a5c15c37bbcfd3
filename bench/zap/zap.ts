import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { ROOT } from '../../test/lab/lib/compile.js';
import { poll } from '../../test/lab/lib/poll.js';
import { need } from '../../test/lab/lib/tools.js';
import { HIGH, ORIGIN_PORT, startOrigin } from '../../test/lab/parts/origin.js';
import type { Bench, Contender, Sample } from '../lib/bench.js';
import {
  buildTopology,
  EDGE_ADDRESS,
  SOURCE_ADDRESS,
  TOWARDS_VIEWERS,
  type Topology,
  VIEWERS_ADDRESS,
} from '../lib/topology.js';

const GROUP = '239.20.9.1';
const PORT = 5000;
const SERVER_PORT = 5008;
const HTTP_PORT = 8080;

/** The origin's clip has an access point every two seconds. */
function configuration(socket: string): string {
  const multicast = {
    address: GROUP,
    port: PORT,
    interface: TOWARDS_VIEWERS,
    source: EDGE_ADDRESS,
    retransmission: {
      address: EDGE_ADDRESS,
      port: SERVER_PORT,
      allow: [`${VIEWERS_ADDRESS}/32`],
      rapid_acquisition: {},
    },
  };
  const url = `http://${SOURCE_ADDRESS}:${ORIGIN_PORT}/${HIGH}.ts`;
  const channels = [{ id: 'zap', renditions: [{ id: 'main', url, multicast }] }];
  const http = { listen: [`0.0.0.0:${HTTP_PORT}`] };
  const upstream = { allow: [`${SOURCE_ADDRESS}/32`] };
  return JSON.stringify({
    admin: { listen: '127.0.0.1:9480', socket },
    log: { level: 'warn' },
    http,
    upstream,
    channels,
  });
}

async function startEdge({ lab, source, edge }: Topology): Promise<void> {
  await startOrigin(source, [HIGH]);
  const file = lab.file('sluice.yaml');
  writeFileSync(file, configuration(lab.file('admin.sock')));
  const command = [process.execPath, join(ROOT, 'dist/daemon/cli/sluice.js'), 'run', '-c', file];
  const daemon = await edge.spawn('sluice', command);
  const ready = async (): Promise<boolean> => {
    if (!daemon.running) throw new Error(`the daemon ended: ${daemon.tail()}`);
    const url = `http://127.0.0.1:${HTTP_PORT}/live/zap/main/index.m3u8`;
    return (await edge.get(url).catch(() => null))?.status === 200;
  };
  await poll(ready, 30_000, () => `the daemon to serve: ${daemon.tail()}`, 250);
}

const line = z.object({
  ms: z.number(),
  decoded: z.boolean(),
  acquired: z.number(),
  rtpLost: z.number(),
  response: z.number(),
});

/** The value below which so much of all lies. */
function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? Number.NaN;
}

function contender(topology: Topology, name: string, mode: 'rapid' | 'join', zaps: number): Contender {
  const measure = async (): Promise<Sample> => {
    const folder = topology.lab.file(`zap-${mode}`);
    mkdirSync(folder, { recursive: true });
    const program = join(ROOT, 'dist/bench/zap/zapper.js');
    const place = [GROUP, PORT, 'edge0', EDGE_ADDRESS, SERVER_PORT].map(String);
    const command = [process.execPath, program, ...place, mode, String(zaps), folder];
    const { stdout } = await topology.viewers.must(command, { timeoutMs: 15_000 * (zaps + 1) });
    const all = stdout
      .trim()
      .split('\n')
      .map((text) => line.parse(JSON.parse(text)));
    const broken = all.find(
      ({ decoded, rtpLost, acquired }) => !decoded || rtpLost > 0 || (mode === 'rapid') !== acquired > 0,
    );
    if (all.length !== zaps || broken !== undefined)
      throw new Error(`expected pictures, got ${JSON.stringify(broken)}`);
    const times = all.map(({ ms }) => ms);
    return { figures: { p50: quantile(times, 0.5), p90: quantile(times, 0.9) }, notes: [] };
  };
  return { name, measure };
}

/** How long a receiver of a group has no picture. */
export const zap: Bench = {
  name: 'zap',
  summary: 'from the request for a channel to its first decodable picture, with and without rapid acquisition',
  rounds: 3,
  async prepare(lab, { quick }) {
    need('ffmpeg', 'mkfifo');
    const topology = await buildTopology(lab);
    await startEdge(topology);
    const zaps = quick ? 3 : 20;
    return [
      {
        figures: [
          { case: 'first picture, p50', unit: 'ms', better: 'less', key: 'p50' },
          { case: 'first picture, p90', unit: 'ms', better: 'less', key: 'p90' },
        ],
        ours: contender(topology, 'ours', 'rapid', zaps),
        limit: null,
        peers: [contender(topology, 'join alone', 'join', zaps)],
        notes: [`${zaps} changes each at times by chance; each picture was decoded by ffmpeg`],
      },
    ];
  },
};
