import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** V8's collector, which it hands out to contexts made while this flag is set. */
function collector(): () => void {
  setFlagsFromString('--expose-gc');
  try {
    const gc: unknown = runInNewContext('gc');
    return typeof gc === 'function' ? () => void gc() : () => undefined;
  } finally {
    setFlagsFromString('--no-expose-gc');
  }
}

/**
 * Collects what starting has left over, a few times. V8 sizes its heap after what a full collection finds alive, and before the
 * first one lets it grow for hours in a process that does little: the daemon would reach the size it keeps only then.
 * @param after seconds from now of each collection; the event loop stands for some 20 ms each time, packets are not touched
 * @returns ends it
 */
export function settleHeap(after: readonly number[] = [1, 30, 120]): () => void {
  const collect = collector();
  const timers = after.map((seconds) => setTimeout(collect, seconds * 1000).unref());
  return () => {
    for (const timer of timers) clearTimeout(timer);
  };
}
