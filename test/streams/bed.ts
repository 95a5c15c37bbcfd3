/** One origin, one channel, one edge: how most tests of sources begin. */
import type { Test } from 'tap';
import { Edge } from './edge.js';
import { LiveOrigin } from './live-origin.js';

/** One channel of one rendition, with short segments. */
export function channel(rendition: object): unknown[] {
  return [
    {
      id: 'news',
      name: 'News',
      hls: { segment: '1s' },
      renditions: [{ id: 'high', buffer: { memory: '4MiB' }, ...rendition }],
    },
  ];
}

export async function live(t: Test, backlog = 4): Promise<LiveOrigin> {
  const origin = new LiveOrigin(backlog);
  await origin.listen();
  t.teardown(() => origin.kill());
  return origin;
}

export async function edge(t: Test, channels: unknown, memoryBytes?: number): Promise<Edge> {
  const it = new Edge(channels, memoryBytes);
  t.teardown(() => it.close());
  await it.service.start();
  return it;
}

/** Pictures in order, each once; or the first two that are not. */
export function disorder(numbers: readonly number[]): string | null {
  const at = numbers.findIndex((n, index) => index > 0 && n !== (numbers[index - 1] ?? 0) + 1);
  return at < 0 ? null : `${numbers[at - 1]} then ${numbers[at]}`;
}
