import type { Host } from '../lib/host.js';
import { type Child, CommandFailed, exec } from '../lib/process.js';
import { sluice } from './sluice.js';

/** The packets of a device, written to a file in the lab's folder by tcpdump or by our own program; tshark dissects them. */
export class Capture {
  private constructor(
    readonly file: string,
    readonly child: Child,
  ) {}

  /**
   * @param filter as of tcpdump
   * @param snap bytes kept of each packet
   */
  static async start(host: Host, device: string, filter: string, name: string, snap = 65_535): Promise<Capture> {
    const file = host.lab.file(`${name}.pcap`);
    // As the present user: an unprivileged one (tcpdump's default) may not write there. -U: whole packets, at once.
    const options = ['-i', device, '-s', String(snap), '-B', '16384', '-U', '-w', file, '-Z', 'root'];
    const child = await host.spawn(`tcpdump-${name}`, ['tcpdump', '-n', ...options, ...filter.split(' ')]);
    await child.waitForLine(/listening on/, 5_000, 'stderr');
    return new Capture(file, child);
  }

  /**
   * The same by `sluice capture`.
   * @param options of its own, which choose packets
   */
  static async record(host: Host, device: string, options: readonly string[], name: string): Promise<Capture> {
    const file = host.lab.file(`${name}.pcapng`);
    const child = await host.spawn(`capture-${name}`, sluice('capture', '-i', device, file, ...options));
    await child.waitForLine(/^capturing on/m, 20_000, 'stderr');
    return new Capture(file, child);
  }

  /** Ends it; fails when the kernel had to drop packets, since then nothing is proven. */
  async stop(): Promise<void> {
    await this.child.stop('SIGINT');
    const dropped = /(\d+) (?:packets )?dropped by (?:the )?kernel/.exec(this.child.stderr())?.[1];
    if (dropped !== '0') throw new Error(`${this.child.name} missed ${dropped ?? 'an unknown number of'} packets`);
  }

  /** As {@link fieldsOf}. */
  fields(
    match: string,
    fields: readonly string[],
    decodeAs: readonly string[] = [],
    preferences: readonly string[] = [],
  ): Promise<string[][]> {
    return fieldsOf(this.file, match, fields, decodeAs, preferences);
  }
}

/**
 * Fields of every packet of a file that matches, as tshark dissects them.
 *
 * @param decodeAs rules as of its -d
 * @param preferences as of its -o
 */
export async function fieldsOf(
  file: string,
  match: string,
  fields: readonly string[],
  decodeAs: readonly string[] = [],
  preferences: readonly string[] = [],
): Promise<string[][]> {
  const args = ['-r', file, '-Y', match, '-T', 'fields', ...fields.flatMap((field) => ['-e', field])];
  const as = decodeAs.flatMap((rule) => ['-d', rule]);
  const options = preferences.flatMap((preference) => ['-o', preference]);
  const command = ['tshark', '-n', ...as, ...options, ...args];
  const result = await exec(command, { timeoutMs: 120_000 });
  // While tcpdump still writes, the last packet may be half there.
  if (result.code !== 0 && !result.stderr.includes('cut short')) throw new CommandFailed(command, result);
  return result.stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => line.split('\t'));
}
