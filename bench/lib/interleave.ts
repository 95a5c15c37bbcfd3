import { Absent, type BenchLine, type Contender, type Figure, type Group, type Sample } from './bench.js';

/** The middle of the values (the mean of the two middle ones), or null without values. */
export function median(values: readonly number[]): number | null {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const [low, high] = [sorted[sorted.length % 2 === 0 ? middle - 1 : middle], sorted[middle]];
  return low === undefined || high === undefined ? null : (low + high) / 2;
}

/** How much better ours is than other: 1 is level, 2 is twice as good, whichever way the figure runs. */
export function ratio(ours: number | null, other: number | null, better: Figure['better']): number | null {
  if (ours === null || other === null) return null;
  const [top, bottom] = better === 'less' ? [other, ours] : [ours, other];
  // Differences can come out at or below zero: no ratio then.
  return top > 0 && bottom > 0 ? top / bottom : null;
}

/** All runs of one contender, or why there are none. */
interface Runs {
  readonly contender: Contender;
  readonly samples: Sample[];
  absent: string | null;
}

/**
 * Measures the contenders of a group in turn, a round after the other, each round beginning with the next one, so that what
 * drifts on the machine meets all of them alike.
 */
export async function interleave(group: Group, rounds: number, say: (line: string) => void): Promise<Runs[]> {
  const contenders = [group.ours, ...(group.limit === null ? [] : [group.limit]), ...group.peers];
  const all = contenders.map((contender): Runs => ({ contender, samples: [], absent: null }));
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < all.length; i++) {
      const runs = all[(i + round) % all.length];
      if (runs !== undefined && runs.absent === null) await measure(runs, group, `${round + 1}/${rounds}`, say);
    }
  }
  return all;
}

async function measure(runs: Runs, group: Group, round: string, say: (line: string) => void): Promise<void> {
  const { name } = runs.contender;
  try {
    const sample = await runs.contender.measure();
    runs.samples.push(sample);
    const figures = group.figures.map((f) => `${f.case}: ${shorten(sample.figures[f.key] ?? null)} ${f.unit}`);
    say(
      `round ${round}  ${name.padEnd(12)} ${figures.join(', ')}${(sample.notes ?? []).map((n) => `  (${n})`).join('')}`,
    );
  } catch (error) {
    const isPeer = group.peers.includes(runs.contender);
    if (!(error instanceof Absent) && !isPeer) throw error;
    // A peer that cannot take the load is a result, too: it has no figure.
    const reason = error instanceof Error ? error.message : String(error);
    runs.absent = error instanceof Absent ? reason : `failed: ${reason.split('\n').at(-1) ?? ''}`;
    runs.samples.length = 0;
    say(`no figure  ${name}: ${runs.absent}`);
  }
}

/** Three significant digits. */
export function shorten(value: number | null): string {
  if (value === null) return '-';
  return value >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(3)));
}

/** One line per figure and peer (one without a peer where there is none). */
export function linesOf(bench: string, group: Group, all: readonly Runs[]): BenchLine[] {
  const [ours, ...others] = all;
  if (ours === undefined) return [];
  const limit = others.find((runs) => runs.contender === group.limit);
  const peers = others.filter((runs) => runs !== limit);
  return group.figures.flatMap((figure) =>
    (peers.length === 0 ? [null] : peers).map((peer) => lineOf(bench, group, figure, ours, limit ?? null, peer)),
  );
}

function lineOf(
  bench: string,
  group: Group,
  figure: Figure,
  ours: Runs,
  limit: Runs | null,
  peer: Runs | null,
): BenchLine {
  const of = (runs: Runs | null): number | null =>
    median((runs?.samples ?? []).map((s) => s.figures[figure.key]).filter((v) => v !== undefined));
  const [a, b, c] = [of(ours), of(limit), of(peer)];
  return {
    bench,
    case: figure.case,
    unit: figure.unit,
    ours: a,
    limit: b,
    peer: c,
    peer_name: peer?.contender.name ?? null,
    ratio_to_limit: ratio(a, b, figure.better),
    ratio_to_peer: ratio(a, c, figure.better),
    runs: Math.max(...[ours, limit, peer].map((runs) => runs?.samples.length ?? 0)),
    notes: notesOf(group, [ours, limit, peer]).join('; '),
  };
}

function notesOf(group: Group, all: readonly (Runs | null)[]): string[] {
  const own = all.flatMap((runs) => {
    if (runs === null) return [];
    if (runs.absent !== null) return [`${runs.contender.name}: ${runs.absent}`];
    return [...new Set(runs.samples.flatMap((s) => s.notes ?? []))].map((note) => `${runs.contender.name}: ${note}`);
  });
  return [...group.notes, ...own];
}
