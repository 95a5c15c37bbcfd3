import { requireAttribute } from './attributes.js';
import { invalid, type Line } from './lines.js';
import type { Key } from './playlist.js';
import type { Scope } from './scope.js';

/** Key formats that one playlist may use; each has its own key in force. */
const MAX_FORMATS = 16;

/** EXT-X-KEY or EXT-X-SESSION-KEY (RFC 8216bis sections 4.4.4.4 and 4.4.6.5); null for METHOD=NONE. */
export function readKey(line: Line, scope: Scope): Key | null {
  const attributes = scope.attributes(line);
  const method = requireAttribute(line, attributes, 'METHOD');
  if (method === 'NONE') return null;
  const iv = attributes.get('IV');
  return {
    method,
    url: scope.requiredUrl(line, attributes),
    iv: iv === undefined ? null : readVector(line, iv),
    format: attributes.get('KEYFORMAT') ?? 'identity',
    formatVersions: attributes.get('KEYFORMATVERSIONS') ?? '1',
  };
}

/** A hexadecimal-sequence of at most 128 bits; short ones are filled up from the left. */
function readVector(line: Line, text: string): string {
  const digits = /^0[xX]([0-9A-Fa-f]{1,32})$/.exec(text)?.[1];
  if (digits === undefined)
    throw invalid(line.number, `0x and at most 32 hexadecimal digits for IV in ${line.tag}`, text);
  return digits.toLowerCase().padStart(32, '0');
}

/** The keys in force: each holds until the next of its KEYFORMAT, and METHOD=NONE ends them all. */
export class KeyRing {
  #keys: readonly Key[] = [];

  get keys(): readonly Key[] {
    return this.#keys;
  }

  take(line: Line, scope: Scope): void {
    const key = readKey(line, scope);
    const others = key === null ? [] : this.#keys.filter(({ format }) => format !== key.format);
    if (others.length >= MAX_FORMATS) throw invalid(line.number, `at most ${MAX_FORMATS} values of KEYFORMAT`, 'more');
    this.#keys = key === null ? [] : [...others, key];
  }
}
