// The Debian package: a folder laid out as it is to be installed, then dpkg-deb.
import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  lutimesSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { gzipSync } from 'node:zlib';
import { runStep, StepError } from '../child.mjs';
import { ROOT, run } from '../run.mjs';
import { ARCHITECTURE, changes, MANIFEST, maintainer, OUTPUT, sourceDate } from './about.mjs';
import { prebuildAddon } from './addon.mjs';
import { manualFiles } from './manual.mjs';
import { copyModules, notices } from './modules.mjs';

const TREE = join(OUTPUT, 'tree');
const HOME = 'usr/lib/sluice';
const DOC = 'usr/share/doc/sluice';
const CONFIG = 'etc/sluice/sluice.yaml';
const PACKAGING = join(ROOT, 'packaging', 'debian');
const SCRIPTS = ['postinst', 'prerm', 'postrm'];

/** Writes a file below the tree. */
function put(path, content, mode = 0o644) {
  const file = join(TREE, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, content);
  chmodSync(file, mode);
}

const putPackaged = (name, path, mode) => put(path, readFileSync(join(PACKAGING, name)), mode);
/** Without name and time, so that the same text gives the same file. */
const putZipped = (path, text) => put(`${path}.gz`, gzipSync(text, { level: 9 }));

/**
 * Builds the package.
 * @param {{revision: string, fast: boolean}} options `fast` compresses little
 * @returns {Promise<string>} its path
 */
export async function buildDeb({ revision, fast }) {
  const version = `${MANIFEST.version}-${revision}`;
  const epoch = await sourceDate();
  rmSync(TREE, { recursive: true, force: true });
  mkdirSync(TREE, { recursive: true });
  const elves = [await putProgram(), putNode()];
  putService();
  await putDocuments(version, epoch);
  await putControl(version, elves);
  settle(TREE, epoch);
  const file = join(OUTPUT, `${MANIFEST.name}_${version}_${ARCHITECTURE}.deb`);
  const compression = fast ? ['-Zgzip', '-z1'] : ['-Zxz', '--threads-max=1'];
  const env = { SOURCE_DATE_EPOCH: String(epoch) };
  await runStep('dpkg-deb', 'dpkg-deb', ['--root-owner-group', ...compression, '--build', TREE, file], {
    env,
    quiet: true,
  });
  return file;
}

/** The daemon with what it loads. @returns {Promise<string>} the addon */
async function putProgram() {
  const home = join(TREE, HOME);
  const compiled = (file) => !/\.(map|tsbuildinfo)$/.test(file);
  cpSync(join(ROOT, 'dist', 'daemon'), join(home, 'dist', 'daemon'), { recursive: true, filter: compiled });
  cpSync(join(ROOT, 'config'), join(home, 'config'), { recursive: true });
  for (const name of readdirSync(join(ROOT, 'fixtures', 'pcap')).filter((one) => /^demo-.*\.pcap$/.test(one))) {
    put(`${HOME}/fixtures/pcap/${name}`, readFileSync(join(ROOT, 'fixtures', 'pcap', name)));
  }
  const { name, version, type, license } = MANIFEST;
  put(`${HOME}/package.json`, `${JSON.stringify({ name, version, license, type }, null, 2)}\n`);
  copyModules(home);
  putPackaged('sluice.sh', 'usr/bin/sluice', 0o755);
  return prebuildAddon(home);
}

/** The Node.js that runs this: what the tests ran on. @returns {string} its path */
function putNode() {
  const node = join(TREE, HOME, 'bin', 'node');
  mkdirSync(dirname(node), { recursive: true });
  copyFileSync(process.execPath, node);
  return node;
}

/** Node's licence, wherever its own package or archive has put it. */
function nodeLicence() {
  const prefix = join(dirname(process.execPath), '..');
  const places = [join(prefix, 'LICENSE'), join(prefix, 'share', 'doc', 'nodejs', 'LICENSE')];
  const found = places.find((file) => existsSync(file));
  if (found === undefined) throw new StepError(`Node's licence is in none of ${places.join(', ')}`);
  return readFileSync(found, 'utf8');
}

function putService() {
  putPackaged('sluice.service', 'lib/systemd/system/sluice.service');
  putPackaged('sluice.sysusers', 'usr/lib/sysusers.d/sluice.conf');
  const example = readFileSync(join(ROOT, 'config', 'sluice.yaml'), 'utf8');
  put(CONFIG, example.replaceAll('schema/sluice.schema.json', `/${HOME}/config/schema/sluice.schema.json`));
}

async function putDocuments(version, epoch) {
  for (const [path, text] of await manualFiles(epoch)) {
    if (path.includes('/man/')) putZipped(path, text);
    else put(path, text);
  }
  const points = changes(MANIFEST.version).map((text) => `  * ${text}`);
  const date = new Date(epoch * 1000).toUTCString().replace('GMT', '+0000');
  const entry = `sluice (${version}) stable; urgency=medium\n\n${points.join('\n')}\n\n -- ${maintainer()}  ${date}\n`;
  putZipped(`${DOC}/changelog.Debian`, entry);
  putZipped(`${DOC}/changelog`, readFileSync(join(ROOT, 'CHANGELOG.md'), 'utf8'));
  putZipped(
    `${DOC}/NOTICE`,
    `${notices()}\n${'='.repeat(78)}\nNode.js ${process.version}\n${'='.repeat(78)}\n\n${nodeLicence()}`,
  );
  putPackaged('copyright', `${DOC}/copyright`);
  putPackaged('sluice.lintian-overrides', 'usr/share/lintian/overrides/sluice');
}

async function putControl(version, elves) {
  const depends = [...(await libraries(elves)), 'systemd | systemd-standalone-sysusers | systemd-sysusers'].join(', ');
  const files = filesOf(TREE);
  const kib = files.reduce((sum, file) => sum + Math.ceil(statSync(join(TREE, file)).size / 1024), 0);
  const sums = files.filter((file) => file !== CONFIG).map((file) => `${md5(join(TREE, file))}  ${file}\n`);
  const values = { VERSION: version, ARCHITECTURE, MAINTAINER: maintainer(), DEPENDS: depends, SIZE: String(kib) };
  const template = readFileSync(join(PACKAGING, 'control'), 'utf8');
  put(
    'DEBIAN/control',
    template.replaceAll(/@([A-Z]+)@/g, (_, name) => values[name]),
  );
  put('DEBIAN/conffiles', `/${CONFIG}\n`);
  put('DEBIAN/md5sums', sums.join(''));
  for (const name of SCRIPTS) putPackaged(name, `DEBIAN/${name}`, 0o755);
}

/** The packages, with versions, of the shared libraries that our programs need. */
async function libraries(elves) {
  // dpkg-shlibdeps reads the control file of a source package and fails without one.
  const source = join(OUTPUT, 'source');
  mkdirSync(join(source, 'debian'), { recursive: true });
  writeFileSync(join(source, 'debian', 'control'), 'Source: sluice\n\nPackage: sluice\nArchitecture: any\n');
  const ran = await run('dpkg-shlibdeps', ['-O', '--ignore-missing-info', ...elves.map((elf) => `-e${elf}`)], {
    cwd: source,
  });
  const line = /^shlibs:Depends=(.*)$/m.exec(ran.output)?.[1];
  if (line === undefined) throw new StepError(`dpkg-shlibdeps failed (Debian package dpkg-dev): ${ran.output}`);
  return line.split(', ');
}

function md5(file) {
  return createHash('md5').update(readFileSync(file)).digest('hex');
}

/** All files, relative to the folder, in one order everywhere. */
function filesOf(folder) {
  const entries = readdirSync(folder, { withFileTypes: true, recursive: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .sort();
}

/** Gives everything the rights and the time that it is to have, whatever this checkout's were. */
function settle(folder, epoch) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) settle(path, epoch);
    else if (!path.startsWith(join(TREE, 'DEBIAN')))
      chmodSync(path, /\/bin\/[^/]+$/.test(path) && !path.includes('node_modules') ? 0o755 : 0o644);
    lutimesSync(path, epoch, epoch);
  }
  chmodSync(folder, 0o755);
  lutimesSync(folder, epoch, epoch);
}
