import t from 'tap';
import { Absent, type Contender, type Group } from '../../bench/lib/bench.js';
import { interleave, linesOf, median, ratio, shorten } from '../../bench/lib/interleave.js';
import { markdown, table } from '../../bench/lib/output.js';
import { cpuSeconds, memoryBytes, processTree } from '../../bench/lib/processes.js';

function contender(name: string, values: readonly number[], order: string[], notes: readonly string[] = []): Contender {
  let run = 0;
  return {
    name,
    measure() {
      order.push(name);
      return Promise.resolve({ figures: { cpu: values[run++] ?? Number.NaN }, notes });
    },
  };
}

function group(order: string[], better: 'less' | 'more'): Group {
  const absent: Contender = { name: 'udpxy', measure: () => Promise.reject(new Absent('not installed')) };
  return {
    figures: [{ case: 'http 50 viewers', unit: 'CPU s/Gbit', better, key: 'cpu' }],
    ours: contender('sluice', [4, 2, 3], order, ['warm']),
    limit: contender('bare', [2, 1, 9], order),
    peers: [contender('peer', [8, 6, 7], order), absent],
    notes: ['one sink'],
  };
}

t.test('medians and ratios', async (t) => {
  t.equal(median([]), null);
  t.equal(median([3]), 3);
  t.equal(median([9, 1, 5]), 5);
  t.equal(median([4, 1, 3, 2]), 2.5);
  t.equal(ratio(2, 1, 'less'), 0.5, 'twice the cost is half as good');
  t.equal(ratio(2, 1, 'more'), 2);
  t.equal(ratio(null, 1, 'less'), null);
  t.equal(ratio(1, null, 'less'), null);
  t.equal(ratio(0, 1, 'less'), null);
  t.same([0, 0.012345, 1.2345, 123.45, null].map(shorten), ['0', '0.0123', '1.23', '123', '-']);
});

t.test('contenders take turns, each round beginning with the next; the absent one is asked once', async (t) => {
  const order: string[] = [];
  const runs = await interleave(group(order, 'less'), 3, () => undefined);
  t.same(order, ['sluice', 'bare', 'peer', 'bare', 'peer', 'sluice', 'peer', 'sluice', 'bare']);
  t.equal(runs.find((one) => one.contender.name === 'udpxy')?.absent, 'not installed');
});

t.test('one line per case and peer, with medians, ratios and reasons', async (t) => {
  const built = group([], 'less');
  const lines = linesOf('main-job', built, await interleave(built, 3, () => undefined));
  t.equal(lines.length, 2);
  t.match(lines[0], {
    ...{
      bench: 'main-job',
      case: 'http 50 viewers',
      unit: 'CPU s/Gbit',
      ours: 3,
      limit: 2,
      peer: 7,
      peer_name: 'peer',
    },
    ...{ ratio_to_limit: 2 / 3, ratio_to_peer: 7 / 3, runs: 3, notes: 'one sink; sluice: warm' },
  });
  t.match(lines[1], { peer: null, peer_name: 'udpxy', ratio_to_peer: null, notes: /udpxy: not installed/ });
  t.match(table(lines), /http 50 viewers +CPU s\/Gbit +3 +2 +0\.667 +peer 7 +2\.33 +3/);
  t.match(markdown(lines), '| http 50 viewers | CPU s/Gbit | 3 | 2 | 0.667 | peer 7 | 2.33 | 3 |');
});

t.test('a peer that fails has no figure, with the reason', async (t) => {
  const failing: Contender = {
    name: 'peer',
    measure: () => Promise.reject(new Error('some output\n503 Service Unavailable')),
  };
  const built = { ...group([], 'less'), peers: [failing] };
  const [line] = linesOf('main-job', built, await interleave(built, 2, () => undefined));
  t.match(line, { ours: 3, peer: null, peer_name: 'peer', notes: /peer: failed: 503 Service Unavailable/ });
});

t.test('a run of ours that fails ends the bench', async (t) => {
  const broken: Contender = { name: 'sluice', measure: () => Promise.reject(new Error('the daemon ended')) };
  await t.rejects(
    interleave({ ...group([], 'less'), ours: broken }, 1, () => undefined),
    { message: 'the daemon ended' },
  );
});

t.test('CPU and memory of a process are read from /proc', async (t) => {
  t.ok(processTree(process.pid).includes(process.pid));
  const before = cpuSeconds([process.pid]);
  let sum = 0;
  for (let i = 0; cpuSeconds([process.pid]) < before + 0.05 && i < 1e6; i++) sum += Math.sqrt(i);
  t.ok(sum > 0);
  t.ok(cpuSeconds([process.pid]) >= before + 0.05);
  t.ok(memoryBytes([process.pid]) > 10 * 2 ** 20);
});
