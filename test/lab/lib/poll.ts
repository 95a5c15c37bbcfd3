/** Thrown by {@link poll} when the time is over. */
export class PollTimeout extends Error {
  override readonly name = 'PollTimeout';
}

/** A bound for races: resolves with undefined after so many milliseconds and does not keep the program alive. */
export function sleepUntil(ms: number): Promise<undefined> {
  return new Promise((resolve) => {
    setTimeout(() => resolve(undefined), ms).unref();
  });
}

/**
 * Asks again and again until there is an answer.
 *
 * @param until gives the answer, or undefined or false to be asked again; what it throws ends the poll
 * @param timeoutMs how long to ask
 * @param what words after "timed out waiting for"; a function is called when the time is over
 * @param everyMs pause between two questions
 */
export async function poll<T>(
  until: () => Promise<T | undefined | false> | T | undefined | false,
  timeoutMs: number,
  what: string | (() => string),
  everyMs = 50,
): Promise<T> {
  const end = performance.now() + timeoutMs;
  for (;;) {
    const answer = await until();
    if (answer !== undefined && answer !== false) return answer;
    if (performance.now() > end) {
      throw new PollTimeout(`timed out after ${timeoutMs} ms waiting for ${typeof what === 'string' ? what : what()}`);
    }
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}

/**
 * Lets a bounded time of the scenario pass (an outage, a measuring interval) while `watch`, asked each quarter second, may
 * end it by throwing.
 */
export async function during(ms: number, watch: () => void | Promise<void> = () => undefined): Promise<void> {
  const end = performance.now() + ms;
  while (performance.now() < end) {
    await watch();
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, Math.min(250, end - performance.now()))));
  }
}
