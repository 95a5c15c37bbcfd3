import type { Bench } from '../lib/bench.js';
import { buildTopology } from '../lib/topology.js';
import { startSource } from '../main-job/source.js';
import { burstGroup, cpuGroup, type Load } from './contenders.js';

const MEGABITS = 8;
const LOW_MEGABITS = 1;

function loads(quick: boolean): Load[] {
  const counts = quick ? [50] : [50, 100, 200, 500];
  return [
    ...counts.map((viewers) => ({ megabits: MEGABITS, viewers })),
    { megabits: LOW_MEGABITS, viewers: quick ? 200 : 2_000 },
  ];
}

/** One live channel, continuously to many HTTP viewers. */
export const httpFanout: Bench = {
  name: 'http-fanout',
  summary: 'a continuous stream to many HTTP viewers: CPU per delivered gigabit, and a burst of arrivals',
  rounds: 3,
  async prepare(lab, { quick }) {
    const topology = await buildTopology(lab);
    for (const megabits of [MEGABITS, LOW_MEGABITS]) await startSource(topology, megabits);
    const windowMs = quick ? 3_000 : 6_000;
    const name = (load: Load): string => `${load.megabits} Mbit/s, ${load.viewers} viewers`;
    const cpu = loads(quick).map((load) => cpuGroup(topology, load, name(load), windowMs));
    return [...cpu, burstGroup(topology, { megabits: MEGABITS, viewers: quick ? 50 : 500 }, 100)];
  },
};
