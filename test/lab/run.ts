import { fileURLToPath } from 'node:url';
import { badInput } from './bad-input.js';
import { helper } from './helper.js';
import { hold } from './hold.js';
import { httpAttacks } from './http-attacks.js';
import { installLab } from './install.js';
import { play } from './lib/play.js';
import { enterNamespaces, NoNamespaces } from './lib/privilege.js';
import { Report } from './lib/report.js';
import type { Scenario } from './lib/scenario.js';
import { mainJob } from './main-job.js';
import { killsLab } from './membership/kills.js';
import { membershipLab } from './membership.js';
import { packetPath } from './packet-path.js';
import { playersLab } from './players.js';
import { repairLab } from './repair.js';
import { sightLab } from './sight.js';
import { stampedeLab } from './stampede.js';

const SCENARIOS: readonly Scenario[] = [
  mainJob,
  badInput,
  httpAttacks,
  stampedeLab,
  playersLab,
  repairLab,
  membershipLab,
  sightLab,
  killsLab,
  packetPath,
  installLab,
  helper,
  hold,
];

/** Exit codes as everywhere in the project: 0 done, 1 failed, 2 wrong use. */
async function main(args: readonly string[]): Promise<number> {
  const json = args.includes('--json');
  const [name, ...rest] = args.filter((argument) => argument !== '--json');
  if (name === undefined) {
    for (const { name: known, summary } of SCENARIOS) console.log(`${known.padEnd(12)} ${summary}`);
    return 0;
  }
  const scenario = SCENARIOS.find((one) => one.name === name);
  if (scenario === undefined || rest.length > 0) {
    console.error(`usage: npm run lab -- NAME [--json], NAME one of ${SCENARIOS.map((one) => one.name).join(', ')}`);
    return 2;
  }
  return run(scenario, json, args);
}

async function run(scenario: Scenario, json: boolean, args: readonly string[]): Promise<number> {
  let report: Report;
  try {
    const code = await enterNamespaces(fileURLToPath(import.meta.url), args);
    if (code !== undefined) return code;
    report = await play(scenario, (line) => console.log(line));
  } catch (error) {
    if (!(error instanceof NoNamespaces)) throw error;
    report = new Report(scenario.name, (line) => console.log(line));
    report.skip('network namespaces', error.message);
  }
  console.log(`${scenario.name}: ${report.ok ? 'ok' : 'NOT ok'}`);
  if (json) console.log(report.json());
  return report.ok ? 0 : 1;
}

// `process.exit` and not the exit code: a scenario that was interrupted may have left a timer.
process.exit(await main(process.argv.slice(2)));
