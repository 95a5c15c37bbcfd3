/** `sluice capture --control`: what a running daemon's multicast router says and hears. */
import { once } from 'node:events';
import { open } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import type { z } from 'zod';
import { CONTROL_CAPTURE_TRAILER, controlCaptureSummary } from '../admin/model.js';
import { SluiceError } from '../base/errors.js';
import { streamFromDaemon } from './admin-client.js';
import { follow } from './progress.js';
import { Ending } from './supervise.js';

export interface ControlFlags {
  readonly admin: string;
  readonly interface?: string;
  /** Milliseconds. */
  readonly duration?: number;
  /** 0 for no limit. */
  readonly count: number;
  readonly json?: true;
}

/** The longest that a daemon captures; until Ctrl-C means this. */
const LONGEST_MS = 3_600_000;
const PACKET_BLOCK = 6;
/** Of an answer that ends before its end. */
const CUT: ReadonlySet<string> = new Set(['ECONNRESET', 'ERR_STREAM_PREMATURE_CLOSE']);

/** Cuts what comes at whole blocks of a pcapng, and counts its packets. */
export class PcapngBlocks {
  packets = 0;
  /** On the wire. */
  bytes = 0;
  #rest: Buffer = Buffer.alloc(0);

  /** Whole blocks, as far as they have come. */
  take(chunk: Buffer): Buffer {
    const all = Buffer.concat([this.#rest, chunk]);
    let at = 0;
    while (at + 8 <= all.length) {
      const length = all.readUInt32LE(at + 4);
      if (length < 12) throw new SluiceError('CAPTURE_INVALID', `expected a block of 12 bytes or more, got ${length}`);
      if (at + length > all.length) break;
      if (all.readUInt32LE(at) === PACKET_BLOCK) {
        this.packets++;
        this.bytes += all.readUInt32LE(at + 24);
      }
      at += length;
    }
    this.#rest = all.subarray(at);
    return all.subarray(0, at);
  }
}

/** Until a limit, or the wish to end. The file always ends with a whole message. */
export async function captureControl(file: string, flags: ControlFlags): Promise<void> {
  const ending = new Ending();
  const response = await streamFromDaemon(flags.admin, pathOf(flags));
  process.stderr.write(
    `capturing control messages of ${flags.interface ?? 'all interfaces'} to ${file === '-' ? 'standard output' : file}\n`,
  );
  let cut = false;
  const stop = (): void => {
    cut = true;
    response.destroy();
  };
  if (file === '-') process.stdout.once('close', stop);
  const blocks = new PcapngBlocks();
  const written = write(file, response, blocks);
  await follow(written, ending, () => `${blocks.packets} packets, ${blocks.bytes} bytes`);
  if (ending.signal.aborted) stop();
  const fileBytes = await written;
  const told = summaryOf(response);
  conclude(file, flags, blocks, fileBytes, told);
  if (told === undefined && !cut)
    throw new SluiceError('DAEMON_UNREACHABLE', 'capture: the daemon has ended before the capture had', { file });
}

function pathOf(flags: ControlFlags): string {
  const query = new URLSearchParams({ duration: `${Math.min(flags.duration ?? LONGEST_MS, LONGEST_MS)}ms` });
  if (flags.interface !== undefined) query.set('interface', flags.interface);
  if (flags.count > 0) query.set('count', String(flags.count));
  return `/v1/capture?${query}`;
}

/** Where whole blocks go, and what is to be done at their end. */
async function outputTo(file: string): Promise<{ put(blocks: Buffer): Promise<void>; close(): Promise<void> }> {
  if (file !== '-') {
    const handle = await open(file, 'w');
    return { put: (blocks) => handle.writeFile(blocks), close: () => handle.close() };
  }
  const { stdout } = process;
  return {
    put: async (blocks) => {
      if (!stdout.write(blocks) && !stdout.destroyed)
        await Promise.race([once(stdout, 'drain'), once(stdout, 'close')]);
    },
    close: () => Promise.resolve(),
  };
}

/** @returns how many bytes, when the answer has ended or was cut off */
async function write(file: string, response: IncomingMessage, blocks: PcapngBlocks): Promise<number> {
  const out = await outputTo(file);
  let size = 0;
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      const whole = blocks.take(chunk);
      await out.put(whole);
      size += whole.length;
    }
  } catch (error) {
    // What has come before it was cut off is there.
    if (!CUT.has((error as NodeJS.ErrnoException).code ?? '')) throw error;
  } finally {
    await out.close();
  }
  return size;
}

type Summary = z.output<typeof controlCaptureSummary>;

/** None where the answer was cut off. */
function summaryOf({ trailers }: IncomingMessage): Summary | undefined {
  const text = trailers[CONTROL_CAPTURE_TRAILER];
  return text === undefined ? undefined : controlCaptureSummary.parse(JSON.parse(text));
}

function conclude(
  file: string,
  flags: ControlFlags,
  { packets, bytes }: PcapngBlocks,
  fileBytes: number,
  told: Summary | undefined,
): void {
  const { dropped, end } = told ?? { dropped: null, end: 'cut' };
  if (flags.json === true) {
    const line = { type: 'summary', file, interface: flags.interface ?? null, packets, bytes, dropped, end, fileBytes };
    (file === '-' ? process.stderr : process.stdout).write(`${JSON.stringify(line)}\n`);
    return;
  }
  const lost = dropped === null ? "how many were dropped is in the daemon's log" : `${dropped} dropped`;
  process.stderr.write(`${packets} packets (${bytes} bytes), ${lost}; ${fileBytes} bytes written\n`);
}
