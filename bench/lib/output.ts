import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { join } from 'node:path';
import { ROOT } from '../../test/lab/lib/compile.js';
import type { Bench, BenchLine } from './bench.js';
import { shorten } from './interleave.js';

const COLUMNS = ['case', 'unit', 'ours', 'bare', 'ours/bare', 'peer', 'ours/peer', 'runs'] as const;

function cells(line: BenchLine): string[] {
  const peer = line.peer_name === null ? '-' : `${line.peer_name} ${shorten(line.peer)}`;
  const figures = [
    shorten(line.ours),
    shorten(line.limit),
    shorten(line.ratio_to_limit),
    peer,
    shorten(line.ratio_to_peer),
  ];
  return [line.case, line.unit, ...figures, String(line.runs)];
}

/** For people: columns, ratios turned so that greater is better. */
export function table(lines: readonly BenchLine[]): string {
  const rows = [[...COLUMNS], ...lines.map(cells)];
  const widths = COLUMNS.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** Every note once, with the cases that it belongs to unless that is all of them. */
function noteList(lines: readonly BenchLine[]): string[] {
  const cases = new Map<string, Set<string>>();
  for (const line of lines) {
    for (const note of line.notes.split('; ').filter((text) => text !== '')) {
      cases.set(note, (cases.get(note) ?? new Set()).add(line.case));
    }
  }
  const all = new Set(lines.map((line) => line.case)).size;
  return [...cases].map(([note, of]) => (of.size === all ? `- ${note}` : `- ${note} (${mainCases(of).join('; ')})`));
}

/** Without those that are further figures of another one: `200 viewers, first byte p50` beside `200 viewers`. */
function mainCases(all: ReadonlySet<string>): string[] {
  return [...all].filter((one) => ![...all].some((other) => one.startsWith(`${other}, `)));
}

/** One line per case and peer. */
function markdownTable(lines: readonly BenchLine[]): string {
  const row = (values: readonly string[]): string => `| ${values.join(' | ')} |`;
  return [row(COLUMNS), row(COLUMNS.map(() => '---')), ...lines.map((line) => row(cells(line)))].join('\n');
}

/** The same as Markdown, with where and when, and the notes. */
export function markdown(lines: readonly BenchLine[], page = markdownTable): string {
  const machine = `${cpus().length} x ${cpus()[0]?.model ?? 'unknown'}, Linux ${release()}, Node.js ${process.version}`;
  return [
    `Measured on ${new Date().toISOString().slice(0, 10)} on ${machine}.`,
    '',
    page(lines),
    '',
    ...noteList(lines),
  ].join('\n');
}

const PAGE = join(ROOT, 'docs', 'benches.md');

/** Replaces the bench's block in docs/benches.md. */
export function writePage({ name, page: shown }: Bench, lines: readonly BenchLine[]): void {
  const [begin, end] = [`<!-- ${name}: begin (npm run bench -- ${name} --write) -->`, `<!-- ${name}: end -->`];
  const block = `${begin}\n${markdown(lines, shown)}\n${end}`;
  const page = existsSync(PAGE) ? readFileSync(PAGE, 'utf8') : '# Benches\n';
  const [from, to] = [page.indexOf(begin), page.indexOf(end)];
  const written =
    from < 0 || to < from
      ? `${page.trimEnd()}\n\n## ${name}\n\n${block}\n`
      : page.slice(0, from) + block + page.slice(to + end.length);
  writeFileSync(PAGE, written);
}
