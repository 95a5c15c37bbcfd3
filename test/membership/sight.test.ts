import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'tap';
import { z } from 'zod';
import { ROOT } from '../../daemon/cli/root.js';
import { has } from '../replay/tshark.js';

const RUN = join(ROOT, 'dist', 'test', 'lab', 'run.js');
const played = z.object({
  steps: z.array(z.object({ name: z.string(), ok: z.boolean(), figure: z.string() })),
  skipped: z.array(z.object({ name: z.string(), reason: z.string() })),
});

const mayUnshare = spawnSync('unshare', process.getuid?.() === 0 ? ['-n', 'true'] : ['-Urnm', 'true']).status === 0;
const missing = ['tshark', 'tcpdump', 'curl', 'ethtool', 'nft'].filter((tool) => !has(tool));
const skip = !mayUnshare
  ? 'network namespaces are not allowed here'
  : missing.length > 0
    ? `not installed: ${missing.join(', ')}`
    : false;

test('what an operator sees of a real router in namespaces', { skip, timeout: 280_000 }, async (t) => {
  // Reports of the runner's own hook would be written by every program of the lab.
  const { NODE_OPTIONS: _, ...env } = process.env;
  const run = spawnSync(process.execPath, [RUN, 'sight', '--json'], { encoding: 'utf8', timeout: 270_000, env });
  const { steps, skipped } = played.parse(JSON.parse(run.stdout.trimEnd().split('\n').at(-1) ?? '{}'));
  for (const { name, ok, figure } of steps) t.ok(ok, `${name}: ${figure}`);
  for (const { name, reason } of skipped) t.pass(name, { skip: reason });
  t.ok(steps.length > 0);
});
