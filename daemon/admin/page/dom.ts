/** Small helpers that build elements once and change only what has changed. */

type Child = Node | string;

/** An element with attributes and children. */
export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Readonly<Record<string, string>> = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** An SVG element with attributes and children. */
export function svg(
  tag: string,
  attributes: Readonly<Record<string, string>> = {},
  ...children: readonly Child[]
): SVGElement {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Sets the text only where it differs: unchanged nodes are not laid out again and selections survive. */
export function text(node: Element, value: string): void {
  if (node.textContent !== value) node.textContent = value;
}

/** Sets an attribute only where it differs; null takes it away. */
export function attribute(node: Element, name: string, value: string | null): void {
  if (value === null) node.removeAttribute(name);
  else if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

/** The element with this id, which the page has. */
export function byId(id: string): HTMLElement {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`the page has no element ${id}`);
  return element;
}

/** Keeps one built thing per key, in the order of the keys, and drops those whose key is gone. */
export class Keyed<T extends { readonly root: Element }> {
  readonly #things = new Map<string, T>();

  constructor(
    private readonly parent: Element,
    private readonly build: (key: string) => T,
  ) {}

  /** The things for these keys, built where they are new. */
  sync(keys: readonly string[]): readonly T[] {
    for (const [key, thing] of this.#things) {
      if (keys.includes(key)) continue;
      thing.root.remove();
      this.#things.delete(key);
    }
    return keys.map((key, index) => {
      const thing = this.#things.get(key) ?? this.build(key);
      this.#things.set(key, thing);
      if (this.parent.children[index] !== thing.root)
        this.parent.insertBefore(thing.root, this.parent.children[index] ?? null);
      return thing;
    });
  }
}
