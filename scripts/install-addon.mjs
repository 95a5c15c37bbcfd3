// What npm runs after it has unpacked the package: builds the addon from source where the one that came along does not load
// (another processor, another C library). In a checkout `npm run build` does that, with its own set-up: nothing to do here.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

// Lock files are never part of a package.
if (!existsSync(fileURLToPath(new URL('../package-lock.json', import.meta.url)))) {
  const program = createRequire(import.meta.url).resolve('node-gyp-build/bin.js');
  const { status } = spawnSync(process.execPath, [program], { stdio: 'inherit' });
  process.exitCode = status ?? 1;
}
