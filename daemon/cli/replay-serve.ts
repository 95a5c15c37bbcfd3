import { renameSync, writeFileSync } from 'node:fs';
import { SluiceError } from '../base/errors.js';
import type { Endpoint } from '../config/units.js';
import { print } from './output.js';
import { Ending } from './supervise.js';

export interface ServeOptions {
  readonly listen: Endpoint;
  readonly port?: number;
  readonly segment: number;
  readonly window: number;
  readonly portFile?: string;
}

/** `sluice replay --serve`: captures as an endless live HTTP origin, until SIGINT or SIGTERM. */
export async function serve(files: readonly string[], options: ServeOptions): Promise<void> {
  const ending = new Ending();
  // Loaded when it is needed: help and wrong use need no addon.
  const { loadClips } = await import('../replay/load.js');
  const { startOrigin } = await import('../replay/origin.js');
  const damages: string[] = [];
  const clips = loadClips(files, {
    segmentMs: options.segment,
    window: options.window,
    onDamage: (sentence) => damages.push(sentence),
  });
  for (const damage of damages) process.stderr.write(`${damage}; what is before it is played\n`);
  const listen = options.port === undefined ? options.listen : { ...options.listen, port: options.port };
  const origin = await startOrigin({ clips, listen });
  if (options.portFile !== undefined) writePort(options.portFile, origin.port);
  print(`serving ${clips.map(({ name }) => name).join(', ')}: ${origin.url}/master.m3u8`);
  await ending.wait();
  await origin.close();
  if (damages[0] !== undefined) throw new SluiceError('CAPTURE_INVALID', damages[0]);
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
