/** What a means of repair is expected to leave lost, to add and to delay, for losses as they are measured. No I/O, no clock. */

/** By what lost packets come back; retransmission is there beside every parity. */
export type Means =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'retransmission' }
  /** ST 2022-1 over L x D packets. */
  | { readonly kind: 'parity'; readonly columns: number; readonly rows: number; readonly rowParity: boolean }
  /** Reed-Solomon. */
  | { readonly kind: 'block'; readonly source: number; readonly repair: number };

/** Longest run of each class of runs that receivers tell, packets (native/codec/loss_runs.h); of the last, what it is taken for. */
export const RUN_LENGTHS = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128] as const;

/** How a stream was received of late, all receivers together. */
export interface Measured {
  readonly receivers: number;
  /** Share of packets that receivers missed at first, 0 to 1: of all, and what nineteen of twenty stay below. */
  readonly meanLoss: number;
  readonly tailLoss: number;
  /** Runs of missing packets by their lengths, as of {@link RUN_LENGTHS}; all 0 where none are told. */
  readonly runs: readonly number[];
  /** Null where none was measured. */
  readonly roundTripMs: number | null;
  readonly packetsPerSecond: number;
  /** How many receivers ask for the same lost packet on average, 1 and more; null where nobody has asked. */
  readonly sharing: number | null;
}

/** Within what a means is chosen. */
export interface RepairLimits {
  /** From arrival to delivery at the receivers. */
  readonly playoutMs: number;
  /** Share of packets that may stay lost. */
  readonly residual: number;
  /** Of the media's bytes: parity and what is sent again. */
  readonly mostOverhead: number;
  /** So many ask until a packet is sent to all; 0: never. */
  readonly multicastAfter: number;
  /** What may be sent again, of the media's rate: to one receiver, and to all. */
  readonly resendShare: number;
  readonly resendRate: number;
}

export interface Estimate {
  /** Share of all packets. */
  readonly residual: number;
  /** Of the media's bytes. */
  readonly overhead: number;
  /** From the first packet of a block to its last parity; of retransmission, one round trip. */
  readonly delayMs: number;
}

/** Before one was measured: what receivers assume as well. */
const ROUND_TRIP_MS = 50;
/** A further question is asked after half as long again: receivers wait for answers that are slow. */
const PATIENCE = 1.5;

/** What `means` is expected to do. A bound rather than a mean: lengths of runs are rounded up, and blocks' edges are not looked at. */
export function estimate(means: Means, measured: Measured, limits: RepairLimits): Estimate {
  if (means.kind === 'nothing') return { residual: measured.tailLoss, overhead: 0, delayMs: 0 };
  const roundTrip = measured.roundTripMs ?? ROUND_TRIP_MS;
  const delayMs = means.kind === 'retransmission' ? roundTrip : (spanOf(means) / measured.packetsPerSecond) * 1000;
  // What comes after its packets are due is only a cost.
  const inTime = delayMs <= limits.playoutMs;
  const runs = runsOf(measured.runs);
  const left = (loss: number): number => (inTime ? loss * unrepaired(means, loss, runs) : loss);
  const waited = means.kind === 'retransmission' ? 0 : delayMs;
  const questions = rounds(limits.playoutMs - waited, roundTrip);
  // The question or its answer may be lost, too.
  const failing = Math.min(1, 2 * measured.tailLoss) ** questions;
  // What cannot come in time is not asked for.
  const wanted = questions === 0 ? 0 : resends(left(measured.meanLoss), measured, limits.multicastAfter);
  const tail = left(measured.tailLoss);
  const served = Math.min(1, share(limits.resendRate, wanted), share(limits.resendShare, tail));
  return {
    residual: tail * (1 - served + served * failing),
    overhead: parityShare(means) + wanted * served,
    delayMs,
  };
}

/** Bytes of parity for each byte of media. */
function parityShare(means: Means): number {
  if (means.kind === 'block') return means.repair / means.source;
  if (means.kind === 'parity') return 1 / means.rows + (means.rowParity ? 1 / means.columns : 0);
  return 0;
}

/** Packets from the first of a block to its last parity: those of columns leave one with each packet of the next. */
function spanOf(means: Means): number {
  if (means.kind === 'block') return means.source + means.repair;
  return means.kind === 'parity' ? means.columns * means.rows + means.columns : 0;
}

/** Questions that can be answered in time. */
function rounds(leftMs: number, roundTripMs: number): number {
  return leftMs < roundTripMs ? 0 : 1 + Math.floor((leftMs - roundTripMs) / (PATIENCE * roundTripMs));
}

function share(allowed: number, wanted: number): number {
  return wanted > 0 ? allowed / wanted : 1;
}

/** Packets sent again for each of the media, where each receiver misses `loss`: what goes to all counts once. */
function resends(loss: number, { receivers, sharing }: Measured, multicastAfter: number): number {
  const missed = loss * receivers;
  if (missed === 0) return 0;
  // Where nobody has asked yet, as if each lost by itself.
  const known = sharing ?? missed / (1 - (1 - loss) ** receivers);
  const asking = Math.min(Math.max(1, known), Math.max(1, receivers));
  return (missed / asking) * (multicastAfter > 0 ? Math.min(asking, multicastAfter) : asking);
}

interface Run {
  readonly length: number;
  /** Of all runs. */
  readonly share: number;
  /** Of all packets lost. */
  readonly weight: number;
}

function runsOf(counts: readonly number[]): readonly Run[] {
  const all = counts.reduce((sum, n) => sum + n, 0);
  if (all === 0) return [{ length: 1, share: 1, weight: 1 }];
  const packets = counts.reduce((sum, n, i) => sum + n * (RUN_LENGTHS[i] ?? 0), 0);
  return counts.flatMap((n, i) => {
    const length = RUN_LENGTHS[i] ?? 0;
    return n === 0 ? [] : [{ length, share: n / all, weight: (n * length) / packets }];
  });
}

/** Of the packets lost, what parity does not make again. */
function unrepaired(means: Means, loss: number, runs: readonly Run[]): number {
  if (loss === 0) return 0;
  if (means.kind === 'block') return beyondBlock(means, loss, runs);
  if (means.kind !== 'parity') return 1;
  return runs.reduce((sum, { length, weight }) => sum + weight * beyondParity(means, loss, length), 0);
}

/** A block is beyond repair when this run and the others in it are more packets than it has parity. */
function beyondBlock(means: Means & { kind: 'block' }, loss: number, runs: readonly Run[]): number {
  const { source, repair } = means;
  const mean = runs.reduce((sum, run) => sum + run.share * run.length, 0);
  const others = atMost(repair, (loss / mean) * (source + repair), runs);
  return runs.reduce((sum, { length, weight }) => sum + weight * (1 - (others[repair - length] ?? 0)), 0);
}

/** The chance of at most 0, 1 … `most` packets lost, where runs begin at random and `expected` of them do (Panjer's recursion). */
function atMost(most: number, expected: number, runs: readonly Run[]): readonly number[] {
  const chance = [Math.exp(-expected)];
  for (let s = 1; s <= most; s++) {
    const sum = runs.reduce((all, { length, share: of }) => all + length * of * (chance[s - length] ?? 0), 0);
    chance.push((expected / s) * sum);
  }
  let total = 0;
  return chance.map((one) => {
    total += one;
    return Math.min(1, total);
  });
}

/** A column repairs one packet: a run longer than a row has two in some, and others are lost by other runs. */
function beyondParity(means: Means & { kind: 'parity' }, loss: number, length: number): number {
  const { columns, rows, rowParity } = means;
  const twice = length <= columns ? 0 : Math.min(1, (2 * (length - columns)) / length);
  if (!rowParity) return 1 - (1 - twice) * (1 - loss) ** rows;
  // A column fails by its parity, or by another packet whose row fails as well; then by the rest of its own row, or as the corner of a rectangle.
  const column = Math.min(1, loss + rows * loss * Math.min(1, columns * loss));
  const row = Math.min(1, loss + (length - 1) * column);
  const rectangle = (columns - 1) * (rows - 1) * loss ** 3;
  return twice + (1 - twice) * Math.min(1, column * row + rectangle);
}
