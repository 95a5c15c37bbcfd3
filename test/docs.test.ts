import { existsSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import t from 'tap';
import { filesBelow, ROOT, readSource } from './quality/rooms.js';

const PAGES = ['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', 'CHANGELOG.md'].filter((f) =>
  existsSync(join(ROOT, f)),
);
const DOCUMENTS = [...PAGES, ...filesBelow('docs', /\.md$/)];

/** Folders that paths in the documents begin with. */
const TOP = /^(native|daemon|config|bench|fixtures|test|docs|scripts)\//;

/** What GitHub makes of a heading. */
function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-');
}

function anchors(file: string): Set<string> {
  const headings = readSource(file).matchAll(/^#+ +(.*)$/gm);
  return new Set([...headings].map((m) => anchorOf(m[1] ?? '')));
}

/** Why a link of a document leads nowhere, or null. */
function broken(file: string, link: string): string | null {
  const [path = '', anchor] = link.split('#');
  const target = path === '' ? file : normalize(join(dirname(file), path));
  if (!existsSync(join(ROOT, target))) return `${file}: ${link} does not exist`;
  if (anchor === undefined || !target.endsWith('.md')) return null;
  return anchors(target).has(anchor) ? null : `${file}: ${link} has no such heading`;
}

t.test('the pages that everybody looks for exist', async (t) => {
  for (const page of ['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'LICENSE', '.ci/run']) {
    t.ok(existsSync(join(ROOT, page)), page);
  }
});

t.test('links lead somewhere', async (t) => {
  for (const file of DOCUMENTS) {
    const links = [...readSource(file).matchAll(/\]\(([^)\s]+)\)/g)].map((m) => m[1] ?? '');
    const local = links.filter((link) => !/^[a-z]+:/.test(link));
    t.same(
      local.map((link) => broken(file, link)).filter((reason) => reason !== null),
      [],
      file,
    );
  }
});

t.test('every npm script that is named exists', async (t) => {
  const { scripts } = JSON.parse(readSource('package.json')) as { scripts: Record<string, string> };
  for (const file of DOCUMENTS) {
    for (const [, name = ''] of readSource(file).matchAll(/npm run ([a-z][a-z:-]*)/g))
      t.hasProp(scripts, name, `${file}: npm run ${name}`);
  }
  for (const [name, command] of Object.entries(scripts)) {
    const script = /^node (\S+)/.exec(command)?.[1];
    if (script !== undefined) t.ok(existsSync(join(ROOT, script)), `${name} runs ${script}`);
  }
});

t.test('every file that is named in code marks exists', async (t) => {
  for (const file of DOCUMENTS.filter((f) => f !== 'CHANGELOG.md')) {
    for (const [, name = ''] of readSource(file).matchAll(/`([\w./-]+)`/g)) {
      if (TOP.test(name)) t.ok(existsSync(join(ROOT, name)), `${file}: ${name}`);
    }
  }
});

t.test('nothing is left undone in the sources', async (t) => {
  const mark = /\b(TO\x44O|FIX\x4dE)\b[:( ]/;
  const sources = ['daemon', 'native', 'test', 'bench', 'scripts'].flatMap((f) => filesBelow(f, /\.(ts|cc|h|mjs)$/));
  t.same(
    sources.filter((file) => mark.test(readSource(file))),
    [],
  );
});
