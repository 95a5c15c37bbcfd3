/** Runs the compiled `sluice` as people do. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { ROOT } from '../../../daemon/cli/root.js';

const SLUICE = join(ROOT, 'dist', 'daemon', 'cli', 'sluice.js');

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A running `sluice`; killed at the end of the test when it still runs. */
export class Program {
  stdout = '';
  stderr = '';
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;

  constructor(t: Test, args: readonly string[], command: readonly string[] = [process.execPath, SLUICE]) {
    const [file = '', ...before] = command;
    this.child = spawn(file, [...before, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    this.child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text;
    });
    this.child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
    });
    this.ended = new Promise((resolve, reject) => {
      this.child.on('error', reject);
      this.child.on('close', (code, signal) => resolve({ code, signal, stdout: this.stdout, stderr: this.stderr }));
    });
    t.teardown(() => void this.child.kill('SIGKILL'));
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  /** Waits for a line of its output; rejects with all it said when it ends before, or after the limit. */
  async said(pattern: RegExp, limitMs: number): Promise<RegExpExecArray> {
    const deadline = Date.now() + limitMs;
    for (;;) {
      const match = pattern.exec(this.stdout) ?? pattern.exec(this.stderr);
      if (match !== null) return match;
      if (this.child.exitCode !== null || Date.now() > deadline) {
        throw new Error(`${String(pattern)} did not come:\n${this.stdout}\n${this.stderr}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

/** Runs `sluice` to its end. */
export function sluice(t: Test, ...args: string[]): Promise<Ended> {
  return new Program(t, args).ended;
}

/** A folder that is gone after the test. */
export function temporaryFolder(t: Test): string {
  const path = mkdtempSync(join(tmpdir(), 'sluice-cli-'));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
}
