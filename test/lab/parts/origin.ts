import { join } from 'node:path';
import { z } from 'zod';
import { ROOT } from '../lib/compile.js';
import type { Host } from '../lib/host.js';
import { poll } from '../lib/poll.js';
import type { Child } from '../lib/process.js';
import { sluice } from './sluice.js';

export const ORIGIN_PORT = 8000;
/** Captures of real H.264/AAC; each is offered as NAME.m3u8 and NAME.ts. */
export const HIGH = 'demo-high';
export const LOW = 'demo-low';

let starts = 0;

export interface Origin {
  readonly child: Child;
  /** Milliseconds since 1970: the beginning of the first request that it answered. */
  readonly answersSince: number;
}

/** Plays the captures as an endless live origin; resolves when it answers. */
export async function startOrigin(host: Host, names: readonly string[] = [HIGH, LOW]): Promise<Origin> {
  const files = names.map((name) => join(ROOT, 'fixtures/pcap', `${name}.pcap`));
  const listen = ['--serve', '--listen', `0.0.0.0:${ORIGIN_PORT}`];
  const child = await host.spawn(`origin-${++starts}`, sluice('replay', ...files, ...listen));
  const answers = async (): Promise<number | undefined> => {
    const asked = Date.now();
    if (!child.running) throw new Error(`sluice replay ended: ${child.tail()}`);
    try {
      return (await host.get(`http://127.0.0.1:${ORIGIN_PORT}/stats`)).status === 200 ? asked : undefined;
    } catch {
      return undefined;
    }
  };
  const answersSince = await poll(answers, 20_000, () => `the origin to answer: ${child.tail()}`, 50);
  return { child, answersSince };
}

/** EXT-X-TARGETDURATION (RFC 8216 4.3.3.1) of the origin's playlist in milliseconds. */
export async function targetDurationMs(host: Host, name = HIGH): Promise<number> {
  const { body } = await host.get(`http://127.0.0.1:${ORIGIN_PORT}/${name}.m3u8`);
  const [, seconds] = /^#EXT-X-TARGETDURATION:(\d+)/m.exec(body) ?? [];
  if (seconds === undefined) throw new Error(`no target duration in ${body.slice(0, 200)}`);
  return Number(seconds) * 1_000;
}

const count = z.number();
const statistics = z.object({
  renditions: z.record(
    z.string(),
    z.object({
      connections: z.object({ total: count, open: count }),
      requests: z.object({ playlist: count, segment: count, continuous: count }),
    }),
  ),
  uris: z.record(z.string(), count),
});

/** What the origin itself counts of the requests that came to it. */
export class OriginStats {
  constructor(private readonly all: z.infer<typeof statistics>) {}

  rendition(name: string): {
    connections: number;
    requests: { playlist: number; segment: number; continuous: number };
  } {
    const found = this.all.renditions[name];
    if (found === undefined)
      throw new Error(`the origin has no ${name}: ${Object.keys(this.all.renditions).join(', ')}`);
    return { connections: found.connections.total, requests: found.requests };
  }

  /** Requests for each segment of a rendition. */
  segments(name: string): [uri: string, requests: number][] {
    const segment = new RegExp(`/${name}/[^/]*\\.ts$`);
    return Object.entries(this.all.uris).filter(([uri]) => segment.test(uri));
  }
}

export async function originStats(host: Host): Promise<OriginStats> {
  return new OriginStats(statistics.parse(await host.getJson(`http://127.0.0.1:${ORIGIN_PORT}/stats`)));
}
