import type { Scenario } from './lib/scenario.js';
import { buildMulticastNet } from './parts/multicast-net.js';
import { playCaptures } from './sight/captures.js';
import { playCauses } from './sight/causes.js';

/** What an operator sees of a multicast router: what it says and hears, and why a host gets nothing. */
export const sightLab: Scenario = {
  name: 'sight',
  summary: 'what the multicast router says and hears, beside tcpdump, and why a host gets nothing: every cause',
  async play(lab, report) {
    const net = await buildMulticastNet(lab);
    await playCaptures(net, report);
    await playCauses(net, report);
  },
};
