import type { Scenario } from './lib/scenario.js';
import { playBridges } from './membership/bridges.js';
import { playHosts } from './membership/hosts.js';
import { playRendezvous } from './membership/rendezvous.js';
import { playStatics } from './membership/statics.js';
import { playTroubles } from './membership/troubles.js';
import { playUpstreams } from './membership/upstreams.js';
import { buildMulticastNet } from './parts/multicast-net.js';

/** Who asks for groups, who routes them, and those that others wrote beside us. */
export const membershipLab: Scenario = {
  name: 'membership',
  summary:
    'hosts of every version behind us, FRR, pimd and igmpproxy above and below us, and what can go wrong between',
  async play(lab, report) {
    const net = await buildMulticastNet(lab);
    await playHosts(net, report);
    await playBridges(net, report);
    await playUpstreams(net, report);
    await playStatics(net, report);
    await playRendezvous(net, report);
    await playTroubles(net, report);
  },
};
