import type { Ending } from './supervise.js';

const EVERY_MS = 1000;

/**
 * Waits for work that goes on in the plane. On a terminal one line on standard error tells meanwhile how far it is.
 * @param line the progress in a few words
 * @returns what `done` gives, or undefined when the end was asked for before
 */
export async function follow<T>(done: Promise<T>, ending: Ending, line: () => string): Promise<T | undefined> {
  const show = (): void => {
    if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${line()}`);
  };
  // Also keeps the process alive: the plane's thread does not.
  const timer = setInterval(show, EVERY_MS);
  try {
    return await Promise.race([done, ending.wait().then(() => undefined)]);
  } finally {
    clearInterval(timer);
    if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
  }
}
