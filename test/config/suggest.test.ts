import { test } from 'tap';
import { suggest } from '../../daemon/config/suggest.js';

const KNOWN = ['listen', 'idle_timeout', 'header_timeout', 'max_connections', 'id', 'url', 'urls', 'renditions'];

test('slips are understood, other words are not', async (t) => {
  for (const [word, meant] of [
    ['lisen', 'listen'],
    ['idel_timeout', 'idle_timeout'],
    ['idle-timeout', 'idle_timeout'],
    ['ID', 'id'],
    ['Renditons', 'renditions'],
    ['maxconnections', 'max_connections'],
    ['bandwidth', undefined],
    ['zz', undefined],
    ['', undefined],
    ['x'.repeat(10_000), undefined],
  ] as const) {
    t.equal(suggest(word, KNOWN), meant, word.slice(0, 20));
  }
});
