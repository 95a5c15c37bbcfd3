import { type CommandWords, type OptionWords, type ProgramWords, spellings, type Value } from './words.js';

/** The completion of zsh: to be put into a file \`_sluice\` of fpath, or to be evaluated. */
export function zshCompletion({ name, options, commands }: ProgramWords): string {
  const described = commands.map((command) => quoted(`${command.name}:${command.summary}`));
  return `#compdef ${name}
# zsh completion of ${name}; written by \`${name} completion zsh\`
_${name}() {
  local curcontext="$curcontext" state line
  local -A opt_args
  local -a commands=(
    ${described.join('\n    ')}
  )
  _arguments -C \\
    ${[...options.map(optionSpec), quoted('1:command:->command'), quoted('*::argument:->argument')].join(' \\\n    ')}
  case $state in
    command)
      _describe -t commands '${name} command' commands
      ;;
    argument)
      case $words[1] in
${commands.map(branch).join('\n')}
      esac
      ;;
  esac
}
if [[ $funcstack[1] == _${name} ]]; then
  _${name} "$@"
else
  compdef _${name} ${name}
fi
`;
}

function branch({ name, options, argument }: CommandWords): string {
  const rest = argument.kind === 'none' ? [] : [quoted(`*:argument:${action(argument)}`)];
  const specs = [...options.map(optionSpec), ...rest].join(' \\\n            ');
  return `        ${name})\n          _arguments \\\n            ${specs}\n          ;;`;
}

/** \`'(-c --config)'{-c,--config}'[description]:file:_files'\` */
function optionSpec(option: OptionWords): string {
  const names = spellings(option);
  const description = `[${option.description.replaceAll(/[[\]\\:]/g, '\\$&')}]`;
  const value = option.value.kind === 'none' ? '' : `:value:${action(option.value)}`;
  if (names.length === 1) return quoted(`${names[0]}${description}${value}`);
  return `${quoted(`(${names.join(' ')})`)}{${names.join(',')}}${quoted(description + value)}`;
}

function action(value: Value): string {
  if (value.kind === 'file') return '_files';
  return value.kind === 'choices' ? `(${value.choices.join(' ')})` : ' ';
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
