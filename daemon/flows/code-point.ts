import { z } from 'zod';

/** RFC 2474 (CS), RFC 2597 (AF), RFC 3246 (EF), RFC 5865 (VA), RFC 8622 (LE). */
const CODE_POINTS: Readonly<Record<string, number>> = {
  ...Object.fromEntries([0, 1, 2, 3, 4, 5, 6, 7].map((n) => [`CS${n}`, 8 * n])),
  ...Object.fromEntries([1, 2, 3, 4].flatMap((c) => [1, 2, 3].map((drop) => [`AF${c}${drop}`, 8 * c + 2 * drop]))),
  EF: 46,
  VA: 44,
  LE: 1,
};

const EXPECTED = 'expected a code point of 0 to 63, or its name, such as EF, AF41 or CS5';

/** A differentiated services code point, by number or by name. */
export const codePoint = z.union([z.number(), z.string()], { error: EXPECTED }).transform((value, context): number => {
  const number = typeof value === 'number' ? value : CODE_POINTS[value.toUpperCase()];
  if (number !== undefined && Number.isInteger(number) && number >= 0 && number <= 63) return number;
  context.issues.push({ code: 'custom', message: EXPECTED, input: value });
  return z.NEVER;
});

/** `EF`, `AF41`; a number where there is no name. */
export function formatCodePoint(dscp: number): string {
  return Object.entries(CODE_POINTS).find(([, value]) => value === dscp)?.[0] ?? String(dscp);
}
