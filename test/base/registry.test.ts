import { test } from 'tap';
import { Metrics } from '../../daemon/base/metrics.js';
import { Registry } from '../../daemon/base/registry.js';

test('what is offered can be read, once per noun, until it is withdrawn', async (t) => {
  const registry = new Registry();
  const withdraw = registry.offer('channels', {
    columns: ['id'],
    rows: () => Promise.resolve([{ id: 'news', more: 1 }]),
  });
  registry.offer('viewers', { columns: ['id'], rows: () => [] });
  t.same(registry.nouns(), ['channels', 'viewers']);
  t.same(await registry.read('channels'), { noun: 'channels', columns: ['id'], rows: [{ id: 'news', more: 1 }] });
  t.throws(() => registry.offer('channels', { columns: [], rows: () => [] }), /already offered/);
  withdraw();
  await t.rejects(registry.read('channels'), { code: 'USAGE', message: /expected one of viewers, got channels/ });
});

test('why', async (t) => {
  const registry = new Registry();
  registry.explain('channel', (id) => (id === 'news' ? ['it flows'] : undefined));
  t.same(await registry.why('channel', 'news'), ['it flows']);
  t.equal(await registry.why('channel', 'other'), undefined);
  await t.rejects(registry.why('viewer', '1'), { code: 'USAGE' });
});

test('metrics are read at the scrape: no stale label set stays', async (t) => {
  const metrics = new Metrics();
  let streams = [
    { labels: { stream: 'a/b' }, value: 5 },
    { labels: { stream: 'c/d' }, value: 7 },
  ];
  metrics.counter({ name: 'sluice_x_total', help: 'x', labels: ['stream'], read: () => streams });
  metrics.gauge({ name: 'sluice_y', help: 'y', read: () => [{ labels: {}, value: -1 }] });
  t.match(
    await metrics.text(),
    /sluice_x_total\{stream="a\/b"\} 5\nsluice_x_total\{stream="c\/d"\} 7\n[\s\S]*sluice_y -1\n/,
  );
  streams = [{ labels: { stream: 'a/b' }, value: 6 }];
  const text = await metrics.text();
  t.match(text, /sluice_x_total\{stream="a\/b"\} 6\n/);
  t.notMatch(text, /c\/d/);
  metrics.remove('sluice_y');
  t.notMatch(await metrics.text(), /sluice_y/);
});
