// The npm packages that the daemon needs when it runs, and what they say of their licences.
import { cpSync, existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import { ROOT } from '../run.mjs';

/** Of the dependencies, those that only a build from source needs. */
const BUILD_ONLY = ['node_modules/node-addon-api'];
/** Built into dist/ (the status page); not installed, but handed on. */
const VENDORED = ['node_modules/hls.js', 'node_modules/uplot'];
/** Folders and files of packages that no program loads. */
const NOT_SHIPPED = /^(\.|test$|tests$|benchmarks?$|bench$|examples?$|docs?$|types$|integration$)/;
const NOT_LOADED = /\.(md|markdown|map|mts|cts|ts|tsbuildinfo|flow)$/i;
const LICENCE = /^(licen[cs]e|copying|notice)/i;

/** Paths of the packages, relative to the checkout. */
export function runtimeModules() {
  const { packages } = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8'));
  return Object.entries(packages)
    .filter(([path, entry]) => path !== '' && entry.dev !== true && entry.devOptional !== true)
    .map(([path]) => path)
    .filter((path) => !BUILD_ONLY.includes(path) && existsSync(join(ROOT, path)));
}

/** Copies them below a folder, without what is never loaded. */
export function copyModules(folder) {
  for (const path of runtimeModules()) {
    const source = join(ROOT, path);
    const shipped = (file) => {
      const name = basename(file);
      const inside = relative(source, file);
      if (inside === '' || LICENCE.test(name)) return true;
      // A package inside this one comes by itself.
      if (inside === 'node_modules') return false;
      return !(inside.includes('/') ? name.startsWith('.') : NOT_SHIPPED.test(name)) && !NOT_LOADED.test(name);
    };
    cpSync(source, join(folder, path), { recursive: true, filter: shipped });
  }
}

/** The text about everything of others that is in the package: name, version, licence, and its words. */
export function notices() {
  const parts = [...runtimeModules(), ...VENDORED].sort().map((path) => {
    const { name, version, license } = JSON.parse(readFileSync(join(ROOT, path, 'package.json'), 'utf8'));
    return notice(`${name} ${version} (${license ?? 'licence below'})`, join(ROOT, path));
  });
  const own = notice('llhttp (MIT), in the addon', join(ROOT, 'native', 'third_party', 'llhttp'));
  return ['Sluice contains the following works of others.\n', own, ...parts].join('\n');
}

function notice(title, folder) {
  const names = readdirSync(folder).filter((name) => LICENCE.test(name) && !name.endsWith('.js'));
  const texts = names.sort().map((name) => readFileSync(join(folder, name), 'utf8').trim());
  return `${'='.repeat(78)}\n${title}\n${'='.repeat(78)}\n\n${texts.join('\n\n')}\n`;
}
