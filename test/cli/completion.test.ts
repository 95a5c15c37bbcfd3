import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Test, test } from 'tap';
import { SHELLS } from '../../daemon/cli/completion.js';
import { createProgram } from '../../daemon/cli/program.js';
import { wordsOf } from '../../daemon/cli/shells/words.js';
import { sluice, temporaryFolder } from './lib/program.js';

const WORDS = wordsOf(createProgram());

function without(shell: string): string | false {
  return spawnSync(shell, ['-c', 'true']).status === 0 ? false : `${shell} is not installed`;
}

function script(t: Test, shell: keyof typeof SHELLS): string {
  const file = join(temporaryFolder(t), 'completion');
  writeFileSync(file, SHELLS[shell](WORDS));
  return file;
}

/** What bash offers for a line, of which the last word is being typed. */
function bashOffers(file: string, words: readonly string[]): string[] {
  const program = 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _sluice; declare -p COMPREPLY';
  const ran = spawnSync('bash', ['-c', program, 'bash', file, ...words], { encoding: 'utf8' });
  return [...ran.stdout.matchAll(/\[\d+\]="([^"]*)"/g)].map((match) => match[1] ?? '');
}

test('bash offers the commands, their options and the values of these', { skip: without('bash') }, async (t) => {
  const file = script(t, 'bash');
  const commands = WORDS.commands.map(({ name }) => name);
  t.same(
    bashOffers(file, ['sluice', '']).filter((word) => !word.startsWith('-')),
    commands,
  );
  t.same(bashOffers(file, ['sluice', 'rec']), ['receive']);
  for (const { name, options } of WORDS.commands) {
    const offered = bashOffers(file, ['sluice', name, '--']);
    t.same(
      offered,
      options.map(({ long }) => long),
      name,
    );
  }
  t.same(bashOffers(file, ['sluice', 'run', '--log-level', 'f']), ['fatal']);
  t.same(bashOffers(file, ['sluice', 'completion', 'z']), ['zsh']);
});

test('fish offers the same', { skip: without('fish') }, async (t) => {
  const file = script(t, 'fish');
  const offers = (line: string): string[] => {
    const ran = spawnSync('fish', ['-c', `source ${file}; complete -C ${JSON.stringify(line)}`], {
      encoding: 'utf8',
      env: { ...process.env, HOME: join(file, '..') },
    });
    t.equal(ran.stderr, '');
    return ran.stdout.split('\n').flatMap((text) => text.split('\t')[0] || []);
  };
  t.same(offers('sluice ').toSorted(), WORDS.commands.map(({ name }) => name).toSorted());
  for (const { name, options } of WORDS.commands) {
    const longs = offers(`sluice ${name} --`);
    t.ok(
      options.every(({ long }) => longs.includes(long)),
      name,
    );
  }
  t.same(offers('sluice run --log-level f'), ['fatal']);
});

test('zsh takes the script', { skip: without('zsh') }, async (t) => {
  const file = script(t, 'zsh');
  // compinit defines compdef; _arguments itself runs only at a prompt.
  const program = `autoload -Uz compinit && compinit -D -u && source ${file} && print $_comps[sluice]`;
  const ran = spawnSync('zsh', ['-f', '-c', program], { encoding: 'utf8' });
  t.match(ran, { status: 0, stdout: '_sluice\n', stderr: '' });
  for (const { name, options } of WORDS.commands) {
    const branch = new RegExp(`^ {8}${name}\\)\\n([\\s\\S]*?);;`, 'm').exec(SHELLS.zsh(WORDS))?.[1] ?? '';
    t.ok(
      options.every(({ long }) => branch.includes(long)),
      name,
    );
  }
});

test('sluice completion prints them', { timeout: 60_000 }, async (t) => {
  t.match(await sluice(t, 'completion', 'bash'), { code: 0, stdout: SHELLS.bash(WORDS), stderr: '' });
  t.match(await sluice(t, 'completion', 'cmd'), { code: 2, stdout: '' });
});
