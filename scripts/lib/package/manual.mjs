// Manual pages and completion, from the compiled commands.
import { ROOT } from '../run.mjs';
import { MANIFEST } from './about.mjs';

const compiled = (path) => import(`${ROOT}/dist/daemon/cli/${path}.js`);

/**
 * @param {number} epoch seconds since 1970, for the date of the pages
 * @returns {Promise<Map<string, string>>} path below / -> text
 */
export async function manualFiles(epoch) {
  const { createProgram } = await compiled('program');
  const { commandPages } = await compiled('manual/command-pages');
  const { configPage } = await compiled('manual/config-page');
  const { SHELLS } = await compiled('completion');
  const { wordsOf } = await compiled('shells/words');
  const options = { version: MANIFEST.version, date: new Date(epoch * 1000).toISOString().slice(0, 10) };
  const program = createProgram();
  const words = wordsOf(program);
  return new Map([
    ...[...commandPages(program, options)].map(([name, text]) => [`usr/share/man/man1/${name}`, text]),
    ['usr/share/man/man5/sluice.yaml.5', configPage(options)],
    ['usr/share/bash-completion/completions/sluice', SHELLS.bash(words)],
    ['usr/share/zsh/vendor-completions/_sluice', SHELLS.zsh(words)],
    ['usr/share/fish/vendor_completions.d/sluice.fish', SHELLS.fish(words)],
  ]);
}
