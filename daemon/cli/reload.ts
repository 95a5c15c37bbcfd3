import type { Command } from 'commander';
import { reloadAnswer } from '../admin/model.js';
import { changeRows } from '../config/diff.js';
import { askDaemon, withAdmin } from './admin-client.js';
import { formatTable, print, printJson } from './output.js';

/** `sluice reload`: the running daemon reads its file again. */
export function register(program: Command): void {
  withAdmin(program.command('reload'))
    .summary('apply the changed configuration file')
    .description(
      'Asks the running daemon to read its configuration file again and to apply what has changed: all of it, or nothing. ' +
        'What did not change is not touched. SIGHUP to the daemon does the same.',
    )
    .option('--dry-run', 'only tell what would be done')
    .option('--json', 'one JSON line: {"outcome","file","changes","steps"}')
    .addHelpText(
      'after',
      '\nExit codes: 0 applied or unchanged, 1 refused by the running daemon, 2 the file is bad. After 1 and 2 nothing has changed.\n' +
        '\nExamples:\n  sluice reload\n  sluice reload --dry-run',
    )
    .action(async (options: { admin: string; dryRun?: true; json?: true }) => {
      const dryRun = options.dryRun === true;
      const answer = await askDaemon(options.admin, '/v1/reload', reloadAnswer, { dry_run: dryRun });
      if (options.json === true) printJson(answer);
      else print(reloadText(answer));
    });
}

const OUTCOMES = { applied: 'reloaded', unchanged: 'nothing has changed', planned: 'would be done' } as const;

function reloadText({ outcome, file, changes, steps }: ReturnType<typeof reloadAnswer.parse>): string {
  const head = `${file}: ${OUTCOMES[outcome]}`;
  if (changes.length === 0) return [head, ...steps].join('\n');
  return [head, '', formatTable(changeRows(changes)), '', ...steps].join('\n');
}
