/** A ChannelService on the real plane, with the viewers' front on loopback; and viewers for it. */
import { get } from 'node:http';
import { Writable } from 'node:stream';
import { systemClock } from '../../daemon/base/clock.js';
import { createLogger, type Logger } from '../../daemon/base/log.js';
import { Metrics } from '../../daemon/base/metrics.js';
import { Registry } from '../../daemon/base/registry.js';
import type { PlaneApi } from '../../daemon/plane/contract.js';
import { createPlane } from '../../daemon/plane/plane.js';
import { ChannelService } from '../../daemon/streams/service.js';
import { channelsSchema } from '../../daemon/streams/settings.js';
import { Guide } from '../../daemon/streams/source/guide.js';
import { Resolver } from '../../daemon/streams/source/resolver.js';
import { UpstreamRules } from '../../daemon/streams/source/upstream-rules.js';
import type { RenditionStatus } from '../../daemon/streams/status.js';
import { upstreamSchema } from '../../daemon/streams/upstream-settings.js';

export class Edge {
  readonly metrics = new Metrics();
  readonly registry = new Registry();
  /** Every line of the log. */
  readonly lines: string[] = [];
  readonly plane: PlaneApi;
  readonly service: ChannelService;
  readonly base: string;

  /** @param channels as in the configuration file; @param more `upstream` as there, and whom to trust (PEM) */
  constructor(
    channels: unknown,
    memoryBytes = 256 * 2 ** 20,
    more: { readonly upstream?: unknown; readonly authorities?: string } = {},
  ) {
    const log = this.#logger();
    this.plane = createPlane({ memoryBytes, log, authorities: more.authorities });
    const checked = channelsSchema.parse(channels);
    const rules = new UpstreamRules(upstreamSchema.parse(more.upstream ?? {}));
    const { port } = this.plane.listen({
      address: '127.0.0.1',
      port: 0,
      maxConnections: 100,
      headerTimeoutMs: 5_000,
      idleTimeoutMs: 30_000,
      stallTimeoutMs: 30_000,
      sendBufferBytes: 256 * 1024,
      viewerLagMs: 10_000,
    });
    this.base = `http://127.0.0.1:${port}`;
    this.service = new ChannelService(this.plane, checked, {
      log,
      guide: new Guide(new Resolver(systemClock), rules, 'Sluice/1.2.3'),
      metrics: this.metrics,
      registry: this.registry,
      clock: systemClock,
      httpBase: this.base,
      version: '1.2.3',
    });
  }

  async close(): Promise<void> {
    await this.service.stop();
    await this.plane.close();
  }

  rendition(index = 0, channel = 0): RenditionStatus {
    const status = this.service.channels()[channel]?.renditions[index];
    if (status === undefined) throw new Error(`there is no rendition ${channel}/${index}`);
    return status;
  }

  #logger(): Logger {
    const { lines } = this;
    const output = new Writable({
      decodeStrings: false,
      write(chunk: string, _encoding, done) {
        lines.push(chunk);
        done();
      },
    });
    return createLogger({ level: 'debug' }, output);
  }
}

/** Polls until the condition holds; fails after the time with what it was for. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  timeoutMs = 10_000,
): Promise<void> {
  const end = Date.now() + timeoutMs;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** A continuous viewer that keeps all that it gets. */
export class Viewer {
  readonly #chunks: Buffer[] = [];
  status = 0;
  closed = false;
  readonly #request;

  constructor(url: string) {
    this.#request = get(url, (response) => {
      this.status = response.statusCode ?? 0;
      response.on('data', (chunk: Buffer) => this.#chunks.push(chunk));
      response.on('close', () => {
        this.closed = true;
      });
      response.on('error', () => {});
    });
    this.#request.on('error', () => {
      this.closed = true;
    });
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  close(): void {
    this.#request.destroy();
  }
}
