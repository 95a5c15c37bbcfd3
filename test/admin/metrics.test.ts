import t from 'tap';
import { ask, json, until } from './client.js';
import { startHarness } from './fixture.js';

/** Sample lines of a family: labels as written -> value. */
function samples(text: string, name: string): Map<string, number> {
  const found = new Map<string, number>();
  for (const line of text.split('\n')) {
    const match = /^([a-z_]+)(\{[^}]*\})? (\S+)$/.exec(line);
    if (match?.[1] === name) found.set(match[2] ?? '', Number(match[3]));
  }
  return found;
}

t.test('the daemon measures itself', async (t) => {
  const { admin, metrics, close } = await startHarness();
  t.teardown(close);
  metrics.gauge({
    name: 'sluice_other',
    help: 'Of another part.',
    labels: ['x'],
    read: () => [{ labels: { x: 'a"b' }, value: 7 }],
  });
  const read = async (): Promise<string> => (await ask(`${admin.url}/metrics`)).text;
  await until(
    'samples of the event loop',
    async () => (samples(await read(), 'sluice_event_loop_delay_seconds').get('{quantile="1"}') ?? 0) > 0,
  );
  const text = await read();
  t.match(text, /# TYPE sluice_event_loop_delay_seconds summary/);
  const delay = samples(text, 'sluice_event_loop_delay_seconds');
  t.same([...delay.keys()], ['{quantile="0.5"}', '{quantile="0.9"}', '{quantile="0.99"}', '{quantile="1"}']);
  const values = [...delay.values()];
  t.same(
    values,
    [...values].sort((a, b) => a - b),
    'quantiles do not fall',
  );
  t.equal(samples(text, 'sluice_plane_loop_seconds').get('{loop="0",quantile="1"}'), 0.00018);
  t.ok((samples(text, 'sluice_plane_loop_busy_seconds_total').get('{loop="0"}') ?? 0) > 0);
  t.ok((samples(text, 'process_resident_memory_bytes').get('') ?? 0) > 1e7);
  t.ok((samples(text, 'process_cpu_seconds_total').get('') ?? 0) > 0);
  t.ok((samples(text, 'process_open_fds').get('') ?? 0) > 3);
  t.match(text, /sluice_other\{x="a\\"b"\} 7/);
});

t.test('a blocked event loop shows in both readings', async (t) => {
  const { admin, close } = await startHarness();
  t.teardown(close);
  // Blocked anew before every look: a probe that has only just begun has nothing yet to compare its first wake-up with.
  const block = (): void => {
    const end = performance.now() + 300;
    while (performance.now() < end);
  };
  await until('in the metrics', async () => {
    block();
    const { text } = await ask(`${admin.url}/metrics`);
    return (samples(text, 'sluice_event_loop_delay_seconds').get('{quantile="1"}') ?? 0) > 0.2;
  });
  await until('in the status', async () => {
    block();
    const status = await ask(`${admin.url}/v1/status`);
    return json<{ eventLoopDelayMs: { max: number } }>(status).eventLoopDelayMs.max > 200;
  });
});

t.test('content type of the exposition', async (t) => {
  const { admin, close } = await startHarness();
  t.teardown(close);
  t.match((await ask(`${admin.url}/metrics`)).headers['content-type'], /^text\/plain; version=0\.0\.4/);
});
