/** The manual pages of the program and of every command, from what the commands say of themselves. */
import type { Argument, Command, Option } from 'commander';
import { bold, escaped, example, filled, italic, page, paragraph, tagged } from './roff.js';

/** What all pages have in common. */
export interface ManualOptions {
  /** YYYY-MM-DD */
  readonly date: string;
  readonly version: string;
}

const FILES: readonly (readonly [string, string])[] = [
  ['/etc/sluice/sluice.yaml', 'the configuration; see sluice.yaml(5)'],
  ['/run/sluice/admin.sock', 'where show, why and stop reach the running daemon'],
  ['/var/lib/sluice', 'what the daemon keeps'],
];

/** File name -> text: `sluice.1` and one page per command. */
export function commandPages(program: Command, options: ManualOptions): Map<string, string> {
  const commands = program.commands.map((command) => {
    const name = `${program.name()}-${command.name()}`;
    return [`${name}.1`, commandPage(program.name(), name, command, options)] as const;
  });
  return new Map([[`${program.name()}.1`, programPage(program, options)], ...commands]);
}

function programPage(program: Command, options: ManualOptions): string {
  const name = program.name();
  const { notes } = helpAfter(program);
  return page({ name, section: 1, ...options }, [
    ['NAME', paragraph('sluice - live-media edge daemon')],
    ['SYNOPSIS', [`${bold(name)} ${italic('COMMAND')} [${italic('OPTION')}...]`]],
    ['DESCRIPTION', paragraph(program.description())],
    ['COMMANDS', program.commands.flatMap((one) => tagged(`${bold(`${name}-${one.name()}`)}(1)`, one.summary()))],
    ['OPTIONS', optionLines(program)],
    ['EXIT STATUS', notes.flatMap((note) => paragraph(note.replace(/^Exit codes: /, '')))],
    ['FILES', FILES.flatMap(([file, text]) => tagged(italic(file), text))],
    ['SEE ALSO', filled(`${bold('sluice.yaml')}(5), ${bold('sysctl.d')}(5), ${bold('systemd.service')}(5)`)],
  ]);
}

function commandPage(program: string, name: string, command: Command, options: ManualOptions): string {
  const { notes, examples } = helpAfter(command);
  const usage = command.registeredArguments.map(argumentUsage).join(' ');
  return page({ name, section: 1, ...options }, [
    ['NAME', filled(`${escaped(name)} \\- ${escaped(command.summary())}`)],
    ['SYNOPSIS', filled(`${bold(`${program} ${command.name()}`)} [${italic('OPTION')}...] ${usage}`)],
    ['DESCRIPTION', [...paragraph(command.description()), ...notes.flatMap((note) => ['.PP', ...paragraph(note)])]],
    ['ARGUMENTS', command.registeredArguments.flatMap((one) => tagged(italic(one.name()), one.description))],
    ['OPTIONS', optionLines(command)],
    ['EXAMPLES', examples.length === 0 ? [] : example(examples)],
    ['SEE ALSO', filled(`${bold(program)}(1), ${bold('sluice.yaml')}(5)`)],
  ]);
}

function argumentUsage(argument: Argument): string {
  const name = `${italic(argument.name())}${argument.variadic ? '...' : ''}`;
  return argument.required ? name : `[${name}]`;
}

function optionLines(command: Command): string[] {
  return command
    .createHelp()
    .visibleOptions(command)
    .flatMap((option) => tagged(optionTag(option), optionText(option)));
}

/** `-c, --config <file>` with the names in bold and the value in italics. */
function optionTag(option: Option): string {
  return option.flags
    .split(/,? +/)
    .map((word) => (word.startsWith('-') ? bold(word) : italic(word.replaceAll(/[<>]/g, ''))))
    .join(' ')
    .replace('\\fR \\fB', '\\fR, \\fB');
}

function optionText({ description, argChoices, defaultValue, mandatory }: Option): string {
  const more = [
    ...(argChoices === undefined ? [] : [`one of ${argChoices.join(', ')}`]),
    ...(mandatory ? ['required'] : []),
    ...(typeof defaultValue === 'string' || typeof defaultValue === 'number' ? [`default: ${defaultValue}`] : []),
  ];
  return more.length === 0 ? description : `${description} (${more.join('; ')})`;
}

/** What the command adds after its help: free sentences, and examples under a heading of that name. */
function helpAfter(command: Command): { readonly notes: readonly string[]; readonly examples: readonly string[] } {
  let text = '';
  const before = command.configureOutput();
  command.configureOutput({ writeOut: (part) => (text += part) });
  command.outputHelp();
  command.configureOutput(before);
  const [notes = '', examples = ''] = text.slice(command.helpInformation().length).split(/^Examples:$/m);
  return { notes: linesOf(notes), examples: linesOf(examples) };
}

function linesOf(text: string): string[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
}
