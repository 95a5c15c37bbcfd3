import { z } from 'zod';
import type { Host } from '../../test/lab/lib/host.js';
import type { Lab } from '../../test/lab/lib/lab.js';
import { Absent, type Bench, type Contender, type Group } from '../lib/bench.js';
import { HAS_ISAL, planeProgram, repairProgram } from '../lib/repair.js';

type What = 'encode' | 'decode';

const CODES: Readonly<Record<string, string>> = {
  'ST 2022-1, 10 x 10, columns': 'parity:10x10',
  'ST 2022-1, 7 x 7, columns and rows': 'parity:7x7+rows',
  'block code, 20 + 4': 'block:20+4',
  'block code, 50 + 14': 'block:50+14',
  'block code, 100 + 29': 'block:100+29',
};

const UNIT: Readonly<Record<What, string>> = { encode: 'ns/packet', decode: 'ns/packet repaired' };

/** How many packets leave together: at 8 Mbit/s each by itself, at 50 Mbit/s as many as are due in a millisecond. */
const AT_ONCE: readonly (readonly [string, number])[] = [
  ['flow', 1],
  ['flow, five at once', 5],
];

const GROUP = '239.20.1.1';
const PORT = 5000;
const DEVICE = 'sink0';

interface Program {
  readonly path: string;
  /** What it takes for the fastest here. */
  readonly arithmetic: string;
}

/** Ours against what does the same arithmetic and no more. */
function arithmetic(host: Host, program: Program, what: What, name: string, milliseconds: number): Group {
  const code = CODES[name] ?? '';
  const run = (label: string, who: string): Contender => ({
    name: label,
    async measure() {
      const { stdout } = await host.must([program.path, what, who, code, String(milliseconds)]);
      return { figures: { cost: Number(stdout) } };
    },
  });
  const block = code.startsWith('block');
  const missing: Contender = {
    name: 'bare',
    measure: () => Promise.reject(new Absent('needs ISA-L (Debian: libisal-dev)')),
  };
  return {
    figures: [{ case: `${what}, ${name}`, unit: UNIT[what], better: 'less', key: 'cost' }],
    ours: run('sluice', 'ours'),
    limit: block && !HAS_ISAL ? missing : run('bare', 'bare'),
    peers: block ? [run('ours by ISA-L', 'isal'), run('ours by AVX2', 'avx2')] : [],
    notes: block ? [`ours is by ${program.arithmetic}`] : [],
  };
}

const flowCost = z.object({ with: z.number(), without: z.number() });
type FlowCost = z.infer<typeof flowCost>;

/** One run measures both, by turns of a millisecond: who comes second in a round takes what the first has measured. */
function halves(run: () => Promise<FlowCost>): readonly [Contender, Contender] {
  let half: Promise<FlowCost> | undefined;
  const contender = (name: string, key: keyof FlowCost): Contender => ({
    name,
    async measure() {
      const whole = half ?? run();
      half = half === undefined ? whole : undefined;
      return { figures: { cost: (await whole)[key] } };
    },
  });
  return [contender('with parity', 'with'), contender('without', 'without')];
}

/** Sending with parity against sending without. */
function flow(
  host: Host,
  program: string,
  name: string,
  [label, atOnce]: readonly [string, number],
  ms: number,
): Group {
  const command = [program, CODES[name] ?? '', atOnce, GROUP, PORT, DEVICE, ms].map(String);
  const [ours, limit] = halves(async () => flowCost.parse(JSON.parse((await host.must(command)).stdout)));
  return {
    figures: [{ case: `${label}, ${name}`, unit: 'CPU ns/packet sent', better: 'less', key: 'cost' }],
    ours,
    limit,
    peers: [],
    notes: [],
  };
}

/** Segments are made in software, as on most devices. */
async function sender(lab: Lab): Promise<Host> {
  const [host, sink] = [await lab.host('fec'), await lab.host('sink')];
  await lab.link(
    [host, { name: DEVICE, addresses: ['10.20.3.1/24'] }],
    [sink, { name: 'fec0', addresses: ['10.20.3.2/24'] }],
  );
  await host.must(['ethtool', '-K', DEVICE, 'tx-udp-segmentation', 'off']);
  return host;
}

/** What the arithmetic of parity costs, by itself and in the flow. */
export const fec: Bench = {
  name: 'fec',
  summary: 'CPU of FEC encoders and decoders beside ISA-L and AVX2, and what parity adds to the cost of sending',
  rounds: 7,
  async prepare(lab, { quick }) {
    const host = await sender(lab);
    const path = await repairProgram('bench/fec/fec-cost.cc');
    const cost = { path, arithmetic: (await host.must([path, 'arithmetic'])).stdout.trim() };
    const inFlow = await planeProgram('bench/fec/fec-flow.cc');
    const names = Object.keys(CODES);
    return [
      ...(['encode', 'decode'] as const).flatMap((what) =>
        names.map((name) => arithmetic(host, cost, what, name, quick ? 50 : 300)),
      ),
      ...AT_ONCE.flatMap((some) => names.map((name) => flow(host, inFlow, name, some, quick ? 100 : 700))),
    ];
  },
};
