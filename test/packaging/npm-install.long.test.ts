import { spawnSync } from 'node:child_process';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { VERSION } from '../../daemon/cli/root.js';
import { Program, temporaryFolder } from '../cli/lib/program.js';
import { buildPackages, cannotBuild, output } from './built.js';

/** Whether the registry of npm answers. */
function offline(): string | false {
  const asked = spawnSync('npm', ['ping'], { timeout: 30_000 });
  return asked.status === 0 || spawnSync('npm', ['view', 'zod', 'version'], { timeout: 30_000 }).status === 0
    ? false
    : 'the npm registry does not answer';
}

test('npm install in an empty folder, and a build from source', {
  skip: cannotBuild || offline(),
  timeout: 900_000,
}, async (t) => {
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, 'package.json'), '{ "private": true }');
  const { npm } = buildPackages(temporaryFolder(t));
  output('npm', ['install', '--no-audit', '--no-fund', npm], { cwd: folder, timeout: 300_000 });
  const sluice = [join(folder, 'node_modules', '.bin', 'sluice')];
  t.match(await new Program(t, ['--version'], sluice).ended, { code: 0, stdout: `${VERSION}\n` });
  const demo = new Program(t, ['demo'], sluice);
  await demo.said(/^ready \{/m, 60_000);
  demo.child.kill('SIGTERM');
  t.match(await demo.ended, { code: 0 });

  // As on a machine for which no addon came along.
  const installed = join(folder, 'node_modules', 'sluice');
  rmSync(join(installed, 'prebuilds'), { recursive: true });
  t.match(await new Program(t, ['check', '--host'], sluice).ended, { code: 1, stderr: /ADDON_MISSING/ });
  output('npm', ['rebuild'], { cwd: folder, timeout: 600_000 });
  t.ok(existsSync(join(installed, 'build', 'Release')));
  t.match(await new Program(t, ['check', '--host'], sluice).ended, { stdout: /UDP_SEGMENT/ });
});
