import type { Bench } from '../lib/bench.js';
import { buildTopology } from '../lib/topology.js';
import { HTTP_MEGABITS, httpGroups } from './http.js';
import { MULTICAST_MEGABITS, multicastGroups } from './multicast.js';
import { startSource } from './source.js';

/** One live channel in once, out many times. */
export const mainJob: Bench = {
  name: 'main-job',
  summary: 'CPU per delivered gigabit to HTTP viewers and of the multicast sender, memory per viewer and stream',
  rounds: 3,
  async prepare(lab, { quick }) {
    const topology = await buildTopology(lab);
    for (const megabits of new Set([HTTP_MEGABITS, ...MULTICAST_MEGABITS])) await startSource(topology, megabits);
    return [...httpGroups(topology, quick), ...multicastGroups(topology, quick)];
  },
};
