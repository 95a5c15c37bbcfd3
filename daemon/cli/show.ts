import type { Command } from 'commander';
import { z } from 'zod';
import { askDaemon, withAdmin } from './admin-client.js';
import { formatTable, print, printJson } from './output.js';

const cell = z.union([z.string(), z.number(), z.boolean(), z.null(), z.array(z.string())]);
const table = z.object({ noun: z.string(), columns: z.array(z.string()), rows: z.array(z.record(z.string(), cell)) });

/** `sluice show NOUN`: a table of what the running daemon has. */
export function register(program: Command): void {
  withAdmin(program.command('show'))
    .summary('show what the running daemon has')
    .description('Prints a table of what the running daemon has, such as channels or viewers.')
    .argument(
      '<noun>',
      'channels, viewers, relays, flows, groups, mroute, interfaces, …; a wrong one is answered with the list of the right ones',
    )
    .argument('[id]', 'only what belongs to it: the flow of receivers')
    .option('--json', 'one JSON line: {"noun","columns","rows"}')
    .addHelpText(
      'after',
      '\nExamples:\n  sluice show channels\n  sluice show receivers studio-a\n  sluice show viewers --json --admin http://127.0.0.1:9480',
    )
    .action(async (noun: string, id: string | undefined, options: { admin: string; json?: true }) => {
      const query = id === undefined ? '' : `?id=${encodeURIComponent(id)}`;
      const answer = await askDaemon(options.admin, `/v1/show/${encodeURIComponent(noun)}${query}`, table);
      if (options.json === true) printJson(answer);
      else print(formatTable(answer));
    });
}
