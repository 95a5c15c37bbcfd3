import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { ROOT } from '../lib/compile.js';
import type { Host } from '../lib/host.js';
import { poll } from '../lib/poll.js';
import type { Child } from '../lib/process.js';

/** The `sluice` command as it runs from a checkout. */
export function sluice(...args: string[]): string[] {
  return [process.execPath, join(ROOT, 'dist/daemon/cli/sluice.js'), ...args];
}

const count = z.number();
const rendition = z.object({
  id: z.string(),
  state: z.string(),
  code: z.string().nullable(),
  ready: z.boolean(),
  source: z.object({
    connections: count,
    connects: count,
    requests: z.object({ playlist: count, segment: count, stream: count }),
    retries: count,
  }),
  input: z.object({ bytes: count, syncErrors: count, continuityErrors: count, discontinuities: count }),
  ring: z.object({ bufferLevelMs: count, underruns: count, fullDrops: count }),
  viewers: z.object({ continuous: count, hls: count, drops: count, dropBytes: count }),
});
export type RenditionStatus = z.infer<typeof rendition>;
const channels = z.union([
  z.array(z.object({ id: z.string(), renditions: z.array(rendition) })),
  z
    .object({ channels: z.array(z.object({ id: z.string(), renditions: z.array(rendition) })) })
    .transform((all) => all.channels),
]);

const ADMIN_PORT = 9480;
export const VIEWERS_PORT = 8080;

/** `sluice run` in a host of the lab, seen through its admin API. */
export class Edge {
  private constructor(
    readonly host: Host,
    readonly child: Child,
  ) {}

  /**
   * Starts the daemon.
   *
   * @param channels as in the configuration file; admin and http are added
   * @param http further keys of `http:`
   * @param further keys beside these, such as `sites`
   */
  static async start(host: Host, channels: readonly object[], http: object = {}, further: object = {}): Promise<Edge> {
    const settings = {
      admin: { listen: `127.0.0.1:${ADMIN_PORT}`, socket: host.lab.file(`${host.name}.sock`) },
      log: { level: 'info' },
      http: { listen: [`0.0.0.0:${VIEWERS_PORT}`], ...http },
      channels,
      ...further,
    };
    const file = host.lab.file(`${host.name}.yaml`);
    writeFileSync(file, JSON.stringify(settings, null, 2)); // JSON is YAML
    const child = await host.spawn('sluice', sluice('run', '-c', file));
    const edge = new Edge(host, child);
    await poll(
      () => edge.answers('/healthz'),
      20_000,
      () => `the edge's admin API: ${child.tail()}`,
      200,
    );
    return edge;
  }

  /** Whether an admin path answers 200; throws when the daemon has ended. */
  async answers(path: string): Promise<boolean> {
    if (!this.child.running) throw new Error(`sluice run ended: ${this.child.tail()}`);
    try {
      return (await this.host.get(`http://127.0.0.1:${ADMIN_PORT}${path}`)).status === 200;
    } catch {
      return false;
    }
  }

  /** Waits until every channel flows. */
  async ready(timeoutMs: number): Promise<void> {
    await poll(
      () => this.answers('/readyz'),
      timeoutMs,
      () => `the edge to be ready: ${this.child.tail()}`,
      200,
    );
  }

  /** VmRSS of the daemon now, in KiB. */
  residentKiB(): number {
    const status = readFileSync(`/proc/${this.child.pid}/status`, 'latin1');
    return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]);
  }

  /** Milliseconds so far that the plane's thread was ready to run and had no CPU (proc(5), schedstat). */
  planeWaitedMs(): number {
    const tasks = `/proc/${this.child.pid}/task`;
    const plane = readdirSync(tasks).find(
      (task) => readFileSync(`${tasks}/${task}/comm`, 'utf8').trim() === 'sluice-loop0',
    );
    if (plane === undefined) throw new Error('the edge has no thread sluice-loop0');
    return Number(readFileSync(`${tasks}/${plane}/schedstat`, 'utf8').split(' ')[1]) / 1e6;
  }

  /** A rendition as the admin API shows it. */
  async rendition(channel: string, id: string): Promise<RenditionStatus> {
    const all = channels.parse(await this.host.getJson(`http://127.0.0.1:${ADMIN_PORT}/v1/channels`));
    const found = all.find((one) => one.id === channel)?.renditions.find((one) => one.id === id);
    if (found === undefined) throw new Error(`the edge has no ${channel}/${id}`);
    return found;
  }
}
