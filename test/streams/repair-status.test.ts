import t from 'tap';
import {
  INPUT_COUNTERS,
  type InputCounters,
  SENDER_COUNTERS,
  type SenderCounters,
} from '../../daemon/plane/contract.js';
import { repairStatus, sentRepairStatus } from '../../daemon/streams/repair-status.js';

function inputs(values: Partial<InputCounters>): InputCounters {
  return { ...(Object.fromEntries(INPUT_COUNTERS.map((name) => [name, 0])) as InputCounters), ...values };
}

function outputs(values: Partial<SenderCounters>): SenderCounters {
  return { ...(Object.fromEntries(SENDER_COUNTERS.map((name) => [name, 0])) as SenderCounters), ...values };
}

t.test('residual loss is of all that was sent, overhead of what came', async (t) => {
  const counters = inputs({
    packets: 995,
    rtcp: 5,
    missing: 20,
    byParity: 6,
    byBlock: 2,
    byRetransmission: 1,
    byFetch: 1,
    rtpLost: 10,
    rtpDuplicates: 10,
    parityPackets: 100,
    resent: 2,
    nacked: 3,
    fetches: 2,
    fetchErrors: 1,
    playoutUs: 200_000,
    repairRoundTripUs: 5_500,
  });
  t.match(repairStatus(counters), {
    missing: 20,
    byParity: 6,
    lost: 10,
    byFetch: 1,
    asked: 3,
    fetches: 2,
    fetchErrors: 1,
    residualLoss: 0.01,
    overhead: 103 / 995,
    playoutMs: 200,
    roundTripMs: 5.5,
  });
});

t.test('before anything came there is no ratio to be told, and no round trip', async (t) => {
  t.match(repairStatus(inputs({})), { residualLoss: 0, overhead: 0, roundTripMs: null });
  t.equal(sentRepairStatus(outputs({}), { rangePackets: 0, rangeBytes: 0 }).overhead, 0);
});

t.test('what a sender adds, in bytes for each byte of media', async (t) => {
  const counters = outputs({
    bytes: 1_000_000,
    parityBytes: 200_000,
    resentBytes: 50_000,
    parityColumns: 100,
    parityRows: 10,
    parityBlocks: 1,
    nacked: 50,
    resent: 40,
    resentToAll: 3,
    suppressed: 2,
    resendGone: 4,
    resendShed: 6,
    feedbackRefused: 7,
    acquisitions: 3,
    acquisitionsRefused: 2,
    burstBytes: 100_000,
  });
  t.strictSame(sentRepairStatus(counters, { rangePackets: 8, rangeBytes: 10_000 }), {
    parityPackets: 111,
    asked: 50,
    resent: 40,
    resentToAll: 3,
    suppressed: 2,
    gone: 4,
    overBudget: 6,
    refused: 7,
    acquisitions: 3,
    acquisitionsRefused: 2,
    fetched: 8,
    overhead: 0.36,
    chosen: null,
  });
});
