import { existsSync } from 'node:fs';
import type { Host } from '../../test/lab/lib/host.js';
import { Absent, type Bench, type Contender, type Group } from '../lib/bench.js';
import { repairProgram } from '../lib/repair.js';

type What = 'encode' | 'decode' | 'flow';

const CODES: Readonly<Record<string, string>> = {
  'ST 2022-1, 10 x 10, columns': 'parity:10x10',
  'ST 2022-1, 7 x 7, columns and rows': 'parity:7x7+rows',
  'block code, 20 + 4': 'block:20+4',
  'block code, 50 + 14': 'block:50+14',
  'block code, 100 + 29': 'block:100+29',
};

const UNIT: Readonly<Record<What, string>> = {
  encode: 'ns/packet',
  decode: 'ns/packet repaired',
  flow: 'CPU ns/packet sent',
};

const HAS_ISAL = existsSync('/usr/include/isa-l/erasure_code.h');

function contender(name: string, host: Host, program: string, args: readonly string[]): Contender {
  return {
    name,
    async measure() {
      return { figures: { cost: Number((await host.must([program, ...args])).stdout) } };
    },
  };
}

/** Ours against what does the same arithmetic and no more, or sending with parity against sending without. */
async function group(host: Host, what: What, name: string, milliseconds: number): Promise<Group> {
  const code = CODES[name] ?? '';
  const portable = await repairProgram('bench/fec/fec-cost.cc');
  const program = HAS_ISAL ? await repairProgram('bench/fec/fec-cost.cc', { isal: true }) : portable;
  const run = (label: string, who: 'ours' | 'bare', by: string): Contender =>
    contender(label, host, by, [what, who, code, String(milliseconds)]);
  const block = code.startsWith('block');
  const missing: Contender = {
    name: 'bare',
    measure: () => Promise.reject(new Absent('needs ISA-L (Debian: libisal-dev)')),
  };
  return {
    figures: [{ case: `${what}, ${name}`, unit: UNIT[what], better: 'less', key: 'cost' }],
    ours: run('sluice', 'ours', program),
    limit: block && what !== 'flow' && !HAS_ISAL ? missing : run('bare', 'bare', program),
    peers: block && HAS_ISAL ? [run('without ISA-L', 'ours', portable)] : [],
    notes: [],
  };
}

/** What the arithmetic of parity costs, by itself and in the flow. */
export const fec: Bench = {
  name: 'fec',
  summary: 'CPU of FEC encoders and decoders beside ISA-L and AVX2, and what parity adds to the cost of sending',
  rounds: 7,
  async prepare(lab, { quick }) {
    const host = await lab.host('fec');
    const milliseconds = quick ? 50 : 500;
    const groups: Group[] = [];
    for (const what of ['encode', 'decode', 'flow'] as const)
      for (const name of Object.keys(CODES)) groups.push(await group(host, what, name, milliseconds));
    return groups;
  },
};
