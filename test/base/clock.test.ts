import { test } from 'tap';
import { ManualClock, systemClock } from '../../daemon/base/clock.js';

test('a manual clock fires in order of time, then of arming', async (t) => {
  const clock = new ManualClock(1000);
  const fired: string[] = [];
  clock.setTimeout(() => fired.push(`late@${clock.now()}`), 500);
  clock.setTimeout(() => fired.push(`first@${clock.now()}`), 100);
  clock.setTimeout(() => fired.push(`second@${clock.now()}`), 100);
  const cancelled = clock.setTimeout(() => fired.push('never'), 50);
  cancelled.cancel();
  await clock.advance(499);
  t.same(fired, ['first@1100', 'second@1100']);
  await clock.advance(1);
  t.same(fired.at(-1), 'late@1500');
  t.equal(clock.pending, 0);
  t.equal(clock.wall() - clock.now(), Date.UTC(2026, 0, 1) - 1000);
});

test('an interval goes on until it is cancelled, also by itself', async (t) => {
  const clock = new ManualClock();
  let count = 0;
  const timer = clock.setInterval(() => {
    if (++count === 3) timer.cancel();
  }, 10);
  await clock.advance(1000);
  t.equal(count, 3);
  t.equal(clock.pending, 0);
});

test('promises settle between two timers of one advance', async (t) => {
  const clock = new ManualClock();
  const steps: number[] = [];
  const work = (async () => {
    for (let step = 0; step < 3; step++) {
      await clock.delay(100);
      steps.push(clock.now());
    }
  })();
  await clock.advance(300);
  await work;
  t.same(steps, [100, 200, 300]);
});

test('an aborted delay rejects with the reason and leaves no timer', async (t) => {
  const clock = new ManualClock();
  const controller = new AbortController();
  const waiting = clock.delay(1000, controller.signal);
  controller.abort(new Error('enough'));
  await t.rejects(waiting, { message: 'enough' });
  t.equal(clock.pending, 0);
  await t.rejects(clock.delay(1, controller.signal), { message: 'enough' });
});

test('the system clock is monotonic in milliseconds', async (t) => {
  const before = systemClock.now();
  await systemClock.delay(20);
  const passed = systemClock.now() - before;
  t.ok(passed >= 19 && passed < 5000, `${passed} ms`);
  let ticks = 0;
  await new Promise<void>((resolve) => {
    const timer = systemClock.setInterval(() => {
      if (++ticks < 2) return;
      timer.cancel();
      resolve();
    }, 1);
  });
  t.equal(ticks, 2);
});
