import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import t from 'tap';
import { ROOT } from './rooms.js';

interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly failures: readonly string[];
  readonly skips: readonly string[];
}

const script = pathToFileURL(join(ROOT, 'scripts/lib/tap-count.mjs')).href;
const { countTap } = (await import(script)) as { countTap: (text: string) => Counts };

/** As tap writes it: files at the left, their tests four blanks in. */
const REPORT = `TAP version 14
1..4
# Subtest: dist/test/a.test.js
    # Subtest: one
        ok 1 - should be equal
        1..1
    ok 1 - one # time=4.288ms
    # Subtest: two
        # Subtest: inner
            ok 1 - should be equal
            1..1
        ok 1 - inner # time=1.232ms
        ok 2 - inner2 # SKIP no root
        1..2
    ok 2 - two # time=4.519ms
    ok 3 - skipped # SKIP needs ffmpeg
    # Subtest: bad
        ok 1 - fine
        not ok 2 - should be equal
        1..2
    not ok 4 - bad # time=17.659ms
    1..4
not ok 1 - dist/test/a.test.js # time=43.407ms
# Subtest: dist/test/plain.test.js
    ok 1 - should be equal
    1..1
ok 2 - dist/test/plain.test.js # time=5.678ms
# Subtest: dist/test/crash.test.js
    1..0 # no tests found
not ok 3 - dist/test/crash.test.js # time=428.017ms
# Subtest: dist/test/slow.test.js
    # Subtest: quick
        ok 1 - fine
        1..1
    ok 1 - quick # time=1ms
    not ok 2 - timeout!
    1..2
not ok 4 - dist/test/slow.test.js # time=30000ms
`;

t.test('tests are counted one by one, as the closing summary tells them', async (t) => {
  const counts = countTap(REPORT);
  t.equal(counts.passed, 4, 'one, inner, plain.test.js, quick');
  t.equal(counts.skipped, 2);
  t.same(counts.skips, ['dist/test/a.test.js > two > inner2: no root', 'dist/test/a.test.js > skipped: needs ffmpeg']);
  t.same(counts.failures, ['dist/test/a.test.js > bad', 'dist/test/crash.test.js', 'dist/test/slow.test.js']);
  t.equal(counts.failed, 3);
});

t.test('an empty report counts nothing', async (t) => {
  t.match(countTap(''), { passed: 0, failed: 0, skipped: 0 });
});
