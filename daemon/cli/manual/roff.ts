/** Text as the man macros of groff and mandoc take it (man(7)). */

const WIDTH = 78;

/** Text in which nothing is a request or an escape. */
export function escaped(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll(/\P{ASCII}/gu, (c) => `\\[u${(c.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}]`);
}

/** Something that is typed: hyphens are to be copied from the page as they are. */
export function literal(text: string): string {
  return escaped(text).replaceAll('-', '\\-');
}

/** `\fB…\fR`, for what is typed. */
export function bold(text: string): string {
  return `\\fB${literal(text)}\\fR`;
}

/** `\fI…\fR`, for what stands for something else. */
export function italic(text: string): string {
  return `\\fI${literal(text)}\\fR`;
}

/** Lines of a paragraph, none too long and none that looks like a request. The text is escaped already. */
export function filled(text: string): string[] {
  const lines: string[] = [];
  for (const word of text.split(/\s+/).filter((one) => one !== '')) {
    const last = lines.at(-1);
    if (last === undefined || last.length + word.length >= WIDTH) lines.push(/^[.']/.test(word) ? `\\&${word}` : word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines;
}

/** A paragraph of plain text. */
export function paragraph(text: string): string[] {
  return filled(escaped(text));
}

/** A tagged paragraph: `tag` is escaped already, `text` is plain. */
export function tagged(tag: string, text: string): string[] {
  return ['.TP', tag, ...(text === '' ? ['\\&'] : paragraph(text))];
}

/** Lines shown as they are. */
export function example(lines: readonly string[]): string[] {
  return ['.EX', ...lines.map((line) => (/^[.']/.test(line) ? `\\&${literal(line)}` : literal(line))), '.EE'];
}

export interface PageHead {
  readonly name: string;
  readonly section: number;
  /** YYYY-MM-DD */
  readonly date: string;
  readonly version: string;
}

/** The whole page. */
export function page(
  { name, section, date, version }: PageHead,
  sections: readonly (readonly [string, string[]])[],
): string {
  const head = `.TH ${literal(name.toUpperCase())} ${section} ${date} "sluice ${version}" "Sluice manual"`;
  const body = sections.filter(([, lines]) => lines.length > 0).flatMap(([title, lines]) => [`.SH ${title}`, ...lines]);
  // Flush left: a line that ends within a long name cannot be adjusted.
  return `${[head, '.ad l', ...body].join('\n')}\n`;
}
