// tap puts its test class together from plugins, inside node_modules: again after every installation.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { progress, runStep } from './child.mjs';
import { ROOT } from './run.mjs';
import { fingerprint, isStamped, stamp, unstamp } from './stamp.mjs';

const TAP_STAMP = 'tap';

/** Builds tap for the plugins that .taprc names. */
export async function ensureTap() {
  const current = fingerprint(['package-lock.json', '.taprc']);
  const built = join(ROOT, 'node_modules', '@tapjs', 'test', 'test-built');
  if (isStamped(TAP_STAMP, current) && existsSync(built)) return;
  progress('building tap for its plugins');
  unstamp(TAP_STAMP);
  await runStep('tap build', join(ROOT, 'node_modules', '.bin', 'tap'), ['build'], { quiet: true });
  stamp(TAP_STAMP, current);
}
