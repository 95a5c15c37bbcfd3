// What a package says of itself: name, version, date.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT, run } from '../run.mjs';

/** package.json of the checkout. */
export const MANIFEST = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));

/** Debian's name of this processor. */
export const ARCHITECTURE = { x64: 'amd64', arm64: 'arm64' }[process.arch] ?? process.arch;

/** `Name <address>`, as Debian's own tools take it from the environment. */
export function maintainer() {
  const { DEBFULLNAME = 'Sluice maintainers', DEBEMAIL = 'sluice@users.noreply.github.com' } = process.env;
  return `${DEBFULLNAME} <${DEBEMAIL}>`;
}

/** Seconds since 1970 that all files of a package carry, so that the same source gives the same package: the last commit's. */
export async function sourceDate() {
  const given = process.env.SOURCE_DATE_EPOCH;
  if (given !== undefined) return Number(given);
  const { code, output } = await run('git', ['log', '-1', '--format=%ct']);
  return code === 0 ? Number(output) : 0;
}

/** The points of CHANGELOG.md under the version, one line each, without their markup. */
export function changes(version) {
  const text = readFileSync(join(ROOT, 'CHANGELOG.md'), 'utf8');
  const section = text.split(/^## /m).find((part) => part.startsWith(`[${version}]`)) ?? '';
  const points = section.split(/^- /m).slice(1);
  return points.map((point) =>
    point
      .split(/\n {2}- |\n\n|\n#/)[0]
      .replaceAll(/\s+/g, ' ')
      .replaceAll('`', '')
      .trim(),
  );
}
