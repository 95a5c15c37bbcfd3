/** What the ng protocol of rtpengine speaks: dictionaries of byte strings, integers and lists, all text here. */
export type Bencoded = string | number | readonly Bencoded[] | { readonly [key: string]: Bencoded };

/** Encodes; keys are sorted, as the format asks. */
export function bencode(value: Bencoded): string {
  if (typeof value === 'string') return `${Buffer.byteLength(value)}:${value}`;
  if (typeof value === 'number') return `i${Math.trunc(value)}e`;
  if (isList(value)) return `l${value.map(bencode).join('')}e`;
  const entries = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return `d${entries.map(([key, one]) => bencode(key) + bencode(one)).join('')}e`;
}

function isList(value: Bencoded): value is readonly Bencoded[] {
  return Array.isArray(value);
}

/** Decodes one value. @throws Error where the bytes are not bencoding */
export function bdecode(bytes: Buffer): Bencoded {
  const [value, end] = valueAt(bytes, 0);
  if (end !== bytes.length) throw new Error(`bencoding: ${bytes.length - end} bytes too many`);
  return value;
}

function valueAt(bytes: Buffer, at: number): [Bencoded, number] {
  const kind = String.fromCharCode(bytes[at] ?? 0);
  if (kind === 'i') {
    const end = find(bytes, 'e', at);
    return [Number(bytes.toString('latin1', at + 1, end)), end + 1];
  }
  if (kind === 'l' || kind === 'd') return containerAt(bytes, at, kind);
  const colon = find(bytes, ':', at);
  const length = Number(bytes.toString('latin1', at, colon));
  const end = colon + 1 + length;
  if (!Number.isInteger(length) || end > bytes.length) throw new Error(`bencoding: no value at byte ${at}`);
  return [bytes.toString('utf8', colon + 1, end), end];
}

function containerAt(bytes: Buffer, at: number, kind: 'l' | 'd'): [Bencoded, number] {
  const items: Bencoded[] = [];
  let next = at + 1;
  while (bytes[next] !== 0x65) {
    const [item, end] = valueAt(bytes, next);
    items.push(item);
    next = end;
  }
  if (kind === 'l') return [items, next + 1];
  const pairs = items.flatMap((key, i) => (i % 2 === 0 ? [[keyOf(key), items[i + 1] ?? ''] as const] : []));
  return [Object.fromEntries(pairs), next + 1];
}

function keyOf(value: Bencoded): string {
  if (typeof value !== 'string') throw new Error('bencoding: a key that is no string');
  return value;
}

function find(bytes: Buffer, character: string, from: number): number {
  const found = bytes.indexOf(character, from, 'latin1');
  if (found < 0) throw new Error(`bencoding: no "${character}" after byte ${from}`);
  return found;
}
