import type { Row, Table } from '../base/registry.js';

/** Writes to standard output; a reader that went away (`| head`) is not an error. */
export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** One value as one line of JSON. */
export function printJson(value: unknown): void {
  print(JSON.stringify(value));
}

/** Makes standard output survive a reader that goes away. To be called once per process. */
export function tolerateClosedOutput(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
    });
  }
}

function cellText(value: Row[string] | undefined): string {
  if (value === null || value === undefined) return '-';
  if (typeof value === 'object') return value.join(',');
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  return String(value);
}

/**
 * A table as a router prints it: a heading, columns aligned, numbers to the right, nothing after the last word of a line.
 */
export function formatTable({ columns, rows }: Pick<Table, 'columns' | 'rows'>): string {
  const cells = rows.map((row) => columns.map((column) => cellText(row[column])));
  const widths = columns.map((column, at) => Math.max(column.length, ...cells.map((line) => line[at]?.length ?? 0)));
  const numeric = columns.map((column) => rows.length > 0 && rows.every((row) => typeof row[column] === 'number'));
  const line = (words: readonly string[]): string =>
    words
      .map((word, at) => (numeric[at] === true ? word.padStart(widths[at] ?? 0) : word.padEnd(widths[at] ?? 0)))
      .join('  ')
      .trimEnd();
  return [line(columns.map((column) => column.toUpperCase())), ...cells.map(line)].join('\n');
}
