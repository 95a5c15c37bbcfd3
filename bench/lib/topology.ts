import type { Host } from '../../test/lab/lib/host.js';
import type { Lab } from '../../test/lab/lib/lab.js';

/** source – edge – viewers, joined by veth pairs of 1500 bytes. */
export interface Topology {
  readonly lab: Lab;
  readonly source: Host;
  readonly edge: Host;
  readonly viewers: Host;
}

export const SOURCE_ADDRESS = '10.20.1.2';
export const EDGE_SOURCE_ADDRESS = '10.20.1.1';
export const EDGE_ADDRESS = '10.20.2.1';
export const VIEWERS_ADDRESS = '10.20.2.2';
/** Interfaces of the edge. */
export const TOWARDS_SOURCE = 'source0';
export const TOWARDS_VIEWERS = 'viewers0';

/**
 * TCP segmentation stays with the device, as on every usual NIC; UDP segmentation is done in software, as on most: a veth that
 * took whole batches would flatter both.
 */
export async function buildTopology(lab: Lab): Promise<Topology> {
  const [source, edge, viewers] = [await lab.host('source'), await lab.host('edge'), await lab.host('viewers')];
  await lab.link(
    [source, { name: 'edge0', addresses: [`${SOURCE_ADDRESS}/24`] }],
    [edge, { name: TOWARDS_SOURCE, addresses: [`${EDGE_SOURCE_ADDRESS}/24`] }],
  );
  await lab.link(
    [edge, { name: TOWARDS_VIEWERS, addresses: [`${EDGE_ADDRESS}/24`] }],
    [viewers, { name: 'edge0', addresses: [`${VIEWERS_ADDRESS}/24`] }],
  );
  await edge.must(['ethtool', '-K', TOWARDS_VIEWERS, 'tx-udp-segmentation', 'off']);
  return { lab, source, edge, viewers };
}
