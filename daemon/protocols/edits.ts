/** A piece of a text that is to read otherwise. */
export interface Edit {
  /** Offsets into the text, `end` not included. */
  readonly start: number;
  readonly end: number;
  readonly replacement: string;
}

/**
 * The text with its pieces replaced; everything between them stays as it is, character by character.
 * @param edits in the order of the text, none overlapping another
 */
export function applyEdits(text: string, edits: readonly Edit[]): string {
  const pieces: string[] = [];
  let at = 0;
  for (const { start, end, replacement } of edits) {
    pieces.push(text.slice(at, start), replacement);
    at = end;
  }
  pieces.push(text.slice(at));
  return pieces.join('');
}
