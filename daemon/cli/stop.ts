import type { Command } from 'commander';
import { z } from 'zod';
import { askDaemon, withAdmin } from './admin-client.js';
import { printJson } from './output.js';

const order = z.object({ stopping: z.boolean(), withdraw: z.boolean() });

/** `sluice stop`: ends the running daemon. */
export function register(program: Command): void {
  withAdmin(program.command('stop'))
    .summary('stop the running daemon')
    .description('Asks the running daemon to end. Returns when it has taken the order.')
    .option('--withdraw', 'also take away forwarding that would stay in place for a restart')
    .option('--json', "print the daemon's answer as one JSON line")
    .action(async (options: { admin: string; withdraw?: true; json?: true }) => {
      const answer = await askDaemon(options.admin, '/v1/stop', order, { withdraw: options.withdraw === true });
      if (options.json === true) printJson(answer);
    });
}
