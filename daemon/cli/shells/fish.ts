import type { CommandWords, OptionWords, ProgramWords, Value } from './words.js';

/** The completion of fish. */
export function fishCompletion({ name, options, commands }: ProgramWords): string {
  const begin = `complete -c ${name}`;
  return [
    `# fish completion of ${name}; written by \`${name} completion fish\``,
    `${begin} -f`,
    ...options.map((option) => `${begin} -n __fish_use_subcommand ${optionPart(option)}`),
    ...commands.flatMap((command) => commandLines(begin, command)),
    '',
  ].join('\n');
}

function commandLines(begin: string, { name, summary, options, argument }: CommandWords): string[] {
  const inside = `${begin} -n '__fish_seen_subcommand_from ${name}'`;
  return [
    `${begin} -n __fish_use_subcommand -a ${name} -d ${quoted(summary)}`,
    ...options.map((option) => `${inside} ${optionPart(option)}`),
    ...(argument.kind === 'file' ? [`${inside} -F`] : []),
    ...(argument.kind === 'choices' ? [`${inside} -a ${quoted(argument.choices.join(' '))}`] : []),
  ];
}

function optionPart({ short, long, description, value }: OptionWords): string {
  const names = [...(short === undefined ? [] : [`-s ${short.slice(1)}`]), `-l ${long.slice(2)}`];
  return `${names.join(' ')}${valuePart(value)} -d ${quoted(description)}`;
}

function valuePart(value: Value): string {
  switch (value.kind) {
    case 'none':
      return '';
    case 'file':
      return ' -r -F';
    case 'choices':
      return ` -x -a ${quoted(value.choices.join(' '))}`;
    case 'any':
      return ' -x';
  }
}

function quoted(text: string): string {
  return `'${text.replaceAll(/[\\']/g, '\\$&')}'`;
}
