import t from 'tap';
import { RateWindow } from '../../daemon/admin/page/rate-window.js';

t.test('the growth over six seconds, whatever the bursts', async (t) => {
  const window = new RateWindow();
  t.equal(window.push(0, 1_000_000), 0, 'one sample tells no rate');
  t.equal(window.push(1000, 1_000_000), 0);
  t.equal(window.push(2000, 1_500_000), 2_000_000, 'half a megabyte in two seconds');
  // A segment of 250,000 bytes every other second.
  let bytes = 1_500_000;
  for (let second = 3; second <= 30; second++) {
    if (second % 2 === 0) bytes += 250_000;
    const rate = window.push(second * 1000, bytes);
    if (second > 9) t.equal(rate, 1_000_000, `at ${second} s`);
  }
});

t.test('a total or a clock that goes back begins anew', async (t) => {
  const window = new RateWindow();
  window.push(0, 0);
  t.equal(window.push(1000, 125), 1000);
  t.equal(window.push(2000, 10), 0, 'the daemon counts from 0 again');
  t.equal(window.push(3000, 135), 1000);
  t.equal(window.push(1000, 200), 0, 'so does its uptime');
  t.equal(window.push(1000, 200), 0, 'twice the same moment');
});

t.test('what stopped is 0 after six seconds', async (t) => {
  const window = new RateWindow();
  for (let second = 0; second <= 6; second++) window.push(second * 1000, second * 125_000);
  const rates = Array.from({ length: 7 }, (_, index) => window.push(7000 + index * 1000, 750_000));
  t.same(rates.at(-1), 0);
  t.same(
    rates,
    [...rates].sort((a, b) => b - a),
    'it falls step by step',
  );
});
