/** A whole daemon with a file that tests change and reload. */
import { randomInt } from 'node:crypto';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import type { Test } from 'tap';
import { createLogger } from '../../daemon/base/log.js';
import type { ReloadOutcome } from '../../daemon/config/reload.js';
import { type Daemon, startDaemon } from '../../daemon/main.js';
import type { InputCounters, PlaneApi } from '../../daemon/plane/contract.js';
import { createPlane } from '../../daemon/plane/plane.js';
import { loadSettings } from '../../daemon/settings.js';
import type { RenditionStatus } from '../../daemon/streams/status.js';
import { temporaryFolder } from '../cli/lib/program.js';

/** A rendition of 1 MiB, with what else is given. */
export function rendition(id: string, more: object): object {
  return { id, buffer: { memory: '1MiB', delay: '100ms' }, ...more };
}

/** A channel of one rendition called `one`, with short segments. */
export function channel(id: string, more: object, label: object = {}): object {
  return { id, ...label, hls: { segment: '1s' }, renditions: [rendition('one', more)] };
}

/** A group and port on the loopback interface that hardly anybody else uses now. */
export function loopbackGroup(): { address: string; port: number; interface: string; source: string; ttl: number } {
  const address = `239.255.${randomInt(80, 250)}.${randomInt(1, 250)}`;
  return { address, port: 2 * randomInt(10_000, 16_000), interface: 'lo', source: '127.0.0.1', ttl: 0 };
}

/** Descriptors that this process has open. */
export function openDescriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

export class Bed {
  readonly #file: string;
  /** Every line of the log. */
  readonly lines: string[] = [];
  #daemon: Daemon | undefined;

  private constructor(file: string) {
    this.#file = file;
  }

  /** @param settings as in the file; admin and the viewers' front are on free ports unless said otherwise */
  static async start(t: Test, settings: object): Promise<Bed> {
    const bed = new Bed(join(temporaryFolder(t), 'sluice.yaml'));
    bed.write(settings);
    const daemon = await startDaemon(await loadSettings(bed.#file), {
      log: bed.#logger(),
      version: '1.2.3',
      file: bed.#file,
    });
    t.teardown(() => daemon.close());
    bed.#daemon = daemon;
    return bed;
  }

  get daemon(): Daemon {
    if (this.#daemon === undefined) throw new Error('the daemon was not started');
    return this.#daemon;
  }

  get file(): string {
    return this.#file;
  }

  /** JSON is YAML, too. */
  write(settings: object): void {
    const defaults = { admin: { listen: '127.0.0.1:0', socket: null }, http: { listen: ['127.0.0.1:0'] } };
    this.writeText(JSON.stringify({ ...defaults, ...settings }, null, 1));
  }

  writeText(text: string): void {
    writeFileSync(this.#file, text);
  }

  reload(settings?: object): Promise<ReloadOutcome> {
    if (settings !== undefined) this.write(settings);
    return this.daemon.reload({ by: 'test' });
  }

  rendition(channelId: string): RenditionStatus {
    const found = this.daemon.channels().find(({ id }) => id === channelId)?.renditions[0];
    if (found === undefined) throw new Error(`there is no channel ${channelId}`);
    return found;
  }

  async metrics(): Promise<string> {
    return (await fetch(`${this.daemon.adminUrl}/metrics`)).text();
  }

  #logger(): ReturnType<typeof createLogger> {
    const { lines } = this;
    const output = new Writable({
      decodeStrings: false,
      write(chunk: string, _encoding, done) {
        lines.push(chunk);
        done();
      },
    });
    return createLogger({ level: 'info' }, output);
  }
}

/** Receivers of multicast, in a plane of their own. */
export class Receivers {
  readonly #plane: PlaneApi;

  constructor(t: Test) {
    this.#plane = createPlane({ memoryBytes: 2 ** 20 });
    t.teardown(() => this.#plane.close());
  }

  /** Joins; returns what reads the counters. */
  join({ address, port }: { readonly address: string; readonly port: number }): () => InputCounters {
    const options = {
      address,
      port,
      source: null,
      interfaceName: 'lo',
      reorderMs: 50,
      outputFd: null,
      recording: null,
    };
    const receiver = this.#plane.addReceiver(options);
    return () => this.#plane.inputCounters(receiver);
  }
}
