/** Damaged documents: a seed, and what was done to it. fast-check draws both and shrinks the list of damages. */
import * as fc from 'fast-check';

/**
 * One damage. `at` and `to` are places as parts of the document's length (0 to 1), so that a shrunk document keeps them
 * meaningful. Texts are byte strings (latin1).
 */
type Damage =
  | { readonly kind: 'byte'; readonly at: number; readonly byte: number }
  | { readonly kind: 'insert'; readonly at: number; readonly text: string }
  | { readonly kind: 'cut'; readonly at: number; readonly to: number }
  | { readonly kind: 'repeat'; readonly at: number; readonly to: number; readonly times: number }
  | { readonly kind: 'line'; readonly at: number; readonly text: string }
  | { readonly kind: 'swap'; readonly at: number; readonly to: number }
  | { readonly kind: 'number'; readonly at: number; readonly text: string };

/** Largest damaged document, bytes: repetitions multiply. */
const MOST = 256 * 1024;

/** Numbers at the edges of what readers assume. */
const NUMBERS = [
  '0',
  '-1',
  '1',
  '00',
  '1e309',
  '4294967296',
  '9007199254740993',
  '18446744073709551616',
  '0.0000001',
  'NaN',
];
/** What breaks lines, quotes and encodings. */
const PIECES = [
  '\n',
  '\r\n',
  '\r',
  '\0',
  '"',
  "'",
  ':',
  '=',
  ',',
  '#',
  '\\',
  '%00',
  '\xff\xfe',
  '\xef\xbb\xbf',
  '\xe2\x80\xa8',
  '\t',
  ' ',
];

/** Documents that began as one of the seeds; `tokens` are words of the format that are put in. */
export function damaged(seeds: readonly Uint8Array[], tokens: readonly string[]): fc.Arbitrary<Uint8Array> {
  const texts = seeds.map((seed) => Buffer.from(seed).toString('latin1'));
  const word = fc.constantFrom(...PIECES, ...NUMBERS, ...tokens);
  const place = fc.double({ min: 0, max: 1, noNaN: true });
  const damage: fc.Arbitrary<Damage> = fc.oneof(
    fc.record({ kind: fc.constant('byte' as const), at: place, byte: fc.nat(255) }),
    fc.record({ kind: fc.constant('insert' as const), at: place, text: word }),
    fc.record({ kind: fc.constant('cut' as const), at: place, to: place }),
    fc.record({ kind: fc.constant('repeat' as const), at: place, to: place, times: fc.integer({ min: 1, max: 50 }) }),
    fc.record({ kind: fc.constant('line' as const), at: place, text: fc.oneof(word, fc.constantFrom(...texts)) }),
    fc.record({ kind: fc.constant('swap' as const), at: place, to: place }),
    fc.record({ kind: fc.constant('number' as const), at: place, text: fc.constantFrom(...NUMBERS) }),
  );
  return fc
    .tuple(fc.constantFrom(...texts), fc.array(damage, { minLength: 1, maxLength: 8 }))
    .map(([text, damages]) => Buffer.from(damages.reduce(apply, text).slice(0, MOST), 'latin1'));
}

function apply(text: string, damage: Damage): string {
  const at = Math.floor(damage.at * text.length);
  switch (damage.kind) {
    case 'byte':
      return text.slice(0, at) + String.fromCharCode(damage.byte) + text.slice(at + 1);
    case 'insert':
      return text.slice(0, at) + damage.text + text.slice(at);
    case 'cut': {
      const [from, end] = ordered(at, Math.floor(damage.to * text.length));
      return text.slice(0, from) + text.slice(end);
    }
    case 'repeat': {
      const [from, end] = ordered(at, Math.floor(damage.to * text.length));
      const piece = text.slice(from, end);
      const times = Math.min(damage.times, Math.floor(MOST / Math.max(1, piece.length)));
      return text.slice(0, end) + piece.repeat(times) + text.slice(end);
    }
    case 'line':
      return inLines(text, (lines) => lines.toSpliced(Math.floor(damage.at * lines.length), 0, damage.text));
    case 'swap':
      return inLines(text, (lines) => swapped(lines, damage.at, damage.to));
    case 'number':
      return replaceNumber(text, damage.at, damage.text);
  }
}

function ordered(a: number, b: number): [number, number] {
  return a < b ? [a, b] : [b, a];
}

function inLines(text: string, change: (lines: readonly string[]) => readonly string[]): string {
  return change(text.split('\n')).join('\n');
}

function swapped(lines: readonly string[], a: number, b: number): string[] {
  const place = (part: number): number => Math.min(lines.length - 1, Math.floor(part * lines.length));
  const [from, to] = [place(a), place(b)];
  return lines.with(from, lines[to] ?? '').with(to, lines[from] ?? '');
}

/** Another number in the place of one of those that the text has. */
function replaceNumber(text: string, part: number, by: string): string {
  const numbers = [...text.matchAll(/\d+/g)];
  const match = numbers[Math.min(numbers.length - 1, Math.floor(part * numbers.length))];
  return match === undefined ? text : text.slice(0, match.index) + by + text.slice(match.index + match[0].length);
}
