import { once } from 'node:events';
import type { Scenario } from './lib/scenario.js';
import { buildTopology } from './topology.js';

/** The topology of `main-job` without programs, until it is interrupted: to look around in. */
export const hold: Scenario = {
  name: 'hold',
  summary: "main-job's topology without programs, until Ctrl-C: ip netns exec NAME bash",
  async play(lab, report, signal) {
    const { origin, edge, access, viewers } = await buildTopology(lab);
    for (const host of [origin, edge, access, viewers]) {
      const idle = await host.spawn('idle', ['sleep', '86400']);
      console.log(`${host.name.padEnd(8)} ip netns exec ${host.namespace} bash  # holds pid ${idle.pid}`);
    }
    console.log('holding');
    await once(signal, 'abort');
    await report.step('hold', () => 'released');
  },
};
