import { writeFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { SluiceError } from '../base/errors.js';
import { jsonSchemaOf } from '../config/problems.js';
import { loadSettings, settingsSchema } from '../settings.js';
import { EXIT_USAGE } from './exit.js';
import { print, printJson } from './output.js';

/** `sluice check -c FILE`: all that is wrong with a configuration, without running it. */
export function register(program: Command): void {
  program
    .command('check')
    .summary('check a configuration')
    .description('Checks a configuration and tells everything that is wrong with it at once, without running it.')
    .option('-c, --config <file>', 'configuration (YAML)')
    .option('--json', 'one JSON line: {"ok","file","channels","problems":[{"line","column","key","message"}]}')
    .option('--schema <file>', 'write the JSON Schema of the configuration, for editors, and check nothing')
    .addHelpText('after', '\nExamples:\n  sluice check -c /etc/sluice/sluice.yaml\n  sluice check -c lab.yaml --json')
    .action(async (options: { config?: string; json?: true; schema?: string }) => {
      if (options.schema !== undefined) {
        await writeFile(options.schema, schemaText());
        return;
      }
      if (options.config === undefined) throw new SluiceError('USAGE', 'check: expected -c FILE');
      await check(options.config, options.json === true);
    });
}

async function check(file: string, json: boolean): Promise<void> {
  try {
    const { channels } = await loadSettings(file);
    if (json) printJson({ ok: true, file, channels: channels.length, problems: [] });
    else print(`${file}: ok, ${channels.length} ${channels.length === 1 ? 'channel' : 'channels'}`);
  } catch (error) {
    if (!json || !(error instanceof SluiceError)) throw error;
    printJson({ ok: false, file, code: error.code, message: error.message, problems: error.details['problems'] ?? [] });
    process.exitCode = EXIT_USAGE;
  }
}

/** The text of config/schema/sluice.schema.json. */
export function schemaText(): string {
  return `${JSON.stringify(jsonSchemaOf(settingsSchema), null, 2)}\n`;
}
