import {
  type Document,
  isAlias,
  isMap,
  isNode,
  isPair,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseDocument,
} from 'yaml';

/** A place in the file, both from 1. */
export interface Place {
  readonly line: number;
  readonly column: number;
}

/** Something that is wrong in the file; `key` is written as in `channels[0].renditions[1].url`, empty for the whole file. */
export interface Problem extends Place {
  readonly key: string;
  readonly message: string;
}

export type Path = readonly (string | number)[];

/**
 * How often aliases may be followed in all: enough for a thousand channels that share an anchor, far too little for a
 * file that expands to gigabytes.
 */
const MAX_ALIASES = 10_000;

/** The text of a configuration file: its data as plain values, and where each of them stands. */
export class YamlSource {
  readonly #lines = new LineCounter();
  readonly #document: Document;
  /** Plain values; undefined when the syntax does not allow to tell them. */
  readonly data: unknown;
  /** What is wrong with the YAML itself. */
  readonly problems: readonly Problem[];

  /** @param text YAML 1.2, one document; never throws for what the text says */
  constructor(text: string) {
    const problems: Problem[] = [];
    let data: unknown;
    let document: Document | undefined;
    try {
      document = parseDocument(text, { lineCounter: this.#lines, prettyErrors: false, stringKeys: true });
      for (const fault of [...document.errors, ...document.warnings]) {
        problems.push({ ...this.#place(fault.pos[0]), key: '', message: yamlSentence(fault.message) });
      }
      const readable = document.errors.every((fault) => fault.code === 'DUPLICATE_KEY');
      if (readable) data = document.toJS({ maxAliasCount: MAX_ALIASES });
    } catch (error) {
      // Too deep nesting (RangeError: the parser is recursive) and too many aliases (ReferenceError).
      const reason = error instanceof RangeError ? 'it is nested too deeply' : messageOf(error);
      problems.push({ line: 1, column: 1, key: '', message: yamlSentence(reason) });
    }
    this.#document = document ?? parseDocument('');
    this.data = data;
    this.problems = problems;
  }

  /** Where the value stands; for a missing one, the nearest part around it that is there. */
  placeOf(path: Path): Place {
    return this.#place(this.#follow(path).offset);
  }

  /** Where the key itself stands. */
  placeOfKey(path: Path): Place {
    const { parent, offset } = this.#follow(path);
    const last = path.at(-1);
    const pair = isMap(parent)
      ? parent.items.find((item) => isPair(item) && keyText(item.key) === String(last))
      : undefined;
    const start = isNode(pair?.key) ? pair.key.range?.[0] : undefined;
    return this.#place(start ?? offset);
  }

  /** The plain value, or undefined when there is none. */
  valueAt(path: Path): unknown {
    let value = this.data;
    for (const step of path) {
      if (typeof value !== 'object' || value === null || !Object.hasOwn(value, step)) return undefined;
      value = (value as Record<string | number, unknown>)[step];
    }
    return value;
  }

  #follow(path: Path): { readonly offset: number; readonly parent: Node | null } {
    let node: Node | null = this.#document.contents;
    let parent: Node | null = null;
    let offset = node?.range?.[0] ?? 0;
    for (const step of path) {
      const around: Node | null = isAlias(node) ? (node.resolve(this.#document) ?? null) : node;
      parent = around;
      node = childOf(around, step);
      if (node === null) break;
      offset = node.range?.[0] ?? offset;
    }
    return { offset, parent };
  }

  #place(offset: number): Place {
    const { line, col } = this.#lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  }
}

function childOf(node: Node | null, step: string | number): Node | null {
  if (isSeq(node)) {
    const item = node.items[Number(step)];
    return isNode(item) ? item : null;
  }
  if (!isMap(node)) return null;
  const pair = node.items.find((item) => keyText(item.key) === String(step));
  return isNode(pair?.value) ? pair.value : null;
}

function keyText(key: unknown): string {
  return String(isScalar(key) ? key.value : key);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function yamlSentence(message: string): string {
  const first = message.split('\n', 1)[0]?.replace(/[.:]$/, '') ?? '';
  return `not valid YAML: ${first.charAt(0).toLowerCase()}${first.slice(1)}`;
}

/** `channels[0].renditions[1].url`. */
export function pathText(path: Path): string {
  let text = '';
  for (const step of path) {
    if (typeof step === 'number') text += `[${step}]`;
    else text += text === '' ? step : `.${step}`;
  }
  return text;
}
