// The programs that are measured, each as one way to start a fan-out.
import { compile } from '../../test/lab/lib/compile.js';
import type { Child } from '../../test/lab/lib/process.js';
import { startFlows } from '../lib/flows/daemon.js';
import { COUNTED_PORT, INPUT_PORT, on, receivers, targetFile } from '../lib/flows/topology.js';
import { EDGE_ADDRESS, type Topology } from '../lib/topology.js';

export type Batching = 'plain' | 'sendmmsg' | 'segment';

/** One fan-out, whoever does it. */
export interface Fanout {
  readonly receivers: number;
  /** Whether every receiver has its own SSRC, payload type, sequence and timestamp. */
  readonly rewrite: boolean;
  readonly batching: Batching;
  /** How long packets are gathered. */
  readonly waitUs: number;
}

export interface Program {
  readonly name: string;
  start(topology: Topology, fanout: Fanout): Promise<Child>;
}

export const sluice: Program = {
  name: 'sluice',
  start: (topology, fanout) => startFlows(topology, { flows: [flow(fanout)] }),
};

function flow(fanout: Fanout) {
  const own = (i: number) => ({
    ssrc: 0x20000000 + i,
    payload_type: 96,
    sequence_offset: (1000 + i) % 65_536,
    timestamp_offset: 90_000 + i,
  });
  return {
    id: 'fanout',
    input: `rtp://0.0.0.0:${INPUT_PORT}`,
    batching: fanout.batching,
    batch_wait: `${fanout.waitUs}us`,
    receive_buffer: '4MiB',
    receivers: receivers(fanout.receivers, COUNTED_PORT).map(({ address, port }, i) => ({
      id: `receiver-${i}`,
      to: `${address}:${port}`,
      from: EDGE_ADDRESS,
      dscp: 0,
      ...(fanout.rewrite ? own(i) : {}),
    })),
  };
}

export const bare: Program = {
  name: 'bare-fanout',
  async start({ edge, lab }, fanout) {
    const program = await compile('bench-bare-fanout', ['bench/fanout/bare-fanout.cc'], {
      headers: ['bench/lib', 'bench/lib/flows'],
    });
    const targets = targetFile(lab, `fanout-${fanout.receivers}`, receivers(fanout.receivers, COUNTED_PORT));
    const headers = fanout.rewrite ? 'rewrite' : 'copy';
    const how = [fanout.batching, headers, String(fanout.waitUs)];
    return edge.spawn('bare-fanout', on('program', [program, String(INPUT_PORT), EDGE_ADDRESS, targets, ...how]));
  },
};
