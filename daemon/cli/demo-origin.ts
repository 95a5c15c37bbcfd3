import { type ChildProcess, fork } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { SluiceError } from '../base/errors.js';
import { ROOT } from './root.js';

const PROGRAM = fileURLToPath(new URL('./demo-origin-process.js', import.meta.url));
const CAPTURES = join(ROOT, 'fixtures', 'pcap');
const CAPTURE = /^demo-.*\.pcap$/;
const STARTS_WITHIN_MS = 20_000;
const ENDS_WITHIN_MS = 1500;

/** What the origin's process tells: where it listens, or why it does not. */
export const originReport = z.union([z.object({ url: z.string() }), z.object({ error: z.string() })]);
export type OriginReport = z.infer<typeof originReport>;

/** The running origin. */
export interface DemoOrigin {
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  /** Ends its process. Idempotent. */
  close(): Promise<void>;
}

/**
 * Plays the demo's captures in a process of its own, as a real origin would be: what it costs is not counted as the daemon's.
 * It ends with this process, however this one ends.
 * @throws SluiceError CAPTURE_EMPTY or what the process failed with
 */
export async function startOrigin(): Promise<DemoOrigin> {
  const names = (await readdir(CAPTURES).catch(() => [])).filter((name) => CAPTURE.test(name)).sort();
  if (names.length === 0) throw new SluiceError('CAPTURE_EMPTY', `there are no captures demo-*.pcap in ${CAPTURES}`);
  const files = names.map((name) => join(CAPTURES, name));
  const child = fork(PROGRAM, files, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const close = (): Promise<void> => end(child, ended);
  try {
    return { url: await reported(child), close };
  } catch (error) {
    await close();
    throw error;
  }
}

function reported(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    const failed = (reason: string): void => reject(new SluiceError('INTERNAL', `the demo's origin failed: ${reason}`));
    const timer = setTimeout(() => failed(`nothing came within ${STARTS_WITHIN_MS / 1000} s`), STARTS_WITHIN_MS);
    child.once('error', (error) => failed(error.message));
    child.once('exit', (code, signal) => failed(`it ended with ${signal ?? code}`));
    child.once('message', (message) => {
      clearTimeout(timer);
      const report = originReport.parse(message);
      if ('url' in report) resolve(report.url);
      else failed(report.error);
    });
  });
}

/** The process ends when its channel to us is closed. */
async function end(child: ChildProcess, ended: Promise<void>): Promise<void> {
  if (child.connected) child.disconnect();
  const timer = setTimeout(() => child.kill('SIGKILL'), ENDS_WITHIN_MS);
  await ended;
  clearTimeout(timer);
}
