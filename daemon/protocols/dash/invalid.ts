import { SluiceError } from '../../base/errors.js';

/** MANIFEST_INVALID that names the line and column, what was expected there and what came. */
export function invalid(text: string, at: number, expected: string, got: string): SluiceError {
  const before = text.slice(0, at);
  const line = before.split('\n').length;
  const column = at - before.lastIndexOf('\n');
  const printable = got.slice(0, 60).replace(/[\p{Cc}\p{Cs}\u2028\u2029]/gu, '\ufffd');
  const shown = got === '' ? 'nothing' : JSON.stringify(got.length > 60 ? `${printable}…` : printable);
  return new SluiceError('MANIFEST_INVALID', `manifest line ${line}:${column}: expected ${expected}, got ${shown}`, {
    line,
    column,
    expected,
    got: shown,
  });
}
