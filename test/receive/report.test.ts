import { test } from 'tap';
import { HEADING, intervalBetween, summarise, summaryText, tableLine } from '../../daemon/cli/receive-report.js';
import { INPUT_COUNTERS, type InputCounters } from '../../daemon/plane/contract.js';

function counters(some: Partial<InputCounters>): InputCounters {
  const zeros = Object.fromEntries(INPUT_COUNTERS.map((name) => [name, 0])) as unknown as InputCounters;
  return { ...zeros, ...some };
}

test('an interval is the growth of the counters, gauges are as they stand', async (t) => {
  const interval = intervalBetween(
    {
      seconds: 10,
      counters: counters({ packets: 100, bytes: 132_800, rtpLost: 3, jitterNs: 9e6, continuityErrors: 1 }),
    },
    {
      seconds: 12,
      counters: counters({
        packets: 300,
        bytes: 398_400,
        rtpLost: 5,
        jitterNs: 1_234_567,
        pcrJitterNs: 2e6,
        continuityErrors: 1,
      }),
    },
  );
  t.match(interval, {
    seconds: 12,
    packets: 200,
    bitrate: 1_062_400,
    rtpLost: 2,
    jitterMs: 1.235,
    pcrJitterMs: 2,
    continuityErrors: 0,
  });
});

test('table lines stand under their heading, however large the numbers', async (t) => {
  const interval = intervalBetween(
    { seconds: 0, counters: counters({}) },
    {
      seconds: 1,
      counters: counters({ packets: 99_999, bytes: 125e6, rtpLost: 99_999, jitterNs: 1e9, pcrJitterNs: 1e9 }),
    },
  );
  const line = tableLine(interval);
  t.equal(line.length, HEADING.length);
  t.equal(line.trim().split(/\s+/).length, HEADING.trim().split(/\s+/).length);
});

test('the loss ratio is of what was sent', async (t) => {
  const seen = counters({ packets: 95, rtpLost: 10, rtpDuplicates: 3, rtpLate: 2, ssrc: 7, lastSequence: 70_000 });
  const summary = summarise('rtp://239.1.1.1:5000', { seconds: 10, counters: seen }, { jitterMs: 4, pcrJitterMs: 5 });
  t.equal(summary.lossRatio, 0.1);
  t.match(
    summaryText(summary, {}),
    /10 lost \(10\.0 %\), 2 of them came late, 0 reordered, 3 duplicates, jitter at most 4 ms/,
  );
  t.match(summaryText(summary, { output: 'out.ts' }), /written: 0 bytes to out\.ts$/);
});

test('without RTP nothing is said about loss', async (t) => {
  const summary = summarise(
    'udp://239.1.1.1:5000',
    { seconds: 1, counters: counters({ packets: 5 }) },
    { jitterMs: 0, pcrJitterMs: 0 },
  );
  t.equal(summary.lossRatio, 0);
  t.notMatch(summaryText(summary, {}), /lost/);
});
