// The relays that are measured, each as one way to start it.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { compile, ROOT } from '../../test/lab/lib/compile.js';
import { poll } from '../../test/lab/lib/poll.js';
import type { Child } from '../../test/lab/lib/process.js';
import { which } from '../../test/lab/lib/tools.js';
import { Absent } from '../lib/bench.js';
import { AdminApi, losses } from '../lib/flows/admin.js';
import { startFlows } from '../lib/flows/daemon.js';
import { INPUT_PORT, inputs, on, type Target, targetFile } from '../lib/flows/topology.js';
import { EDGE_SOURCE_ADDRESS, type Topology } from '../lib/topology.js';

/** Flows that go from one sender to one receiver each. */
export interface Relaying {
  /** One for each flow. */
  readonly receivers: readonly Target[];
  /** A port for every flow, in and out; or one for all, where the SSRC tells them apart. */
  readonly kind: 'sockets' | 'shared';
}

/** As words. */
export const KINDS: Readonly<Record<Relaying['kind'], string>> = { sockets: 'a port each', shared: 'one port' };

export interface Running {
  readonly child: Child;
  /** Where the generator sends the flows to. */
  readonly targets: string;
}

export interface Relay {
  readonly name: string;
  start(topology: Topology, relaying: Relaying, env?: Readonly<Record<string, string>>): Promise<Running>;
  /** Packets that a running one says it has lost, by reason, where it does. */
  losses?(topology: Topology): Promise<Readonly<Record<string, number>>>;
}

function inputFile(topology: Topology, { receivers, kind }: Relaying): string {
  return targetFile(topology.lab, 'in', inputs(receivers.length, kind));
}

function outputFile(topology: Topology, { receivers }: Relaying): string {
  return targetFile(topology.lab, 'out', receivers);
}

/** First SSRC of the generator (flows.h). */
const FIRST_SSRC = 0x10000000;

/** `flows:` of the daemon. */
export function flowsOf({ receivers, kind }: Relaying) {
  const at = inputs(receivers.length, kind);
  return receivers.map(({ address, port }, i) => {
    const own = `0.0.0.0:${at[i]?.port ?? INPUT_PORT}`;
    return {
      id: `flow-${i}`,
      input: `rtp://${own}`,
      clock_rate: 8000,
      receive_buffer: kind === 'shared' ? '4MiB' : '64KiB',
      ...(kind === 'shared' ? { ssrc: FIRST_SSRC + i } : {}),
      receivers: [{ id: 'receiver', to: `${address}:${port}`, from: own, dscp: 0 }],
    };
  });
}

export const sluice: Relay = {
  name: 'sluice',
  async start(topology, relaying, env = {}) {
    const child = await startFlows(topology, { flows: flowsOf(relaying) }, env);
    return { child, targets: inputFile(topology, relaying) };
  },
  async losses({ lab }) {
    const api = new AdminApi(lab.file('admin.sock'));
    try {
      return await losses(api);
    } finally {
      api.close();
    }
  },
};

export const bare: Relay = {
  name: 'bare-relay',
  async start(topology, relaying) {
    const program = await compile('bench-bare-relay', ['bench/voice/bare-relay.cc'], {
      headers: ['bench/lib', 'bench/lib/flows'],
    });
    const command = [program, relaying.kind, String(INPUT_PORT), outputFile(topology, relaying)];
    const child = await topology.edge.spawn('bare-relay', on('program', command));
    return { child, targets: inputFile(topology, relaying) };
  },
};

const NG_PORT = 2223;

/** Debian's rtpengine without its kernel module: one thread, a call for every flow. */
export const rtpengine: Relay = {
  name: 'rtpengine',
  async start(topology, relaying) {
    const path = which('rtpengine');
    if (path === undefined) throw new Absent('not installed (Debian: rtpengine-daemon)');
    if (relaying.kind === 'shared') throw new Absent('has a port for every flow');
    const { edge, lab } = topology;
    const ng = ['--config-file=none', '--table=-1', '--foreground', `--listen-ng=${EDGE_SOURCE_ADDRESS}:${NG_PORT}`];
    const media = [`--interface=${EDGE_SOURCE_ADDRESS}`, '--port-min=10000', '--port-max=60000', '--num-threads=1'];
    const patience = ['--timeout=3600', '--silent-timeout=3600', '--log-stderr', '--log-level=3'];
    const child = await edge.spawn('rtpengine', on('program', [path, ...ng, ...media, ...patience]));
    const listens = async (): Promise<boolean> => {
      if (!child.running) throw new Error(`rtpengine ended: ${child.tail()}`);
      return (await edge.must(['ss', '-Hlun', `sport = :${NG_PORT}`])).stdout !== '';
    };
    await poll(listens, 10_000, 'rtpengine to listen');
    const client = join(ROOT, 'dist/bench/voice/ng-client.js');
    const arguments_ = [EDGE_SOURCE_ADDRESS, String(NG_PORT), outputFile(topology, relaying)];
    const calls = await edge.must([process.execPath, client, ...arguments_], { timeoutMs: 60_000 });
    const targets = lab.file('targets-rtpengine');
    writeFileSync(targets, calls.stdout);
    return { child, targets };
  },
};
