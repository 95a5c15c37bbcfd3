import type { Host } from './lib/host.js';
import type { Lab } from './lib/lab.js';
import type { Link } from './lib/link.js';

/** origin – edge – access router – viewers. */
export interface Topology {
  readonly origin: Host;
  readonly edge: Host;
  readonly access: Host;
  readonly viewers: Host;
  readonly upstream: Link;
  readonly distribution: Link;
  readonly lan: Link;
}

export const ORIGIN_ADDRESS = '10.10.1.2';
export const EDGE_ADDRESS = '10.10.2.1';
export const VIEWERS_ADDRESS = '10.10.3.2';

/** The links count packets, so their offloads are off. The edge reaches viewers by unicast through the access router. */
export async function buildTopology(lab: Lab): Promise<Topology> {
  const [origin, edge] = [await lab.host('origin'), await lab.host('edge')];
  const [access, viewers] = [await lab.router('access'), await lab.host('viewers')];
  const counting = { offloads: false };
  const upstream = await lab.link(
    [origin, { name: 'edge0', addresses: [`${ORIGIN_ADDRESS}/24`, 'fd10:1::2/64'] }],
    [edge, { name: 'origin0', addresses: ['10.10.1.1/24', 'fd10:1::1/64'] }],
    counting,
  );
  const distribution = await lab.link(
    [edge, { name: 'access0', addresses: [`${EDGE_ADDRESS}/24`, 'fd10:2::1/64'] }],
    [access, { name: 'edge0', addresses: ['10.10.2.2/24', 'fd10:2::2/64'] }],
    counting,
  );
  const lan = await lab.link(
    [access, { name: 'lan0', addresses: ['10.10.3.1/24', 'fd10:3::1/64'] }],
    [viewers, { name: 'eth0', addresses: [`${VIEWERS_ADDRESS}/24`, 'fd10:3::2/64'] }],
    counting,
  );
  await edge.route('10.10.3.0/24', '10.10.2.2');
  await edge.route('fd10:3::/64', 'fd10:2::2');
  await edge.route('224.0.0.0/4', 'access0');
  await viewers.route('default', '10.10.3.1');
  await viewers.route('default', 'fd10:3::1');
  return { origin, edge, access, viewers, upstream, distribution, lan };
}

/** origin – edge – viewers. */
export interface FrontTopology {
  readonly origin: Host;
  readonly edge: Host;
  readonly viewers: Host;
}

/** For what is counted by the programs and not on the links: offloads stay on. Each address is as in {@link buildTopology}. */
export async function buildFrontTopology(lab: Lab): Promise<FrontTopology> {
  const [origin, edge, viewers] = [await lab.host('origin'), await lab.host('edge'), await lab.host('viewers')];
  await lab.link(
    [origin, { name: 'edge0', addresses: [`${ORIGIN_ADDRESS}/24`] }],
    [edge, { name: 'origin0', addresses: ['10.10.1.1/24'] }],
  );
  await lab.link(
    [edge, { name: 'viewers0', addresses: [`${EDGE_ADDRESS}/24`] }],
    [viewers, { name: 'eth0', addresses: ['10.10.2.2/24'] }],
  );
  await viewers.route('default', EDGE_ADDRESS);
  // Crowds come from one address, again and again, and all at once.
  await viewers.sysctl('net.ipv4.ip_local_port_range', '1024 65535');
  await viewers.sysctl('net.ipv4.tcp_tw_reuse', 1);
  return { origin, edge, viewers };
}
