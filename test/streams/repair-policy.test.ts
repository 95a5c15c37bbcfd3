import t from 'tap';
import { SENDER_COUNTERS, type SenderCounters } from '../../daemon/plane/contract.js';
import {
  estimate,
  type Means,
  type Measured,
  type RepairLimits,
  RUN_LENGTHS,
} from '../../daemon/streams/repair-estimate.js';
import { RepairMeter } from '../../daemon/streams/repair-meter.js';
import { type Code, RepairPolicy } from '../../daemon/streams/repair-policy.js';

const LIMITS: RepairLimits = {
  playoutMs: 300,
  residual: 1e-6,
  mostOverhead: 0.3,
  multicastAfter: 3,
  resendShare: 0.5,
  resendRate: 10,
};

/** Runs of one length. */
function runsOf(length: number): readonly number[] {
  const at = RUN_LENGTHS.findIndex((end) => length <= end);
  return RUN_LENGTHS.map((_, i) => (i === at ? 100 : 0));
}

function measured(values: Partial<Measured> & { loss?: number; length?: number }): Measured {
  const { loss = 0, length = 1, ...rest } = values;
  return {
    receivers: 10,
    meanLoss: loss,
    tailLoss: loss,
    runs: runsOf(length),
    roundTripMs: 10,
    packetsPerSecond: 800,
    sharing: null,
    ...rest,
  };
}

const ALL: readonly Code[] = ['columns', 'rows', 'block'];

function policy(limits: Partial<RepairLimits> = {}, codes = ALL): RepairPolicy {
  return new RepairPolicy({
    limits: { ...LIMITS, ...limits },
    codes,
    worseAfterMs: 2000,
    betterAfterMs: 120_000,
  });
}

/** What is chosen when it has been like that for a while. */
function chosen(
  values: Parameters<typeof measured>[0],
  limits: Partial<RepairLimits> = {},
  codes = ALL,
): ReturnType<RepairPolicy['next']> {
  const one = policy(limits, codes);
  for (let at = 0; at < 10_000; at += 1000) one.next(measured(values), at);
  return one.choice;
}

t.test('what typical audiences are given', async (t) => {
  const kind = (...[values, limits]: Parameters<typeof chosen>): string => chosen(values, limits).means.kind;
  t.equal(kind({ receivers: 1000 }), 'nothing', 'no loss');
  t.equal(kind({ loss: 0.001 }), 'retransmission', 'few lose little, and it is near');
  t.equal(
    kind({ loss: 0.001, length: 20 }),
    'retransmission',
    'runs are no more to them than the same number of single ones',
  );
  t.equal(kind({ loss: 0.01, receivers: 1000 }), 'block', 'many, each of whom loses by itself');
  t.equal(kind({ loss: 0.01, receivers: 1000, sharing: 800 }), 'retransmission', 'many who lose the same: once to all');
  t.equal(
    kind({ loss: 0.01, receivers: 1000, sharing: 800 }, { multicastAfter: 0 }),
    'block',
    'and each is answered by itself',
  );
  t.equal(kind({ loss: 0.01, roundTripMs: 250 }), 'block', 'far away');
  t.equal(kind({ loss: 0.01, roundTripMs: 400 }), 'block', 'an answer never comes in time');
});

t.test('parity is no more than is needed, and what may be used is used only', async (t) => {
  const far = { loss: 0.001, roundTripMs: 400, packetsPerSecond: 1000 };
  const ofAll = chosen(far);
  t.ok(ofAll.meets);
  t.ok(ofAll.expected.overhead <= 0.15, JSON.stringify(ofAll));
  const worse = chosen({ ...far, loss: 0.02 });
  t.ok(worse.meets);
  t.ok(worse.expected.overhead > ofAll.expected.overhead);
  const foreign = chosen({ ...far, loss: 0.0002 }, { residual: 1e-5 }, ['columns', 'rows']);
  t.ok(foreign.meets);
  t.match(foreign.means, { kind: 'parity' });
  const columns = chosen({ ...far, length: 20 }, { residual: 1e-4 }, ['columns']);
  t.ok(columns.meets);
  t.ok(
    columns.means.kind === 'parity' && columns.means.columns >= 20 && !columns.means.rowParity,
    'a row as long as the run',
  );
  t.equal(chosen(far, {}, []).means.kind, 'nothing', 'none may be used, and it would not help to ask');
});

t.test('a block is no longer than the playout delay', async (t) => {
  for (const packetsPerSecond of [100, 300, 1000, 5000]) {
    const { expected, means } = chosen({ loss: 0.02, roundTripMs: 1000, packetsPerSecond });
    t.ok(expected.delayMs <= LIMITS.playoutMs, `${JSON.stringify(means)} ${expected.delayMs}`);
  }
});

t.test('where nothing is good enough, the best of what may be spent', async (t) => {
  const { means, meets, expected } = chosen({ loss: 0.2, roundTripMs: 1000, packetsPerSecond: 2000 });
  t.equal(meets, false);
  t.equal(means.kind, 'block');
  t.ok(expected.overhead <= LIMITS.mostOverhead);
  const little = chosen({ loss: 0.2, roundTripMs: 1000 }, { mostOverhead: 0.01 });
  t.ok(little.expected.overhead <= 0.01);
});

t.test('what is sent again beyond the budget is not counted on', async (t) => {
  const many = { loss: 0.01, receivers: 1000, sharing: 1 };
  const limits = { ...LIMITS, resendRate: 1, mostOverhead: 100, multicastAfter: 0 };
  const { residual, overhead } = estimate({ kind: 'retransmission' }, measured(many), limits);
  t.ok(residual > 0.008, String(residual));
  t.equal(overhead, 1);
  const one = estimate({ kind: 'retransmission' }, measured({ loss: 0.8, receivers: 1 }), {
    ...LIMITS,
    resendRate: 100,
  });
  t.ok(one.residual > 0.29, 'a receiver has half the rate of the stream');
});

const CODES: readonly Means[] = [
  { kind: 'retransmission' },
  { kind: 'parity', columns: 10, rows: 10, rowParity: false },
  { kind: 'parity', columns: 10, rows: 10, rowParity: true },
  { kind: 'block', source: 50, repair: 14 },
];

t.test('more loss, longer runs, a longer way and more receivers never make it better', async (t) => {
  const near = (a: number, b: number): boolean => b >= a * (1 - 1e-9) - 1e-12;
  for (const means of CODES) {
    const says = JSON.stringify(means);
    const of = (values: Parameters<typeof measured>[0]): ReturnType<typeof estimate> =>
      estimate(means, measured(values), LIMITS);
    for (const length of [1, 4, 20]) {
      let before = of({ loss: 0 });
      t.equal(before.residual, 0);
      for (const loss of [0.0001, 0.001, 0.005, 0.01, 0.05, 0.1, 0.3]) {
        const now = of({ loss, length });
        t.ok(near(before.residual, now.residual), `${says} ${loss} in runs of ${length}`);
        t.ok(now.residual <= loss && near(before.overhead, now.overhead), `${says} ${loss}`);
        before = now;
      }
    }
    let [byWay, byNumber] = [of({ loss: 0.01, roundTripMs: 1 }), of({ loss: 0.01, receivers: 1 })];
    for (const n of [5, 20, 100, 299, 1000]) {
      const [way, number] = [of({ loss: 0.01, roundTripMs: n }), of({ loss: 0.01, receivers: n })];
      t.ok(near(byWay.residual, way.residual), `${says} ${n} ms`);
      t.ok(near(byNumber.overhead, number.overhead), `${says} ${n} receivers`);
      [byWay, byNumber] = [way, number];
    }
  }
});

t.test('estimates are near what the bench measured, and rather too high', async (t) => {
  const lost = (means: Means, loss: number, length = 1): number =>
    1e6 * estimate(means, measured({ loss, length, roundTripMs: 1000, packetsPerSecond: 10_000 }), LIMITS).residual;
  const rows: Means = { kind: 'parity', columns: 6, rows: 8, rowParity: true };
  const block: Means = { kind: 'block', source: 185, repair: 54 };
  // docs/benches.md, "repair": of a million packets.
  for (const [means, loss, length, measuredLost] of [
    [rows, 0.05, 1, 392],
    [rows, 0.1, 1, 6697],
    [block, 0.05, 100, 45_827],
    [{ kind: 'parity', columns: 25, rows: 4, rowParity: false }, 0.05, 100, 47_036],
  ] as const) {
    const expected = lost(means, loss, length);
    t.ok(expected > 0.9 * measuredLost && expected < 3 * measuredLost, `${JSON.stringify(means)} ${expected}`);
  }
  t.ok(lost(rows, 0.01) < 5, 'none in the bench');
  t.ok(lost(block, 0.1) < 1, 'none in the bench');
});

t.test('worse is answered within seconds, better is trusted after minutes', async (t) => {
  const one = policy();
  let at = 0;
  const run = (seconds: number, values: Parameters<typeof measured>[0]): number => {
    let changes = 0;
    for (let i = 0; i < seconds; i++, at += 1000) {
      const before = one.choice.means;
      if (one.next(measured(values), at).means !== before) changes++;
    }
    return changes;
  };
  const far = { roundTripMs: 250, receivers: 100 };
  t.equal(run(60, far), 0);
  t.equal(one.choice.means.kind, 'nothing');
  t.equal(run(2, { ...far, loss: 0.01 }), 0, 'a moment is none');
  t.equal(run(60, far), 0);
  t.equal(run(3, { ...far, loss: 0.01 }), 1);
  t.equal(one.choice.means.kind, 'block');
  t.equal(run(100, far), 0, 'it may come back');
  t.equal(run(200, far), 1);
  t.equal(one.choice.means.kind, 'nothing');
});

t.test('losses that go up and down all the time make few changes', async (t) => {
  const one = policy();
  let [changes, seed] = [0, 1];
  const random = (): number => {
    seed = (seed * 48_271) % 2_147_483_647;
    return seed / 2_147_483_647;
  };
  for (let at = 0; at < 3_600_000; at += 1000) {
    const before = one.choice.means;
    const loss = 0.01 * random() ** 3;
    one.next(measured({ loss, roundTripMs: 100 + 100 * random(), receivers: 50 + Math.floor(20 * random()) }), at);
    if (one.choice.means !== before) changes++;
  }
  // One an hour at each end of what is remembered at most would be thirty.
  t.ok(changes >= 1 && changes <= 10, `${changes} changes in an hour`);
});

t.test('while nobody reports what is there stays for a while, then goes', async (t) => {
  const one = policy();
  for (let at = 0; at < 10_000; at += 1000) one.next(measured({ loss: 0.01, receivers: 1000 }), at);
  t.equal(one.choice.means.kind, 'block');
  for (let at = 10_000; at < 100_000; at += 1000) one.next(null, at);
  t.equal(one.choice.means.kind, 'block');
  for (let at = 100_000; at < 400_000; at += 1000) one.next(null, at);
  t.equal(one.choice.means.kind, 'nothing');
});

function counters(values: Partial<SenderCounters>): SenderCounters {
  return { ...(Object.fromEntries(SENDER_COUNTERS.map((name) => [name, 0])) as SenderCounters), ...values };
}

t.test('the meter looks back over four seconds, and knows nothing where nobody reports', async (t) => {
  const meter = new RepairMeter();
  const totals = {
    packets: 1000,
    lossReports: 5,
    reportedExpected: 10_000,
    reportedMissing: 9000,
    runs3: 70,
    nacked: 40,
    askedPackets: 10,
  };
  t.equal(meter.take(counters(totals), 0), null);
  t.equal(meter.take(counters({ ...totals, packets: 2000 }), 1000), null, 'no report meanwhile');
  const next = {
    packets: 3000,
    lossReports: 6,
    reportedExpected: 20_000,
    reportedMissing: 9100,
    runs3: 70,
    runsLonger: 1,
    nacked: 90,
    askedPackets: 20,
    audience: 7,
    tailLossPpm: 50_000,
    roundTripUs: 20_000,
  };
  t.strictSame(meter.take(counters(next), 2000), {
    receivers: 7,
    meanLoss: 0.01,
    tailLoss: 0.05,
    runs: RUN_LENGTHS.map((_, i) => (i === RUN_LENGTHS.length - 1 ? 1 : 0)),
    roundTripMs: 20,
    packetsPerSecond: 1000,
    sharing: 5,
  });
  const later = {
    ...next,
    packets: 9000,
    lossReports: 7,
    reportedExpected: 30_000,
    tailLossPpm: 0,
    roundTripUs: 10_000,
  };
  const quiet = meter.take(counters(later), 6000);
  t.match(quiet, { meanLoss: 0, tailLoss: 0, packetsPerSecond: 1500, sharing: 5, roundTripMs: 20 });
  t.equal(quiet?.runs.at(-1), 1, 'how losses lay is remembered');
});
