/** The parts of set-up that decide: one at a time, nothing half done counts as done, nothing is left running. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Test, test } from 'tap';
import { ROOT } from '../../daemon/cli/root.js';

const lib = (name: string): string => pathToFileURL(join(ROOT, 'scripts', 'lib', name)).href;

function folder(t: Test): string {
  const path = mkdtempSync(join(tmpdir(), 'sluice-setup-'));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** Runs a line of JavaScript in a process of its own. */
function script(t: Test, text: string, env: NodeJS.ProcessEnv = {}): ChildProcess {
  const child = spawn(process.execPath, ['--input-type=module', '-e', text], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  });
  t.teardown(() => void child.kill('SIGKILL'));
  return child;
}

function output(child: ChildProcess): Promise<{ readonly text: string; readonly code: number | null }> {
  let text = '';
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  return new Promise((resolve) => child.on('close', (code) => resolve({ text, code })));
}

async function until(check: () => boolean, limitMs = 10_000): Promise<boolean> {
  const deadline = Date.now() + limitMs;
  while (!check()) {
    if (Date.now() > deadline) return false;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return true;
}

function alive(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

test('two set-ups never run at once', { timeout: 30_000 }, async (t) => {
  const place = folder(t);
  const text = `
    import { takeLock } from '${lib('lock.mjs')}';
    import { appendFileSync } from 'node:fs';
    const unlock = await takeLock('${place}/lock');
    appendFileSync('${place}/log', 'in\\n');
    await new Promise((resolve) => setTimeout(resolve, 150));
    appendFileSync('${place}/log', 'out\\n');
    unlock();`;
  await Promise.all([1, 2, 3, 4].map(() => output(script(t, text))));
  t.equal(readFileSync(join(place, 'log'), 'utf8'), 'in\nout\n'.repeat(4));
  t.notOk(existsSync(join(place, 'lock')));
});

test('a lock whose owner was killed is taken over, also when its pid is used again', { timeout: 30_000 }, async (t) => {
  const place = folder(t);
  const file = join(place, 'lock');
  const killed = script(
    t,
    `import { takeLock } from '${lib('lock.mjs')}'; await takeLock('${file}'); setInterval(() => {}, 1000);`,
  );
  t.ok(await until(() => existsSync(file)));
  killed.kill('SIGKILL');
  t.ok(await until(() => !alive(killed.pid ?? 0)));
  const take = `import { takeLock } from '${lib('lock.mjs')}'; (await takeLock('${file}', () => {}, 2000))(); console.log('taken');`;
  t.match(await output(script(t, take)), { text: 'taken\n', code: 0 });
  // A process with this pid lives (it is ours), and started at another time.
  writeFileSync(file, `${process.pid} 1\n`);
  t.match(await output(script(t, take)), { text: 'taken\n', code: 0 });
  const stat = readFileSync(`/proc/${process.pid}/stat`, 'utf8');
  writeFileSync(file, `${process.pid} ${stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]}\n`);
  t.match(await output(script(t, take)), { text: /still held by process/, code: 1 });
});

test('an interrupted step ends with everything it has started', { timeout: 30_000 }, async (t) => {
  const place = folder(t);
  const child = script(
    t,
    `import { runStep } from '${lib('child.mjs')}';
     await runStep('sleeping', 'sh', ['-c', 'sleep 60 & echo $! > ${place}/pid; wait'], { quiet: true }).catch((error) => console.log(error.message));`,
  );
  const ended = output(child);
  const written = (): string => (existsSync(join(place, 'pid')) ? readFileSync(join(place, 'pid'), 'utf8') : '');
  t.ok(await until(() => written().endsWith('\n')));
  child.kill('SIGTERM');
  t.match((await ended).text, /interrupted by SIGTERM/);
  t.ok(await until(() => !alive(Number(written()))), 'the grandchild is gone');
});

test('a failed step shows what the program said', { timeout: 30_000 }, async (t) => {
  const text = `import { runStep } from '${lib('child.mjs')}';
    await runStep('failing', 'sh', ['-c', 'echo the reason >&2; exit 3'], { quiet: true }).catch((error) => console.log(error.message));`;
  t.match((await output(script(t, text))).text, /the reason\nfailing failed: sh .* ended with code 3/);
});

test('missing compiler packages are named in one line for an ordinary user', { timeout: 30_000 }, async (t) => {
  const place = folder(t);
  const text = `
    process.getuid = () => 1000;
    process.env.PATH = '${place}';
    const { ensureCompiler } = await import('${lib('packages.mjs')}');
    await ensureCompiler().catch((error) => console.log(error.message));`;
  const { text: said } = await output(script(t, text));
  t.match(said, /^compiler packages are missing; as root run: apt-get install g\+\+ make python3\n$/);
});

test('the program in our place ends with our parent, and its exit code is ours', { timeout: 30_000 }, async (t) => {
  const place = folder(t);
  const forward = join(place, 'forward.mjs');
  writeFileSync(
    forward,
    `import { runInstead } from '${lib('forward.mjs')}'; process.exitCode = await runInstead(process.execPath, process.argv.slice(2));`,
  );
  const coded = spawn(process.execPath, [forward, '-e', 'process.exit(7)'], { stdio: 'ignore' });
  t.equal(await new Promise((resolve) => coded.on('exit', resolve)), 7);

  const inner = `require('fs').writeFileSync('${place}/pid', String(process.pid)); setInterval(() => {}, 1000)`;
  const parent = script(
    t,
    `import { spawn } from 'node:child_process'; spawn(process.execPath, ${JSON.stringify([forward, '-e', inner])}, { stdio: 'ignore' });`,
  );
  t.ok(await until(() => existsSync(join(place, 'pid')) && readFileSync(join(place, 'pid'), 'utf8') !== ''));
  const pid = Number(readFileSync(join(place, 'pid'), 'utf8'));
  t.ok(alive(pid));
  parent.kill('SIGKILL');
  t.ok(await until(() => !alive(pid), 5000), 'gone within 5 s');
});

test('half an installation is not taken for a whole one', { timeout: 30_000 }, async (t) => {
  const place = folder(t);
  mkdirSync(join(place, 'scripts'));
  mkdirSync(join(place, 'bin'));
  symlinkSync(join(ROOT, 'scripts', 'lib'), join(place, 'scripts', 'lib'));
  const lock = {
    packages: {
      '': {},
      'node_modules/a': { version: '1.0.0' },
      'node_modules/other-platform': { version: '1.0.0', optional: true },
    },
  };
  writeFileSync(join(place, 'package-lock.json'), JSON.stringify(lock));
  // npm that only notes that it was called, and installs when told so.
  writeFileSync(
    join(place, 'bin', 'npm'),
    `#!/bin/sh\necho called >> ${place}/calls\n[ -e ${place}/broken ] && exit 1\nmkdir -p ${place}/node_modules/a && echo '{}' > ${place}/node_modules/a/package.json && echo '${JSON.stringify({ packages: { 'node_modules/a': { version: '1.0.0' } } })}' > ${place}/node_modules/.package-lock.json\n`,
    { mode: 0o755 },
  );
  const ensure = async (): Promise<string> => {
    const text = `const { ensureNodeModules } = await import('file://${place}/scripts/lib/install.mjs'); await ensureNodeModules().catch((error) => console.log('failed'));`;
    const env = { PATH: `${place}/bin:${process.env['PATH'] ?? ''}`, NODE_OPTIONS: '--preserve-symlinks' };
    return (await output(script(t, text, env))).text;
  };
  const calls = (): number =>
    existsSync(join(place, 'calls')) ? readFileSync(join(place, 'calls'), 'utf8').split('\n').length - 1 : 0;

  writeFileSync(join(place, 'broken'), '');
  t.match(await ensure(), /failed/);
  t.equal(calls(), 1, 'tried');
  rmSync(join(place, 'broken'));
  mkdirSync(join(place, 'node_modules', 'a'), { recursive: true });
  await ensure();
  t.equal(calls(), 2, 'a folder without npm’s last file is installed again');
  await ensure();
  t.equal(calls(), 2, 'done is done');
  rmSync(join(place, 'node_modules'), { recursive: true });
  await ensure();
  t.equal(calls(), 3, 'removed by hand');
  writeFileSync(
    join(place, 'package-lock.json'),
    JSON.stringify({ packages: { ...lock.packages, 'node_modules/b': { version: '2.0.0' } } }),
  );
  await ensure();
  t.equal(calls(), 4, 'a new lock file');
});
