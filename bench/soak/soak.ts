import { readFileSync } from 'node:fs';
import type { Child } from '../../test/lab/lib/process.js';
import type { Bench, Sample } from '../lib/bench.js';
import { AdminApi } from '../lib/flows/admin.js';
import { startFlows } from '../lib/flows/daemon.js';
import { buildFlowTopology, HEARD_PORT, inputs, receivers, targetFile } from '../lib/flows/topology.js';
import { generate, heardBy, listen, sentBy } from '../lib/flows/traffic.js';
import { median } from '../lib/interleave.js';
import { elapse } from '../lib/sink.js';
import type { Topology } from '../lib/topology.js';
import { flowsOf } from '../voice/programs.js';
import { Churn } from './churn.js';

const FLOWS = 10;
/** Packets a second of all flows. */
const RATE = 2_000;
const BYTES = 1316;
/** Guests that are there at a time. */
const PRESENT = 100;

interface Soak {
  readonly seconds: number;
  readonly joins: number;
}

/** Bytes of the resident set. */
function residentBytes(pid: number): number {
  const kib = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1];
  return Number(kib ?? 0) * 1024;
}

/** Guests come and go evenly until the time is over; the resident set about once a second. */
async function churn(guests: Churn, daemon: Child, { seconds, joins }: Soak): Promise<number[]> {
  const begin = performance.now();
  const resident: number[] = [];
  for (let at = 0; at < seconds; at = (performance.now() - begin) / 1000) {
    if (!daemon.running) throw new Error(`the daemon ended: ${daemon.tail()}`);
    while (guests.joined < Math.min(joins, (joins * at) / seconds)) await guests.step();
    if (resident.length <= at) resident.push(residentBytes(daemon.pid));
    await elapse(10);
  }
  while (guests.joined < joins) await guests.step();
  return resident;
}

/** Median of a quarter of the values. */
function quarter(values: readonly number[], which: 0 | 3): number {
  const size = Math.max(1, Math.floor(values.length / 4));
  return median(which === 0 ? values.slice(0, size) : values.slice(-size)) ?? Number.NaN;
}

async function measure(topology: Topology, soak: Soak): Promise<Sample> {
  const { lab } = topology;
  const flows = flowsOf({ receivers: receivers(FLOWS, HEARD_PORT), kind: 'shared' });
  const daemon = await startFlows(topology, { flows });
  const api = new AdminApi(lab.file('admin.sock'));
  try {
    const sink = await listen(topology, FLOWS);
    const targets = targetFile(lab, 'soak', inputs(FLOWS, 'shared'));
    const phases = [{ rate: RATE, seconds: soak.seconds }];
    const generator = await generate(topology, { targets, bytes: BYTES, burst: 1, phases });
    const guests = new Churn(
      api,
      flows.map(({ id }) => id),
      PRESENT,
    );
    const resident = await churn(guests, daemon, soak);
    await guests.end();
    const [sent] = await sentBy(generator);
    const heard = (await heardBy(sink)).get(0);
    const lost = (sent?.sent ?? Number.NaN) - (heard?.packets ?? 0);
    const [first, last] = [quarter(resident, 0), quarter(resident, 3)];
    return {
      figures: { growth: (last - first) / 2 ** 20, lost, joins: guests.joined },
      notes: [
        `${(soak.seconds / 60).toFixed(1)} minutes, ${heard?.packets ?? 0} packets at the receivers that stayed, ${heard?.gaps ?? 0} gaps`,
        `resident: ${(first / 2 ** 20).toFixed(1)} MiB in the first quarter, ${(last / 2 ** 20).toFixed(1)} MiB in the last`,
      ],
    };
  } finally {
    api.close();
    await daemon.stop();
  }
}

/** Half an hour of receivers that come and go. */
export const soak: Bench = {
  name: 'soak',
  summary: '30 minutes of flows whose receivers come and go: memory, and loss at the receivers that stay',
  rounds: 1,
  async prepare(lab, { quick }) {
    const topology = await buildFlowTopology(lab);
    const all: Soak = quick ? { seconds: 20, joins: 1_000 } : { seconds: 1_800, joins: 100_000 };
    return [
      {
        figures: [
          { case: 'joins, and as many leaves', unit: 'receivers', better: 'more', key: 'joins' },
          { case: 'resident set, last quarter less the first', unit: 'MiB', better: 'less', key: 'growth' },
          { case: 'lost at receivers that stay', unit: 'packets', better: 'less', key: 'lost' },
        ],
        ours: { name: 'sluice', measure: () => measure(topology, all) },
        limit: null,
        peers: [],
        notes: [`${FLOWS} flows, ${RATE} packets/s of ${BYTES} bytes in, ${PRESENT} guests at a time`],
      },
    ];
  },
};
