import { readFileSync, writeFileSync } from 'node:fs';
import { z } from 'zod';
import { compile } from '../../../test/lab/lib/compile.js';
import type { Lab } from '../../../test/lab/lib/lab.js';
import { buildTopology, EDGE_SOURCE_ADDRESS, SOURCE_ADDRESS, type Topology, VIEWERS_ADDRESS } from '../topology.js';

/** What is sent to this port of any receiver is counted and dropped before it reaches a socket: a sink that costs the same for all. */
export const COUNTED_PORT = 5004;
/** On this port of any receiver a sink listens. */
export const HEARD_PORT = 5000;
/** Where the first flow comes in at the edge. */
export const INPUT_PORT = 20_000;

const RECEIVERS = '10.21.0.0/16';
const TOWARDS_EDGE = 'edge0';

/** A numeric address and a UDP port. */
export interface Target {
  readonly address: string;
  readonly port: number;
}

/** Receivers with an address each, up to 60,000; all of them are the host `viewers`. */
export function receivers(count: number, port: number): Target[] {
  return Array.from({ length: count }, (_, i) => ({
    address: `10.21.${1 + Math.floor(i / 250)}.${1 + (i % 250)}`,
    port,
  }));
}

/** Of {@link sampled} receivers, one in so many is heard. */
export const HEARD_EVERY = 10;

/** Receivers of which the first and every tenth after it is heard; the others cost the sink nothing. */
export function sampled(count: number): Target[] {
  return receivers(count, COUNTED_PORT).map((one, i) => (i % HEARD_EVERY === 0 ? { ...one, port: HEARD_PORT } : one));
}

/** Where flows come in at the edge: on a port each (even ones), or all on one. */
export function inputs(flows: number, kind: 'sockets' | 'shared'): Target[] {
  return Array.from({ length: flows }, (_, i) => ({
    address: EDGE_SOURCE_ADDRESS,
    port: INPUT_PORT + (kind === 'sockets' ? 2 * i : 0),
  }));
}

/** Writes targets for the C++ programs, a line each. */
export function targetFile(lab: Lab, name: string, targets: readonly Target[]): string {
  const file = lab.file(`targets-${name}`);
  writeFileSync(file, targets.map(({ address, port }) => `${address} ${port}\n`).join(''));
  return file;
}

/**
 * source – edge – viewers, where thousands of receivers' addresses are those of `viewers`. No device takes whole batches, so that
 * packets are counted and not batches; what the source sends by the edge's routes goes through it without any relay.
 */
export async function buildFlowTopology(lab: Lab): Promise<Topology> {
  const topology = await buildTopology(lab);
  const { source, edge, viewers } = topology;
  await viewers.must(['ethtool', '-K', TOWARDS_EDGE, 'gro', 'off', 'tx-udp-segmentation', 'off']);
  await viewers.ip('route', 'add', 'local', RECEIVERS, 'dev', 'lo');
  await edge.route(RECEIVERS, VIEWERS_ADDRESS);
  await edge.sysctl('net.ipv4.ip_forward', 1);
  await source.route('10.21.0.0/16', EDGE_SOURCE_ADDRESS);
  await viewers.route(`${SOURCE_ADDRESS}/32`, '10.20.2.1');
  await viewers.nft(`table netdev sink {
    counter delivered { }
    chain arriving {
      type filter hook ingress device "${TOWARDS_EDGE}" priority 0;
      udp dport ${COUNTED_PORT} counter name delivered drop
    }
  }`);
  return topology;
}

const counters = z.object({
  nftables: z.array(z.looseObject({ counter: z.object({ packets: z.number() }).optional() })),
});

/** Packets so far that came to {@link COUNTED_PORT}. */
export async function counted({ viewers }: Topology): Promise<number> {
  const { stdout } = await viewers.must(['nft', '-j', 'list', 'counter', 'netdev', 'sink', 'delivered']);
  return counters.parse(JSON.parse(stdout)).nftables.find((one) => one.counter !== undefined)?.counter?.packets ?? 0;
}

/** Processors that this process may use, by number. */
function cores(): number[] {
  const list = /^Cpus_allowed_list:\s+(\S+)/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1] ?? '';
  return list.split(',').flatMap((range) => {
    const [first = 0, last = first] = range.split('-').map(Number);
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
}

/** A command on a core of its own: the measured program on one, generator and sink on the other, where there are two. */
export function on(core: 'program' | 'tools', command: readonly string[]): string[] {
  const [tools, program] = cores();
  if (tools === undefined || program === undefined) return [...command];
  return ['taskset', '-c', String(core === 'program' ? program : tools), ...command];
}

/** Compiles a program that the benches about flows share. */
export function flowTool(name: 'rtpgen' | 'rtpsink'): Promise<string> {
  return compile(`bench-${name}`, [`bench/lib/flows/${name}.cc`], { headers: ['bench/lib'] });
}
