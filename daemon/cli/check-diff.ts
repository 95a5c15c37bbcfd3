import { configAnswer } from '../admin/model.js';
import { isCovered } from '../base/reloadable.js';
import { type Change, changeRows, diff } from '../config/diff.js';
import { printable } from '../config/printable.js';
import { loadSettings, type Settings } from '../settings.js';
import { askDaemon } from './admin-client.js';
import { EXIT_FAILED } from './exit.js';
import { formatTable, print, printJson } from './output.js';

/** What a file is compared with. */
interface Compared {
  /** The file or the daemon, for people. */
  readonly name: string;
  /** As checked; of a daemon as it may be shown, since it gives nothing else. */
  readonly config: unknown;
  /** Keys that a reload can change; null when the other is a file. */
  readonly reloadable: readonly string[] | null;
}

export interface DiffOptions {
  /** Another file, or true for the running daemon. */
  readonly other: string | true;
  readonly admin: string;
  readonly json: boolean;
  /** Whether differences make the exit code 1. */
  readonly exitCode: boolean;
}

/** `sluice check -c FILE --diff [OTHER]`: what the good file says otherwise than the running daemon, or another file. */
export async function checkDiff(file: string, settings: Settings, options: DiffOptions): Promise<void> {
  const compared = await configOf(options);
  const changes = diff(compared.config, compared.reloadable === null ? settings : printable(settings));
  if (options.json) printJson(diffAnswer(file, compared, changes));
  else print(diffText(file, compared, changes));
  if (options.exitCode && changes.length > 0) process.exitCode = EXIT_FAILED;
}

async function configOf({ other, admin }: DiffOptions): Promise<Compared> {
  if (other !== true) return { name: other, config: await loadSettings(other), reloadable: null };
  const { config, reloadable } = await askDaemon(admin, '/v1/config', configAnswer);
  return { name: `the daemon at ${admin}`, config, reloadable };
}

function restartKeys({ reloadable }: Compared, changes: readonly Change[]): string[] | null {
  return reloadable === null ? null : changes.map(({ key }) => key).filter((key) => !isCovered(key, reloadable));
}

function diffAnswer(file: string, compared: Compared, changes: readonly Change[]): object {
  return { same: changes.length === 0, file, with: compared.name, changes, restart: restartKeys(compared, changes) };
}

function diffText(file: string, compared: Compared, changes: readonly Change[]): string {
  if (changes.length === 0) return `${file}: the same as ${compared.name}`;
  const restart = restartKeys(compared, changes) ?? [];
  const lines = [formatTable(changeRows(changes))];
  if (restart.length > 0) lines.push('', `a reload is refused, a restart is needed for: ${restart.join(', ')}`);
  return lines.join('\n');
}
