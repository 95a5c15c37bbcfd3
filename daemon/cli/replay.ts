import { renameSync, writeFileSync } from 'node:fs';
import { type Command, InvalidArgumentError } from 'commander';
import type { z } from 'zod';
import { SluiceError } from '../base/errors.js';
import { duration, type Endpoint, listenAddress } from '../config/units.js';
import { print } from './output.js';

const DEFAULT_LISTEN = '127.0.0.1:9490';
const SEGMENT = duration({ min: 500, max: 60_000 });
const MAX_WINDOW = 100;

interface ReplayOptions {
  readonly serve?: true;
  readonly listen: Endpoint;
  readonly port?: number;
  readonly segment: number;
  readonly window: number;
  readonly portFile?: string;
}

/** `sluice replay FILE... --serve`: captures as an endless live HTTP origin. */
export function register(program: Command): void {
  program
    .command('replay')
    .summary('play captures as a live source')
    .description(
      'Plays the MPEG-TS of captures (classic pcap) endlessly, as a live HTTP origin. Time stamps and continuity counters go on ' +
        'across the loop. What is live follows from the wall clock: a restarted origin goes on where live is.',
    )
    .argument('<file...>', 'captures, as FILE or NAME=FILE; NAME is else the name of the file without its extension')
    .option('--serve', 'serve them by HTTP until SIGINT or SIGTERM')
    .option(
      '--listen <address:port>',
      'where to listen; port 0 picks a free one',
      parsed(listenAddress),
      endpoint(DEFAULT_LISTEN),
    )
    .option('--port <port>', 'the port alone, instead of that of --listen', whole(0, 65_535))
    .option('--segment <duration>', 'segments last at least so long', parsed(SEGMENT), 2000)
    .option('--window <segments>', 'segments in a playlist', whole(3, MAX_WINDOW), 6)
    .option('--port-file <file>', 'write the port to this file once it is open')
    .addHelpText(
      'after',
      '\nServes /master.m3u8, /NAME/index.m3u8, /NAME.m3u8, /NAME/N.ts (HLS), /NAME.ts (continuous) and /stats (JSON).\n' +
        '\nExamples:\n  sluice replay --serve news.pcap\n  sluice replay --serve --listen 127.0.0.1:0 high=a.pcap low=b.pcap',
    )
    .action(replay);
}

async function replay(files: readonly string[], options: ReplayOptions): Promise<void> {
  if (options.serve !== true) throw new SluiceError('USAGE', 'replay: expected --serve');
  const ended = new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
  });
  // Loaded when it is needed: help and wrong use need no addon.
  const { loadClips } = await import('../replay/load.js');
  const { startOrigin } = await import('../replay/origin.js');
  const clips = loadClips(files, { segmentMs: options.segment, window: options.window });
  const listen = options.port === undefined ? options.listen : { ...options.listen, port: options.port };
  const origin = await startOrigin({ clips, listen });
  if (options.portFile !== undefined) writePort(options.portFile, origin.port);
  print(`serving ${clips.map(({ name }) => name).join(', ')}: ${origin.url}/master.m3u8`);
  await ended;
  await origin.close();
}

/** Whoever waits for the file never sees half of it. */
function writePort(file: string, port: number): void {
  try {
    writeFileSync(`${file}.new`, `${port}\n`);
    renameSync(`${file}.new`, file);
  } catch (error) {
    throw new SluiceError('SYSTEM_CALL', `--port-file: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function parsed<T>(type: z.ZodType<T, string>): (text: string) => T {
  return (text) => {
    const result = type.safeParse(text);
    if (result.success) return result.data;
    throw new InvalidArgumentError(`${result.error.issues[0]?.message ?? 'it is invalid'}.`);
  };
}

function whole(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= min && value <= max) return value;
    throw new InvalidArgumentError(`expected a whole number of ${min} to ${max}.`);
  };
}

function endpoint(text: string): Endpoint {
  return parsed(listenAddress)(text);
}
