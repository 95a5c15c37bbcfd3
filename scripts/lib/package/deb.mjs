// The Debian package: a folder laid out as it is to be installed, then dpkg-deb.
import { createHash } from 'node:crypto';
import { copyFileSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { runStep, StepError } from '../child.mjs';
import { ROOT, run } from '../run.mjs';
import { ARCHITECTURE, changes, MANIFEST, maintainer, sourceDate } from './about.mjs';
import { prebuildAddon } from './addon.mjs';
import { manualFiles } from './manual.mjs';
import { copyModules, notices } from './modules.mjs';
import { Tree } from './tree.mjs';

const HOME = 'usr/lib/sluice';
const DOC = 'usr/share/doc/sluice';
const CONFIG = 'etc/sluice/sluice.yaml';
const PACKAGING = join(ROOT, 'packaging', 'debian');
const SCRIPTS = ['postinst', 'prerm', 'postrm'];

/** What is to be executed; modules come with programs of their own, which nobody calls. */
const isProgram = (name) => /^(usr\/bin|usr\/lib\/sluice\/bin)\/|^DEBIAN\/(postinst|prerm|postrm)$/.test(name);

const putPackaged = (tree, name, path) => tree.put(path, readFileSync(join(PACKAGING, name)));

/**
 * Builds the package.
 * @param {{revision: string, fast: boolean, output: string}} options `fast` compresses little; `output` is a folder
 * @returns {Promise<string>} its path
 */
export async function buildDeb({ revision, fast, output }) {
  const version = `${MANIFEST.version}-${revision}`;
  const epoch = await sourceDate();
  const tree = new Tree(join(output, 'tree'));
  const elves = [await putProgram(tree), putNode(tree)];
  putService(tree);
  await putDocuments(tree, version, epoch);
  await putControl(tree, version, await libraries(elves, join(output, 'source')));
  tree.settle(isProgram, epoch);
  const file = join(output, `${MANIFEST.name}_${version}_${ARCHITECTURE}.deb`);
  const compression = fast ? ['-Zgzip', '-z1'] : ['-Zxz', '--threads-max=1'];
  const env = { SOURCE_DATE_EPOCH: String(epoch) };
  await runStep('dpkg-deb', 'dpkg-deb', ['--root-owner-group', ...compression, '--build', tree.root, file], {
    env,
    quiet: true,
  });
  return file;
}

/** The daemon with what it loads. @returns {Promise<string>} the addon */
async function putProgram(tree) {
  const home = tree.path(HOME);
  const compiled = (file) => !/\.(map|tsbuildinfo)$/.test(file);
  cpSync(join(ROOT, 'dist', 'daemon'), join(home, 'dist', 'daemon'), { recursive: true, filter: compiled });
  cpSync(join(ROOT, 'config'), join(home, 'config'), { recursive: true });
  for (const name of readdirSync(join(ROOT, 'fixtures', 'pcap')).filter((one) => /^demo-.*\.pcap$/.test(one))) {
    tree.put(`${HOME}/fixtures/pcap/${name}`, readFileSync(join(ROOT, 'fixtures', 'pcap', name)));
  }
  const { name, version, type, license } = MANIFEST;
  tree.put(`${HOME}/package.json`, `${JSON.stringify({ name, version, license, type }, null, 2)}\n`);
  copyModules(home);
  putPackaged(tree, 'sluice.sh', 'usr/bin/sluice');
  return prebuildAddon(home);
}

/** The Node.js that runs this: what the tests ran on. @returns {string} its path */
function putNode(tree) {
  const node = tree.path(`${HOME}/bin/node`);
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

function putService(tree) {
  putPackaged(tree, 'sluice.service', 'lib/systemd/system/sluice.service');
  putPackaged(tree, 'router.conf', `${HOME}/systemd/router.conf`);
  putPackaged(tree, 'sluice.sysusers', 'usr/lib/sysusers.d/sluice.conf');
  const example = readFileSync(join(ROOT, 'config', 'sluice.yaml'), 'utf8');
  tree.put(CONFIG, example.replaceAll('schema/sluice.schema.json', `/${HOME}/config/schema/sluice.schema.json`));
}

async function putDocuments(tree, version, epoch) {
  for (const [path, text] of await manualFiles(epoch)) {
    if (path.includes('/man/')) tree.putZipped(path, text);
    else tree.put(path, text);
  }
  const points = changes(MANIFEST.version).map((text) => `  * ${text}`);
  const date = new Date(epoch * 1000).toUTCString().replace('GMT', '+0000');
  const entry = `sluice (${version}) stable; urgency=medium\n\n${points.join('\n')}\n\n -- ${maintainer()}  ${date}\n`;
  tree.putZipped(`${DOC}/changelog.Debian`, entry);
  tree.putZipped(`${DOC}/changelog`, readFileSync(join(ROOT, 'CHANGELOG.md'), 'utf8'));
  tree.putZipped(
    `${DOC}/NOTICE`,
    `${notices()}\n${'='.repeat(78)}\nNode.js ${process.version}\n${'='.repeat(78)}\n\n${nodeLicence()}`,
  );
  putPackaged(tree, 'copyright', `${DOC}/copyright`);
  putPackaged(tree, 'sluice.lintian-overrides', 'usr/share/lintian/overrides/sluice');
}

async function putControl(tree, version, needed) {
  const depends = [...needed, 'systemd | systemd-standalone-sysusers | systemd-sysusers'].join(', ');
  const files = tree.files().filter((file) => file !== CONFIG);
  const sums = files.map((file) => `${md5(tree.path(file))}  ${file}\n`);
  const values = {
    VERSION: version,
    ARCHITECTURE,
    MAINTAINER: maintainer(),
    DEPENDS: depends,
    SIZE: String(tree.size()),
  };
  const template = readFileSync(join(PACKAGING, 'control'), 'utf8');
  tree.put(
    'DEBIAN/control',
    template.replaceAll(/@([A-Z]+)@/g, (_, name) => values[name]),
  );
  tree.put('DEBIAN/conffiles', `/${CONFIG}\n`);
  tree.put('DEBIAN/md5sums', sums.join(''));
  for (const name of SCRIPTS) putPackaged(tree, name, `DEBIAN/${name}`);
}

/** The packages, with versions, of the shared libraries that our programs need. */
async function libraries(elves, source) {
  // dpkg-shlibdeps reads the control file of a source package and fails without one.
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
