import type { Argument, Command, Option } from 'commander';

/** What may stand after an option or as an argument. */
export type Value =
  | { readonly kind: 'none' }
  | { readonly kind: 'file' }
  | { readonly kind: 'choices'; readonly choices: readonly string[] }
  | { readonly kind: 'any' };

export interface OptionWords {
  readonly short: string | undefined;
  readonly long: string;
  readonly description: string;
  readonly value: Value;
}

export interface CommandWords {
  readonly name: string;
  readonly summary: string;
  readonly options: readonly OptionWords[];
  /** Of the first argument; all of them are of one kind. */
  readonly argument: Value;
}

/** The words of a program: what a shell completes. */
export interface ProgramWords {
  readonly name: string;
  readonly options: readonly OptionWords[];
  readonly commands: readonly CommandWords[];
}

export function wordsOf(program: Command): ProgramWords {
  const commands = program.commands.map((command) => ({
    name: command.name(),
    summary: command.summary(),
    options: optionsOf(command),
    argument: argumentValue(command.registeredArguments[0]),
  }));
  return { name: program.name(), options: optionsOf(program), commands };
}

/** With the help option, which commander keeps apart. */
function optionsOf(command: Command): OptionWords[] {
  return command.createHelp().visibleOptions(command).map(optionWords);
}

function optionWords(option: Option): OptionWords {
  const takes = option.required || option.optional;
  return {
    short: option.short,
    long: option.long ?? option.flags,
    description: option.description,
    value: takes ? valueKind(option.argChoices, option.flags) : { kind: 'none' },
  };
}

function argumentValue(argument: Argument | undefined): Value {
  return argument === undefined ? { kind: 'none' } : valueKind(argument.argChoices, `<${argument.name()}>`);
}

function valueKind(choices: readonly string[] | undefined, placeholder: string): Value {
  if (choices !== undefined) return { kind: 'choices', choices };
  return /<(file|folder)>/.test(placeholder) ? { kind: 'file' } : { kind: 'any' };
}

/** Every spelling of an option. */
export function spellings({ short, long }: OptionWords): string[] {
  return short === undefined ? [long] : [short, long];
}
