import { Argument, type Command } from 'commander';
import { print } from './output.js';
import { bashCompletion } from './shells/bash.js';
import { fishCompletion } from './shells/fish.js';
import { type ProgramWords, wordsOf } from './shells/words.js';
import { zshCompletion } from './shells/zsh.js';

export const SHELLS = {
  bash: bashCompletion,
  zsh: zshCompletion,
  fish: fishCompletion,
} as const satisfies Record<string, (words: ProgramWords) => string>;

/** `sluice completion SHELL`: what a shell needs to complete our commands; the packages have it installed already. */
export function register(program: Command): void {
  program
    .command('completion')
    .summary('print the completion for a shell')
    .description(
      'Prints a script by which the shell completes the commands and options. The Debian package installs it.',
    )
    .addArgument(new Argument('<shell>', 'the shell').choices(Object.keys(SHELLS)))
    .addHelpText(
      'after',
      '\nExamples:\n  source <(sluice completion bash)\n  sluice completion fish > ~/.config/fish/completions/sluice.fish',
    )
    .action((shell: keyof typeof SHELLS) => print(SHELLS[shell](wordsOf(program)).trimEnd()));
}
