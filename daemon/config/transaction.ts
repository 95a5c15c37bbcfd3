import type { Logger } from '../base/log.js';
import type { Step } from '../base/reloadable.js';

/** Prepares every step; when one throws, undoes those before it in the opposite order and throws the same. */
export async function prepareAll(steps: readonly Step[], log: Logger): Promise<void> {
  const prepared: Step[] = [];
  try {
    for (const step of steps) {
      await step.prepare?.();
      prepared.unshift(step);
    }
  } catch (error) {
    for (const step of prepared) await carefully(step, 'undo', log);
    throw error;
  }
}

/** Commits every step. */
export async function commitAll(steps: readonly Step[], log: Logger): Promise<void> {
  for (const step of steps) await carefully(step, 'commit', log);
}

/** There is no way back here: one step's mistake must not keep the others from being done. */
async function carefully(step: Step, verb: 'undo' | 'commit', log: Logger): Promise<void> {
  try {
    await step[verb]?.();
  } catch (error) {
    log.error({ err: error, step: step.says, verb }, 'a step of the reload failed where it must not');
  }
}
