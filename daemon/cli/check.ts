import { writeFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { SluiceError } from '../base/errors.js';
import { jsonSchemaOf } from '../config/problems.js';
import { loadSettings, settingsSchema } from '../settings.js';
import { withAdmin } from './admin-client.js';
import { checkDiff } from './check-diff.js';
import { EXIT_USAGE, exitCodeOf } from './exit.js';
import { print, printJson } from './output.js';

/** `sluice check -c FILE`: all that is wrong with a configuration, without running it. */
export function register(program: Command): void {
  withAdmin(program.command('check'))
    .summary('check a configuration')
    .description('Checks a configuration and tells everything that is wrong with it at once, without running it.')
    .option('-c, --config <file>', 'configuration (YAML)')
    .option('--json', 'one JSON line: {"ok","file","channels","sites","problems":[{"line","column","key","message"}]}')
    .option('--diff [other]', 'tell what it says otherwise than the running daemon, or than another file')
    .option('--exit-code', 'with --diff: exit with 1 when there are differences, as diff(1) does')
    .option('--host', 'check the machine instead: its kernel settings, interfaces and limits, with what to set')
    .option('--schema <file>', 'write the JSON Schema of the configuration, for editors, and check nothing')
    .addHelpText(
      'after',
      '\n--diff --json gives {"same","file","with","changes","restart"}; secrets are not shown, and compared by where they stand only.\n' +
        '\nExit codes: 0 the file is good, whether or not it differs; 1 no daemon answers, or with --exit-code a difference; ' +
        '2 a file is bad.\n' +
        '\nExamples:\n  sluice check -c /etc/sluice/sluice.yaml\n  sluice check -c lab.yaml --json\n' +
        '  sluice check --host -c /etc/sluice/sluice.yaml\n  sluice check -c /etc/sluice/sluice.yaml --diff\n  sluice check -c new.yaml --diff old.yaml --exit-code',
    )
    .action(async (options: CheckOptions) => {
      if (options.schema !== undefined) {
        await writeFile(options.schema, schemaText());
        return;
      }
      if (options.host === true) {
        // Loaded when it is needed: it asks the kernel by the addon.
        const { checkThisHost } = await import('./check-host.js');
        await checkThisHost(options.config, options.json === true);
        return;
      }
      if (options.config === undefined) throw new SluiceError('USAGE', 'check: expected -c FILE');
      if (options.exitCode === true && options.diff === undefined)
        throw new SluiceError('USAGE', 'check: --exit-code is for --diff');
      await check(options.config, options);
    });
}

interface CheckOptions {
  readonly host?: true;
  readonly config?: string;
  readonly json?: boolean;
  readonly diff?: string | true;
  readonly exitCode?: boolean;
  readonly schema?: string;
  readonly admin: string;
}

async function check(file: string, { json = false, diff, exitCode = false, admin }: CheckOptions): Promise<void> {
  try {
    const settings = await loadSettings(file);
    if (diff !== undefined) await checkDiff(file, settings, { other: diff, admin, json, exitCode });
    else if (json)
      printJson({ ok: true, file, channels: settings.channels.length, sites: settings.sites.length, problems: [] });
    else print(`${file}: ok, ${count(settings.channels, 'channel')}, ${count(settings.sites, 'site')}`);
  } catch (error) {
    if (!json || !(error instanceof SluiceError) || exitCodeOf(error) !== EXIT_USAGE) throw error;
    const bad = error.details['file'] ?? file;
    printJson({
      ok: false,
      file: bad,
      code: error.code,
      message: error.message,
      problems: error.details['problems'] ?? [],
    });
    process.exitCode = EXIT_USAGE;
  }
}

/** The text of config/schema/sluice.schema.json. */
export function schemaText(): string {
  return `${JSON.stringify(jsonSchemaOf(settingsSchema), null, 2)}\n`;
}

function count(list: readonly unknown[], noun: string): string {
  return `${list.length} ${noun}${list.length === 1 ? '' : 's'}`;
}
