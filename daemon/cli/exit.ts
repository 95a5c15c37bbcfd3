import { CommanderError } from 'commander';
import { describeError, type ErrorCode, SluiceError } from '../base/errors.js';

/** Done; SIGINT and SIGTERM included. */
export const EXIT_DONE = 0;
/** Failed at run time. */
export const EXIT_FAILED = 1;
/** Wrong use or configuration. */
export const EXIT_USAGE = 2;

const USAGE_CODES: readonly ErrorCode[] = ['USAGE', 'CONFIG_INVALID', 'CONFIG_UNREADABLE', 'CPU_UNKNOWN'];

/** The exit code for what a command threw. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT_DONE : EXIT_USAGE;
  return error instanceof SluiceError && USAGE_CODES.includes(error.code) ? EXIT_USAGE : EXIT_FAILED;
}

/** What to tell on standard error; empty when commander has already told it. */
export function explain(error: unknown): string {
  if (error instanceof CommanderError) return '';
  // Each line of these stands by itself: editors jump to FILE:LINE:COLUMN.
  if (error instanceof SluiceError && error.code === 'CONFIG_INVALID') return error.message;
  return `sluice: ${describeError(error)}`;
}
