import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import tap, { type Test, test } from 'tap';
import { ROOT, VERSION } from '../../daemon/cli/root.js';
import { Program, temporaryFolder } from '../cli/lib/program.js';
import { buildPackages, cannotBuild, output, type Packages, unprivileged } from './built.js';

const skip = cannotBuild;
const LIMIT = { skip, timeout: 300_000 };
const OUTPUT = temporaryFolder(tap);
let packages: Packages | undefined;

function built(): Packages {
  packages ??= buildPackages(OUTPUT);
  return packages;
}

test('the Debian package holds what it must, and nothing that only builds need', LIMIT, async (t) => {
  const { deb } = built();
  const listed = output('dpkg-deb', ['-c', deb])
    .split('\n')
    .filter((line) => line !== '');
  const files = new Map(listed.map((line) => [line.split(/\s+/)[5] ?? '', line]));
  for (const path of [
    './usr/bin/sluice',
    './usr/lib/sluice/bin/node',
    './usr/lib/sluice/dist/daemon/cli/sluice.js',
    './usr/lib/sluice/dist/daemon/admin/page/index.html',
    './lib/systemd/system/sluice.service',
    './usr/lib/sluice/systemd/router.conf',
    './usr/lib/sysusers.d/sluice.conf',
    './etc/sluice/sluice.yaml',
    './usr/share/man/man1/sluice.1.gz',
    './usr/share/man/man1/sluice-run.1.gz',
    './usr/share/man/man5/sluice.yaml.5.gz',
    './usr/share/bash-completion/completions/sluice',
    './usr/share/zsh/vendor-completions/_sluice',
    './usr/share/fish/vendor_completions.d/sluice.fish',
    './usr/share/doc/sluice/copyright',
    './usr/share/doc/sluice/changelog.Debian.gz',
    './usr/share/doc/sluice/NOTICE.gz',
  ]) {
    t.ok(files.has(path), path);
  }
  t.ok(
    listed.every((line) => / root\/root /.test(line)),
    'everything belongs to root',
  );
  t.ok(
    listed.every((line) => /^(-rw-r--r--|-rwxr-xr-x|drwxr-xr-x) /.test(line)),
    'and can be read by all',
  );
  for (const name of ['typescript', 'node-gyp', 'node-addon-api', 'tap', '@biomejs', 'playwright-core']) {
    t.notOk(files.has(`./usr/lib/sluice/node_modules/${name}/`), `without ${name}`);
  }
  t.notOk(
    listed.some((line) => /\.(map|cc|d\.ts)$/.test(line)),
    'without sources',
  );
});

test('its control information', LIMIT, async (t) => {
  const folder = temporaryFolder(t);
  output('dpkg-deb', ['-R', built().deb, folder]);
  const field = (name: string) => output('dpkg-deb', ['-f', built().deb, name]).trim();
  t.equal(field('Version'), `${VERSION}-1`);
  t.match(field('Depends'), /libc6 \(>= [\d.]+\).*libstdc\+\+6 \(>= [\d.]+\).*systemd \|/);
  t.equal(readFileSync(join(folder, 'DEBIAN', 'conffiles'), 'utf8'), '/etc/sluice/sluice.yaml\n');
  t.equal(output('md5sum', ['--check', '--quiet', 'DEBIAN/md5sums'], { cwd: folder }), '');
  for (const script of ['postinst', 'prerm', 'postrm']) output('sh', ['-n', join(folder, 'DEBIAN', script)]);
  const notice = output('zcat', [join(folder, 'usr/share/doc/sluice/NOTICE.gz')]);
  const bundled = readdirSync(join(folder, 'usr/lib/sluice/node_modules')).filter((name) => !name.startsWith('@'));
  t.ok(bundled.length > 20);
  for (const name of [...bundled, 'hls.js', 'uplot', 'Node.js', 'llhttp']) {
    t.match(notice, new RegExp(`^${name.replaceAll(/[.+]/g, '\\$&')} `, 'm'), `${name} is named with its licence`);
  }
  t.match(
    output('zcat', [join(folder, 'usr/share/doc/sluice/changelog.Debian.gz')]),
    /^sluice \(.*\) stable; .*\n\n {2}\* .+/,
  );
});

test('unpacked, the demo plays for a user without any right', LIMIT, async (t) => {
  const folder = temporaryFolder(t);
  chmodSync(folder, 0o755);
  output('dpkg-deb', ['-x', built().deb, folder]);
  const home = join(folder, 'usr', 'lib', 'sluice');
  // The environment is not handed on: what counts coverage would write where this user may not.
  const bare = ['env', '-i', `PATH=${process.env['PATH']}`];
  const command = [
    ...bare,
    ...unprivileged,
    join(home, 'bin', 'node'),
    join(home, 'dist', 'daemon', 'cli', 'sluice.js'),
  ];
  t.match(await new Program(t, ['--version'], command).ended, { code: 0, stdout: `${VERSION}\n` });
  t.match(await new Program(t, ['check', '-c', join(folder, 'etc/sluice/sluice.yaml')], command).ended, { code: 0 });
  const demo = new Program(t, ['demo'], command);
  const [, facts = '{}'] = await demo.said(/^ready (\{.*\})$/m, 60_000);
  const { pid } = JSON.parse(facts) as { pid: number };
  if (unprivileged.length > 0) t.match(readFileSync(`/proc/${pid}/status`, 'utf8'), /^CapEff:\t0+$/m);
  const maps = readFileSync(`/proc/${pid}/maps`, 'utf8');
  t.ok(maps.includes(join(home, 'prebuilds')), 'with the addon of the package');
  demo.child.kill('SIGTERM');
  t.match(await demo.ended, { code: 0 });
});

const noSystemd = spawnSync('systemd-analyze', ['--version']).status === 0 ? skip : 'systemd is not installed';

test('systemd takes the unit, and finds little to harden', { ...LIMIT, skip: noSystemd }, async (t) => {
  const [unit, router] = ['sluice.service', 'router.conf'].map((name) =>
    readFileSync(join(ROOT, 'packaging', 'debian', name), 'utf8'),
  );
  // Programs of the unit must exist for the check.
  const alone = unit?.replace('/usr/bin/sluice', process.execPath) ?? '';
  // One after the other, as systemd reads a drop-in.
  for (const text of [alone, `${alone}\n${router}`]) verifyUnit(t, text);
});

function verifyUnit(t: Test, text: string): void {
  const file = join(temporaryFolder(t), 'sluice.service');
  writeFileSync(file, text);
  const verified = spawnSync('systemd-analyze', ['--man=no', 'verify', file], { encoding: 'utf8' });
  t.match(verified, { status: 0 });
  t.notMatch(verified.stderr, /sluice\.service/);
  const security = output('systemd-analyze', ['security', '--offline=yes', '--no-pager', file]);
  const exposure = Number(/exposure level for sluice\.service: ([\d.]+)/.exec(security)?.[1]);
  t.ok(exposure < 2.5, `exposure ${exposure}`);
}

test('the npm package runs with the addon that comes with it', LIMIT, async (t) => {
  const folder = temporaryFolder(t);
  const modules = join(folder, 'node_modules');
  mkdirSync(join(modules, 'sluice'), { recursive: true });
  output('tar', ['-xzf', built().npm, '-C', join(modules, 'sluice'), '--strip-components=1']);
  // As an installation would have them.
  const { dependencies, scripts } = JSON.parse(readFileSync(join(modules, 'sluice', 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>;
    scripts: Record<string, string>;
  };
  t.notOk(['typescript', 'node-gyp'].some((name) => name in dependencies));
  for (const name of Object.keys(dependencies)) {
    if (name.includes('/')) mkdirSync(join(modules, name, '..'), { recursive: true });
    symlinkSync(join(ROOT, 'node_modules', name), join(modules, name));
  }
  const files = readdirSync(join(modules, 'sluice'), { recursive: true, encoding: 'utf8' });
  t.notOk(files.some((file) => /\.map$|^native\/(test|fuzz)|^test\/|^bench\//.test(file)));
  for (const file of ['LICENSE', 'binding.gyp', 'native/addon/addon.cc', 'fixtures/pcap/demo-high.pcap']) {
    t.ok(files.includes(file), file);
  }
  const command = [process.execPath, join(modules, 'sluice', 'dist', 'daemon', 'cli', 'sluice.js')];
  t.match(await new Program(t, ['--version'], command).ended, { code: 0, stdout: `${VERSION}\n` });
  t.match(await new Program(t, ['check', '--host'], command).ended, { stdout: /UDP_SEGMENT/ }, 'the addon was loaded');
  // Nothing is built where the addon loads; it would take a minute, and leave a folder.
  const [program = '', ...args] = (scripts['install'] ?? '').split(' ');
  const path = `${join(ROOT, 'node_modules', '.bin')}:${process.env['PATH'] ?? ''}`;
  const installed = spawnSync(program, args, { cwd: join(modules, 'sluice'), env: { ...process.env, PATH: path } });
  t.equal(installed.status, 0);
  t.notOk(statSync(join(modules, 'sluice', 'build'), { throwIfNoEntry: false }));
});
