import type { Command } from 'commander';
import { purgeAnswer } from '../admin/model.js';
import { askDaemon, withAdmin } from './admin-client.js';
import { print, printJson } from './output.js';

/** `sluice purge SITE [PATH]`: the running daemon forgets objects. */
export function register(program: Command): void {
  withAdmin(program.command('purge'))
    .summary('forget objects of a site')
    .description(
      'Makes the running daemon forget what a site has of a path and of all that begins with it, so that the origin is asked ' +
        'again. Viewers who are being served go on.',
    )
    .argument('<site>', 'its id, as in sluice show sites')
    .argument('[path]', 'as viewers ask for it, or what stands behind the prefix; everything when left out', '')
    .option('--json', 'one JSON line: {"site","path","purged"}')
    .addHelpText('after', '\nExamples:\n  sluice purge vod\n  sluice purge vod /vod/film/seg-1.m4s')
    .action(async (site: string, path: string, options: { admin: string; json?: true }) => {
      const url = `/v1/sites/${encodeURIComponent(site)}/purge`;
      const answer = await askDaemon(options.admin, url, purgeAnswer, { path });
      if (options.json === true) printJson(answer);
      else print(`${answer.purged} ${answer.purged === 1 ? 'object' : 'objects'} forgotten`);
    });
}
