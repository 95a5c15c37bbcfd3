import { type CommandWords, type OptionWords, type ProgramWords, spellings, type Value } from './words.js';

/** The completion of bash. */
export function bashCompletion({ name, options, commands }: ProgramWords): string {
  const first = [...commands.map((command) => command.name), ...options.flatMap(spellings)];
  return `# bash completion of ${name}; written by \`${name} completion bash\`
_${name}() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD - 1]} command= at
  for ((at = 1; at < COMP_CWORD; at++)); do
    [[ \${COMP_WORDS[at]} == -* ]] && continue
    command=\${COMP_WORDS[at]}
    break
  done
  COMPREPLY=()
  case $command in
    '')
      ${offer(first)}
      ;;
${commands.map(branch).join('\n')}
  esac
}
complete -F _${name} ${name}
`;
}

function branch({ name, options, argument }: CommandWords): string {
  const valued = options.filter(({ value }) => value.kind !== 'none');
  const previous =
    valued.length === 0
      ? []
      : ['      case $previous in', ...valued.map((one) => `        ${valueBranch(one)}`), '      esac'];
  const words = [...options.flatMap(spellings), ...(argument.kind === 'choices' ? argument.choices : [])];
  const files = argument.kind === 'file' ? [`      [[ $current == -* ]] || ${FILES}`] : [];
  return [`    ${name})`, ...previous, `      ${offer(words)}`, ...files, '      ;;'].join('\n');
}

/** readline's own completion of file names: it knows about spaces. */
const FILES = 'compopt -o default';

function valueBranch(option: OptionWords): string {
  return `${spellings(option).join(' | ')}) ${valueOffer(option.value)}return ;;`;
}

function valueOffer(value: Value): string {
  if (value.kind === 'file') return `${FILES}; `;
  return value.kind === 'choices' ? `${offer(value.choices)}; ` : '';
}

function offer(words: readonly string[]): string {
  return `mapfile -t COMPREPLY < <(compgen -W '${words.join(' ')}' -- "$current")`;
}
