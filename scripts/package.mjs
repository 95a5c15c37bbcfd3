// npm run package [-- --revision N] [--fast]: builds what is out of date, then build/package/sluice_VERSION_ARCH.deb and the npm
// package sluice-VERSION.tgz. --fast compresses little: for tests.
import { parseArgs } from 'node:util';
import { buildDeb } from './lib/package/deb.mjs';
import { packNpm } from './lib/package/npm.mjs';
import { asCommand, build } from './lib/setup.mjs';

const { values } = parseArgs({
  options: { revision: { type: 'string', default: '1' }, fast: { type: 'boolean', default: false } },
});

if ((await asCommand(build)) && /^[1-9]\d*$/.test(values.revision)) {
  await asCommand(async () => {
    for (const file of [await packNpm(), await buildDeb({ revision: values.revision, fast: values.fast })]) {
      process.stdout.write(`${file}\n`);
    }
  });
} else if (process.exitCode === undefined) {
  process.stderr.write('--revision: expected a whole number from 1\n');
  process.exitCode = 2;
}
