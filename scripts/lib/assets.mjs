// The status page: its TypeScript for browsers, its HTML and CSS, and the two libraries that it uses, all into dist/.
import { copyFileSync, mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { runStep } from './child.mjs';
import { ROOT } from './run.mjs';
import { filesBelow, STATE } from './stamp.mjs';

const PAGE = 'daemon/admin/page';
/** Where tsconfig.page.json compiles to: the modules whose types the page uses come out there, too, and stay there. */
const COMPILED = join(STATE, 'page');
const require = createRequire(import.meta.url);

/** Files of packages, and the names under which the page imports them. */
const VENDOR = [
  ['hls.js/package.json', 'dist/hls.min.mjs', 'hls.js'],
  ['hls.js/package.json', 'dist/hls.worker.js', 'hls.worker.js'],
  ['uplot/package.json', 'dist/uPlot.esm.js', 'uplot.js'],
  ['uplot/package.json', 'dist/uPlot.min.css', 'uplot.css'],
];

/** What decides whether {@link copyAssets} has to run again, besides the installed packages. */
export function assetSources() {
  return [...filesBelow([PAGE], /\.(ts|html|css|svg)$/), 'tsconfig.page.json'];
}

/** Compiles and copies the status page next to the daemon in dist/. To be called after the daemon was compiled. */
export async function copyAssets() {
  const compiler = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
  await runStep('tsc (status page)', process.execPath, [compiler, '-p', 'tsconfig.page.json'], { quiet: true });
  for (const file of filesBelow([PAGE], /(?<!\.d)\.ts$/)) {
    const script = file.replace(/\.ts$/, '.js');
    copy(join(COMPILED, script), script);
  }
  for (const file of filesBelow([PAGE], /\.(html|css|svg)$/)) copy(join(ROOT, file), file);
  for (const [manifest, file, name] of VENDOR)
    copy(join(dirname(require.resolve(manifest)), file), join(PAGE, 'vendor', name));
}

function copy(from, to) {
  const target = join(ROOT, 'dist', to);
  mkdirSync(dirname(target), { recursive: true });
  copyFileSync(from, target);
}
