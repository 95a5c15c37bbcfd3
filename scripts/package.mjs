// npm run package [-- --revision N] [--fast] [--output FOLDER]: builds what is out of date, then sluice_VERSION_ARCH.deb and the npm
// package sluice-VERSION.tgz in build/package, or in FOLDER. --fast compresses little: for tests.
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { buildDeb } from './lib/package/deb.mjs';
import { packNpm } from './lib/package/npm.mjs';
import { asCommand, build } from './lib/setup.mjs';

const { values } = parseArgs({
  options: {
    revision: { type: 'string', default: '1' },
    fast: { type: 'boolean', default: false },
    output: { type: 'string', default: 'build/package' },
  },
});

if ((await asCommand(build)) && /^[1-9]\d*$/.test(values.revision)) {
  await asCommand(async () => {
    const output = resolve(values.output);
    const { revision, fast } = values;
    for (const file of [await packNpm(output), await buildDeb({ revision, fast, output })]) {
      process.stdout.write(`${file}\n`);
    }
  });
} else if (process.exitCode === undefined) {
  process.stderr.write('--revision: expected a whole number from 1\n');
  process.exitCode = 2;
}
