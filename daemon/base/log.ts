import { Writable } from 'node:stream';
import { type DestinationStream, destination, type Logger as PinoLogger, pino, stdSerializers } from 'pino';
import { z } from 'zod';
import { SluiceError } from './errors.js';

/** The log as every part sees it: `log.info({facts}, 'sentence')`, `log.child({component: 'hls'})`. */
export type Logger = PinoLogger;

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** `log:` of the configuration. */
export const logSchema = z.strictObject({
  level: z.enum(LOG_LEVELS).default('info').describe('Least severity that is written.'),
});
export type LogConfig = z.output<typeof logSchema>;

/** An error as a log field: the stable code and the details beside what pino writes for any error. */
function serializeError(error: unknown): unknown {
  if (error instanceof SluiceError) {
    return { code: error.code, message: error.message, details: error.details };
  }
  return error instanceof Error ? stdSerializers.err(error) : error;
}

/**
 * The daemon's log: JSON lines on stderr, or one readable line each when stderr is a terminal.
 * @param config least level
 * @param output where lines go; stderr unless given
 */
export function createLogger(config: LogConfig, output?: DestinationStream): Logger {
  const stream = output ?? (process.stderr.isTTY ? prettyStream(process.stderr) : destination({ fd: 2, sync: true }));
  return pino(
    {
      level: config.level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: serializeError, error: serializeError },
    },
    stream,
  );
}

const COLOURS: Readonly<Record<string, string>> = {
  warn: '\u001b[33m',
  error: '\u001b[31m',
  fatal: '\u001b[35m',
  debug: '\u001b[2m',
};

/** A JSON line of {@link createLogger} as `12:00:01.250 INFO  message key=value`; what is not such a line is kept as it is. */
export function prettyLine(line: string, colours: boolean): string {
  let record: unknown;
  try {
    record = JSON.parse(line);
  } catch {
    return line;
  }
  if (typeof record !== 'object' || record === null) return line;
  const { level = '', time = '', msg = '', err, ...facts } = record as Record<string, unknown>;
  const words = [`${String(time).slice(11, 23)} ${String(level).toUpperCase().padEnd(5)} ${String(msg)}`];
  for (const [key, value] of Object.entries(facts)) words.push(`${key}=${wordOf(value)}`);
  if (err !== undefined) words.push(`(${errorOf(err)})`);
  const text = words.join(' ');
  const colour = colours ? COLOURS[String(level)] : undefined;
  return colour === undefined ? text : `${colour}${text}\u001b[0m`;
}

function wordOf(value: unknown): string {
  return typeof value === 'string' && /^[^\s"]+$/.test(value) ? value : JSON.stringify(value);
}

function errorOf(error: unknown): string {
  if (typeof error !== 'object' || error === null) return String(error);
  const { code, message } = error as Record<string, unknown>;
  return typeof code === 'string' ? `${code}: ${String(message)}` : String(message);
}

/** Turns pino's JSON lines into readable ones; a line is never cut because pino writes whole lines. */
function prettyStream(terminal: NodeJS.WriteStream): DestinationStream {
  return new Writable({
    decodeStrings: false,
    write(chunk: string | Buffer, _encoding, done) {
      for (const line of chunk.toString().split('\n')) if (line !== '') terminal.write(`${prettyLine(line, true)}\n`);
      done();
    },
  });
}
