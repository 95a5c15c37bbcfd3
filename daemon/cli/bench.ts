import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { SluiceError } from '../base/errors.js';
import { ROOT } from './root.js';

/** `sluice bench NAME`: measures on this machine, beside the bare C programs. */
export function register(program: Command): void {
  program
    .command('bench')
    .summary('measure on this machine')
    .description(
      'Runs a bench beside its bare C counterpart and the peers that are installed. Needs the source checkout.',
    )
    .argument('[name]', 'the bench; without it, all are listed')
    .option('--json', 'one JSON line per case and peer')
    .option('--quick', 'short runs: shows that it works, not how fast it is')
    .addHelpText('after', '\nExamples:\n  sluice bench main-job --quick --json')
    .action(async (name: string | undefined, options: { json?: true; quick?: true }) => {
      const script = join(ROOT, 'scripts', 'bench.mjs');
      if (!existsSync(script))
        throw new SluiceError('TOOL_MISSING', `benches need the source checkout (expected ${script})`);
      const flags = [...(options.json === true ? ['--json'] : []), ...(options.quick === true ? ['--quick'] : [])];
      const code = await runToEnd([script, ...(name === undefined ? [] : [name]), ...flags]);
      if (code !== 0) process.exitCode = code;
    });
}

function runToEnd(args: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { stdio: 'inherit' });
    const forward = (signal: NodeJS.Signals): void => void child.kill(signal);
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, forward);
    child.on('error', reject);
    child.on('exit', (code, signal) => {
      for (const one of ['SIGINT', 'SIGTERM'] as const) process.off(one, forward);
      resolve(code ?? (signal === 'SIGINT' || signal === 'SIGTERM' ? 0 : 1));
    });
  });
}
