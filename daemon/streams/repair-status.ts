/** What became of packets that were lost, in figures for people. */
import type { InputCounters, SenderCounters } from '../plane/contract.js';
import type { RepairStatus, SentRepairStatus } from './status.js';

/** Of an input that repairs. */
export function repairStatus(c: InputCounters): RepairStatus {
  const repaired = c.byParity + c.byBlock + c.byRetransmission + c.byFetch;
  const whole = Math.max(0, c.packets - c.rtcp - c.rtpDuplicates - c.malformed - c.damaged) + repaired;
  return {
    missing: c.missing,
    byParity: c.byParity,
    byBlock: c.byBlock,
    byRetransmission: c.byRetransmission,
    lost: c.rtpLost,
    damaged: c.damaged,
    asked: c.nacked,
    residualLoss: ratio(c.rtpLost, whole + c.rtpLost),
    overhead: ratio(c.parityPackets + c.resent, c.packets),
    playoutMs: c.playoutUs / 1000,
    roundTripMs: c.nacked === 0 ? null : c.repairRoundTripUs / 1000,
    acquired: c.acquired,
  };
}

/** Of a sender with parity or a retransmission server. */
export function sentRepairStatus(c: SenderCounters): SentRepairStatus {
  return {
    parityPackets: c.parityColumns + c.parityRows + c.parityBlocks,
    asked: c.nacked,
    resent: c.resent,
    gone: c.resendGone,
    overBudget: c.resendShed,
    refused: c.feedbackRefused,
    acquisitions: c.acquisitions,
    acquisitionsRefused: c.acquisitionsRefused,
    overhead: ratio(c.parityBytes + c.resentBytes + c.burstBytes, c.bytes),
  };
}

function ratio(part: number, whole: number): number {
  return whole > 0 ? part / whole : 0;
}
