import type { Command } from 'commander';
import { z } from 'zod';
import { askDaemon, withAdmin } from './admin-client.js';
import { print, printJson } from './output.js';

const explanation = z.object({ noun: z.string(), id: z.string(), sentences: z.array(z.string()) });

/** `sluice why NOUN ID`: from the cause to the effect. */
export function register(program: Command): void {
  withAdmin(program.command('why'))
    .summary('explain why a channel, a flow or a group is as it is')
    .description(
      'Follows the way of the media through the running daemon and tells, step by step, what works and what does not.',
    )
    .argument('<noun>', 'channel, relay, flow or group')
    .argument('<id>', 'its id, as in sluice show')
    .option('--json', 'one JSON line: {"noun","id","sentences"}')
    .addHelpText(
      'after',
      '\nExamples:\n  sluice why channel news\n  sluice why relay 239.1.1.1:5000\n  sluice why flow studio-a\n  sluice why group 239.1.1.1',
    )
    .action(async (noun: string, id: string, options: { admin: string; json?: true }) => {
      // The id may hold a slash (CHANNEL/RENDITION), which belongs to the path.
      const path = `/v1/why/${encodeURIComponent(noun)}/${id.split('/').map(encodeURIComponent).join('/')}`;
      const answer = await askDaemon(options.admin, path, explanation);
      if (options.json === true) printJson(answer);
      else print(answer.sentences.join('\n'));
    });
}
