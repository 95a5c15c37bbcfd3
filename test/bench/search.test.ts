import t from 'tap';
import { highestBorne } from '../../bench/lib/flows/search.js';

async function found(capacity: number, guess: number, most = 1e6): Promise<{ rate: number; tried: number[] }> {
  const tried: number[] = [];
  const borne = (rate: number): Promise<boolean> => {
    tried.push(rate);
    return Promise.resolve(rate <= capacity);
  };
  return { rate: await highestBorne(borne, guess, most), tried };
}

t.test('a capacity is found to 5 %, wherever the search begins', async (t) => {
  for (const capacity of [40_000, 99_000, 100_000, 101_000, 190_000, 700_000]) {
    const { rate, tried } = await found(capacity, 100_000);
    t.ok(rate <= capacity && rate > capacity / 1.05, `${rate} of ${capacity}`);
    t.ok(tried.length < 20, `${tried.length} tries`);
  }
});

t.test('never more than can be sent is tried', async (t) => {
  for (const guess of [100_000, 330_000, 5e6]) {
    const { rate, tried } = await found(1e9, guess, 330_000);
    t.equal(rate, 330_000);
    t.ok(Math.max(...tried) <= 330_000);
  }
});

t.test('where nothing near the guess is borne there is no capacity', async (t) => {
  t.equal((await found(10, 100_000)).rate, 0);
});
