import { fileURLToPath } from 'node:url';
import { Lab } from '../test/lab/lib/lab.js';
import { enterNamespaces, NoNamespaces } from '../test/lab/lib/privilege.js';
import { fanout } from './fanout/fanout.js';
import { fec } from './fec/fec.js';
import { httpFanout } from './http-fanout/http-fanout.js';
import { httpObjects } from './http-objects/http-objects.js';
import { joinBench } from './join/join.js';
import type { Bench, BenchLine } from './lib/bench.js';
import { interleave, linesOf } from './lib/interleave.js';
import { table, writePage } from './lib/output.js';
import { mainJob } from './main-job/main-job.js';
import { relayLatency } from './relay-latency/relay-latency.js';
import { repair } from './repair/repair.js';
import { soak } from './soak/soak.js';
import { voice } from './voice/voice.js';
import { zap } from './zap/zap.js';

const BENCHES: readonly Bench[] = [
  fanout,
  fec,
  httpFanout,
  httpObjects,
  joinBench,
  mainJob,
  relayLatency,
  repair,
  soak,
  voice,
  zap,
];
const FLAGS = /^--(json|quick|write|case=.+|rounds=[1-9]\d?)$/;
const USAGE = `usage: npm run bench -- NAME [--json] [--quick] [--write] [--case=TEXT] [--rounds=N], NAME one of ${BENCHES.map((b) => b.name).join(', ')}
  --json   one JSON line per case and peer on standard output; progress goes to standard error in any case
  --quick  short runs: shows that it works, not how fast it is
  --case   only the cases whose name contains TEXT, such as "http 50"
  --rounds how often each is measured; the median counts
  --write  puts the figures into docs/benches.md`;

/** Exit codes as everywhere in the project, and 77 for "cannot be measured here". */
async function main(args: readonly string[]): Promise<number> {
  const flags = args.filter((argument) => argument.startsWith('-'));
  const [name, ...rest] = args.filter((argument) => !argument.startsWith('-'));
  const bench = BENCHES.find((one) => one.name === name);
  if (name === undefined && flags.length === 0) {
    for (const one of BENCHES) console.log(`${one.name.padEnd(14)} ${one.summary}`);
    return 0;
  }
  if (bench === undefined || rest.length > 0 || flags.some((flag) => !FLAGS.test(flag))) {
    console.error(USAGE);
    return 2;
  }
  try {
    const code = await enterNamespaces(fileURLToPath(import.meta.url), args);
    if (code !== undefined) return code;
  } catch (error) {
    if (!(error instanceof NoNamespaces)) throw error;
    console.error(`${bench.name}: ${error.message}`);
    return 77;
  }
  const lines = await measure(bench, flags);
  if (!flags.includes('--json')) console.log(table(lines));
  if (flags.includes('--write')) writePage(bench, lines);
  return 0;
}

async function measure(bench: Bench, flags: readonly string[]): Promise<BenchLine[]> {
  const quick = flags.includes('--quick');
  const given = (flag: string): string | undefined =>
    flags.find((one) => one.startsWith(`--${flag}=`))?.slice(flag.length + 3);
  const wanted = given('case') ?? '';
  const rounds = Number(given('rounds') ?? (quick ? 1 : bench.rounds));
  const lab = await Lab.open();
  const stop = (): void => {
    void lab.close().finally(() => process.exit(1));
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, stop);
  const lines: BenchLine[] = [];
  try {
    for (const group of await bench.prepare(lab, { quick })) {
      if (!group.figures.some((figure) => figure.case.includes(wanted))) continue;
      const runs = await interleave(group, rounds, (line) => console.error(line));
      const found = linesOf(bench.name, group, runs);
      if (flags.includes('--json')) for (const line of found) console.log(JSON.stringify(line));
      lines.push(...found);
    }
  } finally {
    await lab.close();
  }
  return lines;
}

try {
  process.exit(await main(process.argv.slice(2)));
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exit(1);
}
