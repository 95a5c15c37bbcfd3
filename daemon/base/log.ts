import { Writable } from 'node:stream';
import { type DestinationStream, destination, type Logger as PinoLogger, pino, stdSerializers } from 'pino';
import { z } from 'zod';
import { SluiceError } from './errors.js';
import type { Reloadable } from './reloadable.js';

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
  const family = new Family();
  const log = pino(
    {
      level: config.level,
      onChild: (child) => family.add(child),
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: serializeError, error: serializeError },
    },
    stream,
  );
  families.set(log, family);
  return log;
}

/** pino copies the level into every child: to change it later, they must be known. Children come and go with requests. */
class Family {
  readonly #children = new Set<WeakRef<Logger>>();
  readonly #gone = new FinalizationRegistry<WeakRef<Logger>>((child) => this.#children.delete(child));

  add(child: Logger): void {
    const held = new WeakRef(child);
    this.#children.add(held);
    this.#gone.register(child, held);
  }

  setLevel(level: LogLevel): void {
    for (const child of this.#children) {
      const alive = child.deref();
      if (alive !== undefined) alive.level = level;
    }
  }
}

const families = new WeakMap<Logger, Family>();

/** Changes the least severity of a log of {@link createLogger}, and of every child that it has. */
export function setLogLevel(log: Logger, level: LogLevel): void {
  log.level = level;
  families.get(log)?.setLevel(level);
}

/**
 * `log:` as a part that can be reloaded.
 * @param fixed the level was set by the command line, which goes over the file
 */
export function reloadableLog(log: Logger, fixed: boolean): Reloadable<{ readonly log: LogConfig }> {
  return {
    covers: ['log.level'],
    plan({ log: old }, { log: next }) {
      if (old.level === next.level) return { steps: [] };
      if (fixed) return { steps: [{ says: `log: the level stays ${log.level}, as the command line says` }] };
      return { steps: [{ says: `log: level ${next.level}`, commit: () => setLogLevel(log, next.level) }] };
    },
  };
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
