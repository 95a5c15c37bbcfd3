import { createHash } from 'node:crypto';
import { copyFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { type RoutingDebian, routerSteps } from './install/router.js';
import { ROOT } from './lib/compile.js';
import type { Lab } from './lib/lab.js';
import { poll } from './lib/poll.js';
import { must } from './lib/process.js';
import { expect, type Report, Skip } from './lib/report.js';
import type { Scenario } from './lib/scenario.js';
import { need } from './lib/tools.js';
import { CONFIG, Debian, debianArchive, statusOf } from './parts/debian.js';

const BUILD_MS = 600_000;
/** CAP_NET_BIND_SERVICE alone, as /proc/PID/status shows it. */
const ONLY_BIND = '0000000000000400';

/** Builds a revision of the package into a folder. */
async function build(output: string, revision: number): Promise<string> {
  const options = ['--fast', '--output', output, '--revision', String(revision)];
  const command = [process.execPath, 'scripts/package.mjs', ...options];
  const { stdout } = await must(command, { cwd: ROOT, timeoutMs: BUILD_MS });
  return stdout.trim().split('\n').at(-1) ?? '';
}

function hashOf(file: string): string {
  return createHash('sha256').update(readFileSync(file)).digest('hex');
}

/** Puts a package where the Debian finds it, and installs it. */
async function install(debian: Debian, file: string): Promise<string> {
  copyFileSync(file, join(debian.root, 'root', basename(file)));
  // The folder of root is closed to the user by whom apt would copy.
  const { stdout, stderr } = await debian.must(['apt-get', 'install', '-y', `/root/${basename(file)}`], 120_000);
  return stdout + stderr;
}

async function installedVersion(debian: Debian): Promise<string> {
  const { stdout } = await debian.must(['dpkg', '-s', 'sluice']);
  expect(/^Status: install ok installed$/m.test(stdout), stdout);
  return /^Version: (.*)$/m.exec(stdout)?.[1] ?? '';
}

/** The user and the rights that sluice.service gives, without a service manager. */
const AS_SERVICE = [
  'setpriv',
  '--reuid=sluice',
  '--regid=sluice',
  '--clear-groups',
  '--no-new-privs',
  '--bounding-set=-all,+net_bind_service',
  '--inh-caps=-all,+net_bind_service',
  '--ambient-caps=-all,+net_bind_service',
];

async function installSteps(debian: Debian, report: Report, file: string): Promise<void> {
  await report.step('apt install ./sluice.deb on a fresh Debian 12', async () => {
    await install(debian, file);
    return installedVersion(debian);
  });
  await report.step('nothing of the package is missing or changed', async () => {
    const { stdout } = await debian.must(['dpkg', '--verify', 'sluice']);
    expect(stdout === '', stdout);
    return 'dpkg --verify has nothing to say';
  });
  await report.step('the unit is verified', async () => {
    const path = '/lib/systemd/system/sluice.service';
    const verified = await debian.must(['systemd-analyze', '--man=no', 'verify', path]);
    expect(verified.stdout + verified.stderr === '', verified.stdout + verified.stderr);
    const { stdout } = await debian.must(['systemd-analyze', 'security', '--offline=yes', path]);
    const level = /Overall exposure level for sluice.service: ([\d.]+)/.exec(stdout)?.[1];
    expect(level !== undefined && Number(level) < 2.5, `exposure ${level}`);
    return `no finding; exposure level ${level} of 10`;
  });
  await report.step('check and check --host', async () => {
    await debian.must(['sluice', 'check', '-c', `/${CONFIG}`]);
    const { stdout } = await debian.must(['sluice', 'check', '--host', '--json', '-c', `/${CONFIG}`]);
    const { checks } = JSON.parse(stdout) as { checks: { level: string }[] };
    return `${checks.length} checks, ${checks.filter(({ level }) => level !== 'ok').length} with advice`;
  });
  await report.step('the demo plays for the unprivileged user', () => demo(debian));
}

async function demo(debian: Debian): Promise<string> {
  const child = await debian.beside(debian.inside([...AS_SERVICE, 'sluice', 'demo']));
  const [, json = '{}'] = await child.waitForLine(/^ready (\{.*\})$/m, 60_000);
  const { pid } = JSON.parse(json) as { pid: number };
  const facts = await statusOf(debian, String(pid));
  await debian.must(['sh', '-c', `kill ${pid}`]);
  const { code } = await child.exited;
  expect(code === 0, `it ended with ${code}: ${child.tail()}`);
  expect(facts.get('CapEff') === ONLY_BIND && !facts.get('Uid')?.startsWith('0\t'), `${facts.get('CapEff')}`);
  return `HLS, continuous and multicast served by user ${facts.get('Uid')?.split('\t')[0]}, capabilities ${facts.get('CapEff')}`;
}

/** Asks again and again, each time by a new connection, until a file appears; tells how many were not answered. */
const ASKING = `
const { existsSync } = require('node:fs');
const { get } = require('node:http');
const ask = () => new Promise((resolve) => {
  const request = get({ host: '127.0.0.1', port: 80, path: '/channels.m3u', agent: false }, (response) => {
    response.resume().on('end', () => resolve(response.statusCode === 200 ? '' : String(response.statusCode)));
  });
  request.on('error', (error) => resolve(error.code));
});
(async () => {
  let asked = 0;
  const bad = [];
  console.log('begun');
  while (!existsSync(process.argv[1])) {
    asked++;
    const why = await ask();
    if (why !== '') bad.push(why);
  }
  console.log(JSON.stringify({ asked, bad }));
})();`;

/** What viewers see while something is done. */
async function whileAsking(lab: Lab, debian: Debian, act: () => Promise<void>): Promise<string> {
  const mark = lab.file(`done-${Date.now()}`);
  const child = await debian.beside([process.execPath, '-e', ASKING, mark]);
  await child.waitForLine(/^begun$/m, 10_000);
  await act();
  writeFileSync(mark, '');
  const [line] = await child.waitForLine(/^\{.*\}$/m, 20_000);
  const { asked, bad } = JSON.parse(line) as { asked: number; bad: string[] };
  // A connection that was accepted and not yet answered ends with the daemon; one that was not accepted is not refused.
  const refused = bad.filter((why) => why === 'ECONNREFUSED').length;
  expect(
    asked > 10 && refused === 0 && bad.length <= 1,
    `${asked} asked, not answered: ${[...new Set(bad)].join(' ')} (${bad.length})`,
  );
  return `${asked} new connections meanwhile, ${refused} refused, ${bad.length} cut`;
}

async function serviceSteps(lab: Lab, debian: Debian, report: Report): Promise<void> {
  await report.step('the service runs unprivileged, on port 80', async () => {
    const file = join(debian.root, CONFIG);
    writeFileSync(file, readFileSync(file, 'utf8').replace('listen: [0.0.0.0:8080]', 'listen: [0.0.0.0:80]'));
    await debian.must(['systemctl', 'enable', '--now', 'sluice']);
    const facts = await statusOf(debian, await debian.mainPid());
    const rights = ['CapEff', 'CapPrm', 'CapBnd', 'CapAmb'].map((name) => facts.get(name));
    expect(
      rights.every((mask) => mask === ONLY_BIND),
      rights.join(' '),
    );
    expect(facts.get('NoNewPrivs') === '1' && facts.get('Seccomp') === '2', 'no new privileges, a system call filter');
    const told = await debian.property('StatusText');
    expect(/:80(,|$)/.test(told), told);
    return `Type=notify: ${told}; capabilities ${rights[0]}`;
  });
  await report.step('a restart refuses nobody', async () => {
    const before = await debian.mainPid();
    const seen = await whileAsking(lab, debian, async () => {
      await debian.must(['systemctl', 'restart', 'sluice']);
    });
    expect((await debian.mainPid()) !== before, 'another process');
    return `${seen}; ${await debian.property('NFileDescriptorStore')} socket in the descriptor store`;
  });
  await report.step('a daemon that hangs is replaced by the watchdog', async () => {
    await debian.must(['sh', '-c', `kill -STOP ${await debian.mainPid()}`]);
    const again = async () => ((await debian.property('NRestarts')) === '1' ? true : undefined);
    await poll(again, 40_000, 'the watchdog');
    const active = async () => ((await debian.property('ActiveState')) === 'active' ? true : undefined);
    await poll(active, 20_000, 'the restart');
    return 'killed and started again';
  });
}

/** What viewers and, behind a router, hosts see while it is upgraded. */
async function whileServing(
  lab: Lab,
  debian: Debian,
  routing: RoutingDebian | null,
  act: () => Promise<void>,
): Promise<string> {
  let asked = '';
  const ask = async (): Promise<void> => {
    asked = await whileAsking(lab, debian, act);
    await routing?.learnsAgain();
  };
  if (routing === null) await ask();
  const heard = routing === null ? [] : [await routing.whileReceiving(ask)];
  return [asked, ...heard].join('; ');
}

async function upgradeSteps(
  lab: Lab,
  debian: Debian,
  report: Report,
  next: string,
  { runs, routing }: { readonly runs: boolean; readonly routing: RoutingDebian | null },
): Promise<void> {
  await report.step('an upgrade keeps configuration and state', async () => {
    const [config, state] = [join(debian.root, CONFIG), join(debian.root, 'var/lib/sluice/kept')];
    writeFileSync(config, `${readFileSync(config, 'utf8')}# the operator's\n`);
    writeFileSync(state, 'kept');
    const before = runs ? await debian.mainPid() : '';
    const upgrade = async (): Promise<void> => void (await install(debian, next));
    const seen = runs ? await whileServing(lab, debian, routing, upgrade) : await upgrade().then(() => 'nothing ran');
    const version = await installedVersion(debian);
    expect(version.endsWith('-2'), version);
    expect(readFileSync(config, 'utf8').endsWith("# the operator's\n"), 'the configuration was replaced');
    expect(readFileSync(state, 'utf8') === 'kept', 'the state is gone');
    if (runs) expect((await debian.mainPid()) !== before, 'the old daemon still runs');
    return `${version}; ${seen}`;
  });
  await report.step('installing the same again changes nothing', async () => {
    await debian.must(['dpkg', '-i', `/root/${basename(next)}`], 120_000);
    const { stdout } = await debian.must(['dpkg', '--verify', 'sluice']);
    expect(/^..5...... c \/etc\/sluice\/sluice.yaml\n$/.test(stdout), stdout);
    return "only the operator's configuration differs from the package";
  });
  await report.step('remove keeps them, purge does not', async () => {
    await debian.must(['apt-get', 'remove', '-y', 'sluice'], 120_000);
    expect(readdirSync(join(debian.root, 'etc/sluice')).includes('sluice.yaml'), 'the configuration is gone');
    expect(readdirSync(join(debian.root, 'var/lib/sluice')).includes('kept'), 'the state is gone');
    await debian.must(['apt-get', 'purge', '-y', 'sluice'], 120_000);
    const { stdout } = await debian.must([
      'find',
      '/etc',
      '/usr',
      '/var/lib',
      '-path',
      '*sluice*',
      '-not',
      '-path',
      '*/dpkg/*',
    ]);
    expect(stdout === '', stdout);
    return 'no file is left';
  });
}

/** `npm run lab -- install` */
export const installLab: Scenario = {
  name: 'install',
  summary: 'the Debian package on a fresh Debian 12: install, service, restart, upgrade, purge (needs root)',
  async play(lab, report) {
    let archive = '';
    const fresh = await report.step('a fresh Debian 12', async () => {
      need('unshare', 'nsenter', 'dpkg-deb');
      // Device nodes and the owners of files cannot be made in a user namespace.
      const whole = /^\s*0\s+0\s+4294967295\s*$/.test(readFileSync('/proc/self/uid_map', 'utf8'));
      if (process.getuid?.() !== 0 || !whole) throw new Skip('needs root');
      archive = await debianArchive();
      return basename(archive);
    });
    if (!fresh) return;
    const packages: string[] = [];
    const built = await report.step('the package is the same whenever it is built', async () => {
      const first = hashOf(await build(lab.file('first'), 1));
      const again = await build(lab.file('packages'), 1);
      expect(hashOf(again) === first, 'two builds differ');
      packages.push(again, await build(lab.file('packages'), 2));
      return `${basename(again)}, sha256 ${first.slice(0, 16)}…`;
    });
    const [file, next] = packages;
    if (!built || file === undefined || next === undefined) return;
    await report.step(
      'lintian has no error',
      async () => {
        need('lintian');
        await must(['lintian', '--allow-root', '--fail-on', 'error', file], { timeoutMs: BUILD_MS });
        return 'none';
      },
      { required: false },
    );
    const systemd = Debian.canBoot();
    if (systemd !== null) report.skip('its systemd boots here', systemd, { required: false });
    const debian = await Debian.boot(lab, archive, systemd === null);
    try {
      await installSteps(debian, report, file);
      const runs = systemd === null;
      if (runs) await serviceSteps(lab, debian, report);
      const routing = runs ? await routerSteps(lab, debian, report) : null;
      await upgradeSteps(lab, debian, report, next, { runs, routing });
    } finally {
      await debian.halt();
    }
  },
};
