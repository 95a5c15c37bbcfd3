/** What became of packets that were lost, in figures for people. */
import type { InputCounters, SenderCounters, StreamCounters } from '../plane/contract.js';
import type { RepairChoiceStatus, RepairStatus, SentRepairStatus } from './status.js';

/** Of an input that repairs. */
export function repairStatus(c: InputCounters): RepairStatus {
  const repaired = c.byParity + c.byBlock + c.byRetransmission + c.byFetch;
  const whole = Math.max(0, c.packets - c.rtcp - c.rtpDuplicates - c.malformed - c.damaged) + repaired;
  return {
    missing: c.missing,
    byParity: c.byParity,
    byBlock: c.byBlock,
    byRetransmission: c.byRetransmission,
    byFetch: c.byFetch,
    lost: c.rtpLost,
    damaged: c.damaged,
    asked: c.nacked,
    fetches: c.fetches,
    fetchErrors: c.fetchErrors,
    residualLoss: ratio(c.rtpLost, whole + c.rtpLost),
    overhead: ratio(c.parityPackets + c.resent + c.byFetch, c.packets),
    playoutMs: c.playoutUs / 1000,
    roundTripMs: c.nacked === 0 ? null : c.repairRoundTripUs / 1000,
    acquired: c.acquired,
  };
}

/** Of a sender with parity or a retransmission server, or a stream whose packets are given by HTTP. */
export function sentRepairStatus(
  c: SenderCounters,
  ranges: Pick<StreamCounters, 'rangePackets' | 'rangeBytes'>,
  chosen: RepairChoiceStatus | null = null,
): SentRepairStatus {
  return {
    parityPackets: c.parityColumns + c.parityRows + c.parityBlocks,
    asked: c.nacked,
    resent: c.resent,
    resentToAll: c.resentToAll,
    suppressed: c.suppressed,
    gone: c.resendGone,
    overBudget: c.resendShed,
    refused: c.feedbackRefused,
    acquisitions: c.acquisitions,
    acquisitionsRefused: c.acquisitionsRefused,
    fetched: ranges.rangePackets,
    overhead: ratio(c.parityBytes + c.resentBytes + c.burstBytes + ranges.rangeBytes, c.bytes),
    chosen,
  };
}

function ratio(part: number, whole: number): number {
  return whole > 0 ? part / whole : 0;
}
