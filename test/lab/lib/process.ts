import { type SpawnOptions, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { poll, sleepUntil } from './poll.js';

/** How a program ended: by code or by signal. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** The end of a short program with all that it wrote. */
export interface ExecResult extends Exit {
  readonly stdout: string;
  readonly stderr: string;
}

export interface ExecOptions {
  /** Bytes for standard input. */
  readonly input?: string | Uint8Array;
  /** After this time the program is killed, 20,000 ms by default. */
  readonly timeoutMs?: number;
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** Thrown by {@link must} when a program could not be started or did not end with 0. */
export class CommandFailed extends Error {
  override readonly name = 'CommandFailed';
  constructor(
    readonly command: readonly string[],
    readonly result: ExecResult,
  ) {
    const why = result.signal === null ? `exit code ${result.code}` : `signal ${result.signal}`;
    super(`${command.join(' ')}: ${why}: ${(result.stderr || result.stdout).trim().slice(-1_000)}`);
  }
}

function environment(extra: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
  // Tools live in /usr/sbin, which an ordinary user's PATH may lack; their output must not depend on the language.
  const path = `${process.env['PATH'] ?? ''}:/usr/local/sbin:/usr/sbin:/sbin`;
  return { ...process.env, PATH: path, LC_ALL: 'C', ...extra };
}

/** Runs a short program to its end. Never rejects for the program's own failure; see {@link must}. */
export async function exec(command: readonly string[], options: ExecOptions = {}): Promise<ExecResult> {
  const [file, ...args] = command;
  if (file === undefined) throw new TypeError('exec: an empty command');
  return new Promise((resolve) => {
    const child = spawn(file, args, {
      cwd: options.cwd,
      env: environment(options.env),
      timeout: options.timeoutMs ?? 20_000,
      killSignal: 'SIGKILL',
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout.on('data', (piece: Buffer) => out.push(piece));
    child.stderr.on('data', (piece: Buffer) => err.push(piece));
    child.stdin.on('error', () => undefined); // it may end without reading
    child.stdin.end(options.input ?? '');
    const text = (pieces: Buffer[]) => Buffer.concat(pieces).toString();
    child.on('error', (error) => resolve({ code: 127, signal: null, stdout: text(out), stderr: error.message }));
    child.on('close', (code, signal) => resolve({ code, signal, stdout: text(out), stderr: text(err) }));
  });
}

/** As {@link exec}; rejects with {@link CommandFailed} unless the exit code is 0. */
export async function must(command: readonly string[], options: ExecOptions = {}): Promise<ExecResult> {
  const result = await exec(command, options);
  if (result.code !== 0) throw new CommandFailed(command, result);
  return result;
}

/** Whether a process of this id exists (a zombie does not count). */
export function isAlive(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3) !== 'Z';
  } catch {
    return false;
  }
}

/** When a process was started, in clock ticks since boot: with the pid it names one process for ever. Null when gone. */
export function startTicks(pid: number): number | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]);
  } catch {
    return null;
  }
}

/** Sends a signal; a process that is gone already is no error. */
export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** A program that runs while the lab goes on; its output goes to two log files. Always ended by its pid. */
export class Child {
  readonly pid: number;
  readonly exited: Promise<Exit>;
  #exit: Exit | undefined;

  private constructor(
    readonly name: string,
    readonly stdoutPath: string,
    readonly stderrPath: string,
    process_: ReturnType<typeof spawn>,
    pid: number,
  ) {
    this.pid = pid;
    this.exited = new Promise((resolve) => {
      process_.on('exit', (code, by) => {
        this.#exit = { code, signal: by };
        resolve(this.#exit);
      });
    });
  }

  /** Starts a program in a process group of its own, so that a terminal's Ctrl-C reaches only the lab. */
  static async start(
    name: string,
    command: readonly string[],
    logPrefix: string,
    options: Pick<ExecOptions, 'cwd' | 'env'> = {},
  ): Promise<Child> {
    const [file, ...args] = command;
    if (file === undefined) throw new TypeError('spawn: an empty command');
    const stdoutPath = `${logPrefix}.out`;
    const stderrPath = `${logPrefix}.err`;
    const out = openSync(stdoutPath, 'w');
    const err = openSync(stderrPath, 'w');
    const settings: SpawnOptions = {
      cwd: options.cwd,
      env: environment(options.env),
      detached: true,
      stdio: ['ignore', out, err],
    };
    const process_ = spawn(file, args, settings);
    closeSync(out);
    closeSync(err);
    await new Promise<void>((resolve, reject) => {
      process_.once('spawn', resolve);
      process_.once('error', reject);
    });
    return new Child(name, stdoutPath, stderrPath, process_, process_.pid as number);
  }

  /** How it ended, or undefined while it runs. */
  get exit(): Exit | undefined {
    return this.#exit;
  }

  get running(): boolean {
    return this.#exit === undefined;
  }

  signal(name: NodeJS.Signals): void {
    if (this.running) signal(this.pid, name);
  }

  /** Asks it to end, kills it after the grace, and tells how it ended. */
  async stop(name: NodeJS.Signals = 'SIGTERM', graceMs = 5_000): Promise<Exit> {
    this.signal(name);
    const ended = await Promise.race([this.exited, sleepUntil(graceMs)]);
    if (ended !== undefined) return ended;
    this.signal('SIGKILL');
    return this.exited;
  }

  stdout(): string {
    return readFileSync(this.stdoutPath, 'utf8');
  }

  stderr(): string {
    return readFileSync(this.stderrPath, 'utf8');
  }

  /** Complete lines of standard output so far. */
  lines(): string[] {
    return this.stdout().split('\n').slice(0, -1);
  }

  /** Waits for a line of standard output (or of standard error); rejects when the program ends before. */
  async waitForLine(
    pattern: RegExp,
    timeoutMs: number,
    from: 'stdout' | 'stderr' = 'stdout',
  ): Promise<RegExpExecArray> {
    return poll(
      () => {
        const found = pattern.exec(from === 'stdout' ? this.stdout() : this.stderr());
        if (found !== null) return found;
        if (!this.running) throw new Error(`${this.name} ended (${describeExit(this.#exit)}): ${this.tail()}`);
        return undefined;
      },
      timeoutMs,
      `${this.name} to print ${String(pattern)}`,
    );
  }

  /** The end of what it wrote, for messages. */
  tail(): string {
    return `${this.stdout().slice(-500)}${this.stderr().slice(-1_500)}`.trim();
  }
}

/** An exit as words. */
export function describeExit(exit: Exit | undefined): string {
  if (exit === undefined) return 'still running';
  if (exit.signal !== null) return `signal ${exit.signal} (${constants.signals[exit.signal]})`;
  return `exit code ${exit.code}`;
}
