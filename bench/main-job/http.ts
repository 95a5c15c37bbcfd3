import { cpuGroup, memoryGroups } from '../http-fanout/contenders.js';
import type { Group } from '../lib/bench.js';
import type { Topology } from '../lib/topology.js';

/** The rate of the channel that the groups below need from the source. */
export const HTTP_MEGABITS = 8;

/** What the channel itself costs, what handing it out costs, memory per viewer and per stream; more loads: http-fanout. */
export function httpGroups(topology: Topology, quick: boolean): Group[] {
  const load = (viewers: number): { megabits: number; viewers: number } => ({ megabits: HTTP_MEGABITS, viewers });
  const windowMs = quick ? 3_000 : 6_000;
  return [
    ...[1, 50].map((viewers) => cpuGroup(topology, load(viewers), `http ${viewers} viewers`, windowMs)),
    ...memoryGroups(topology, load(quick ? 50 : 500), quick ? 2 : 8),
  ];
}
