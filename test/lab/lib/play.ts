import { readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Lab } from './lab.js';
import { Report } from './report.js';
import type { Scenario } from './scenario.js';

/** Calls `gone` once when the process that started this one is no more. */
function watchParent(gone: () => void): () => void {
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid !== parent) gone();
  }, 300);
  timer.unref();
  return () => clearInterval(timer);
}

/** Resolves with the reason when the run shall end early. */
function interruption(controller: AbortController): { readonly reason: Promise<string>; dispose(): void } {
  let dispose = (): void => undefined;
  const reason = new Promise<string>((resolve) => {
    const end = (why: string) => {
      controller.abort(new Error(why));
      resolve(why);
    };
    const names = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
    const handlers = names.map((name) => [name, () => end(`interrupted by ${name}`)] as const);
    for (const [name, handler] of handlers) process.on(name, handler);
    const unwatch = watchParent(() => end('interrupted: the parent process ended'));
    dispose = () => {
      for (const [name, handler] of handlers) process.off(name, handler);
      unwatch();
    };
  });
  return { reason, dispose: () => dispose() };
}

/** Removes what earlier failures of this scenario left for reading. */
function forget(scenario: string): void {
  const old = new RegExp(`^sluice-lab-${scenario}-\\d+$`);
  for (const name of readdirSync(tmpdir()).filter((one) => old.test(one))) {
    try {
      rmSync(join(tmpdir(), name), { recursive: true, force: true });
    } catch {
      // Another user's: it is not ours to remove.
    }
  }
}

/** Logs are kept for reading when something failed, not when somebody stopped the run. */
function keeps(report: Report, controller: AbortController): boolean {
  return !report.ok && !controller.signal.aborted;
}

/**
 * Plays a scenario in a lab of its own and cleans up however it ends.
 *
 * @param say told each line for people
 */
export async function play(scenario: Scenario, say: (line: string) => void): Promise<Report> {
  const report = new Report(scenario.name, say);
  const controller = new AbortController();
  const interrupted = interruption(controller);
  const lab = await Lab.open();
  const kept = join(tmpdir(), `sluice-lab-${scenario.name}-${process.pid}`);
  forget(scenario.name);
  try {
    const early = interrupted.reason.then((reason) => {
      throw new Error(reason);
    });
    await Promise.race([scenario.play(lab, report, controller.signal), early]);
  } catch (error) {
    await report.step('scenario', () => Promise.reject(error));
  } finally {
    await lab.close(keeps(report, controller) ? kept : undefined);
    interrupted.dispose();
  }
  if (keeps(report, controller)) say(`logs and captures: ${kept}`);
  return report;
}
