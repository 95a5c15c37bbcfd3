import t from 'tap';
import { SluiceError } from '../../daemon/base/errors.js';
import { LogLimiter } from '../../daemon/streams/source/log-limiter.js';
import { isPermanent, RetryPolicy } from '../../daemon/streams/source/retry-policy.js';

const DOWN = new SluiceError('UPSTREAM_CONNECT', 'refused');
const ENCRYPTED = new SluiceError('SOURCE_ENCRYPTED', 'METHOD=AES-128');
/** The greatest jitter. */
const most = (): number => 0.999999;

t.test('backoff: from 250 ms, at most 1 s for 30 s of an outage, at most 5 s later', async (t) => {
  const policy = new RetryPolicy(1, most);
  const delays: number[] = [];
  let now = 0;
  while (now < 60_000) {
    const { delayMs } = policy.failed(DOWN, now);
    delays.push(Math.round(delayMs));
    if (now < 30_000) t.ok(delayMs <= 1000, `${delayMs} ms after ${now} ms`);
    else t.ok(delayMs <= 5000);
    now += delayMs;
  }
  t.strictSame(delays.slice(0, 4), [250, 500, 1000, 1000]);
  t.equal(delays.at(-1), 5000);
  t.equal(policy.failures, delays.length);
});

t.test('full jitter: anything from almost nothing to the ceiling', async (t) => {
  for (const random of [0, 0.25, 0.5, 0.75]) {
    const { delayMs } = new RetryPolicy(1, () => random).failed(DOWN, 0);
    t.equal(delayMs, Math.max(20, 250 * random));
  }
});

t.test('the next URL after two failures, round and round', async (t) => {
  const policy = new RetryPolicy(3, most);
  const tried = Array.from({ length: 8 }, (_, n) => policy.failed(DOWN, n * 1000)).map(({ index, switched }) => [
    index,
    switched,
  ]);
  t.strictSame(tried, [
    [0, false],
    [1, true],
    [1, false],
    [2, true],
    [2, false],
    [0, true],
    [0, false],
    [1, true],
  ]);
});

t.test('media that flows for 5 s ends an outage, less does not', async (t) => {
  const policy = new RetryPolicy(1, most);
  for (let n = 0; n < 5; n++) policy.failed(DOWN, n * 1000);
  policy.flowing(5_000);
  t.equal(Math.round(policy.failed(DOWN, 9_000).delayMs), 1000, 'flapping goes on as one outage');
  policy.flowing(10_000);
  policy.flowing(14_000);
  t.equal(Math.round(policy.failed(DOWN, 15_000).delayMs), 250);
});

t.test('an unusable URL is left at once; when all are, they are looked at again slowly', async (t) => {
  const policy = new RetryPolicy(2, most);
  t.match(policy.failed(ENCRYPTED, 0), { index: 1, switched: true, hopeless: false });
  t.match(policy.failed(ENCRYPTED, 1000), { index: 0, switched: true, hopeless: true, delayMs: 30_000 });
  t.match(policy.failed(DOWN, 31_000), { hopeless: false }, 'one that cannot be reached may be usable');
  const alone = new RetryPolicy(1, most);
  t.match(alone.failed(ENCRYPTED, 0), { index: 0, switched: false, hopeless: true, delayMs: 30_000 });
  alone.flowing(40_000);
  t.match(alone.failed(DOWN, 41_000), { hopeless: false });
});

t.test('which faults are permanent', async (t) => {
  for (const code of [
    'SOURCE_ENCRYPTED',
    'SOURCE_UNSUPPORTED',
    'SOURCE_NOT_MPEGTS',
    'SOURCE_PROGRAM_REQUIRED',
    'SOURCE_PROGRAM_MISSING',
    'SOURCE_NO_PCR',
  ] as const) {
    t.ok(isPermanent(new SluiceError(code, '')), code);
  }
  for (const code of [
    'UPSTREAM_CONNECT',
    'UPSTREAM_STATUS',
    'SOURCE_STALLED',
    'SOURCE_ENDED',
    'PLAYLIST_INVALID',
    'INTERFACE_UNKNOWN',
  ] as const) {
    t.notOk(isPermanent(new SluiceError(code, '')), code);
  }
});

t.test('one line a second, the rest counted', async (t) => {
  const limiter = new LogLimiter();
  t.strictSame(
    [0, 10, 999, 1000, 1500, 2500].map((now) => limiter.admit(now)),
    [0, null, null, 2, null, 1],
  );
});
