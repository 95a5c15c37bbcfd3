import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { Program, sluice, temporaryFolder } from './lib/program.js';

t.setTimeout(170_000);

const channel = (id: string, more = ''): string =>
  `{ id: ${id}, renditions: [{ id: one, url: "http://127.0.0.1:9/x.ts", buffer: { memory: 1MiB } }]${more} }`;

class Files {
  readonly folder: string;
  readonly socket: string;
  readonly file: string;

  constructor(t: Test) {
    this.folder = temporaryFolder(t);
    this.socket = join(this.folder, 'admin.sock');
    this.file = join(this.folder, 'run.yaml');
  }

  text(channels: readonly string[], more: string): string {
    const admin = `admin: { listen: 127.0.0.1:0, socket: ${this.socket} }\nhttp: { listen: ["127.0.0.1:0"] }`;
    return `${admin}\n${more}\nchannels: [${channels.join(', ')}]\n`;
  }

  write(channels: readonly string[], more = ''): void {
    writeFileSync(this.file, this.text(channels, more));
  }
}

async function ids(t: Test, socket: string): Promise<string[]> {
  const { stdout } = await sluice(t, 'show', 'channels', '--json', '--admin', socket);
  return (JSON.parse(stdout) as { rows: { stream: string }[] }).rows.map(({ stream }) => stream);
}

async function started(t: Test, file: string, ...more: string[]): Promise<Program> {
  const program = new Program(t, ['run', '-c', file, ...more]);
  await program.said(/"msg":"daemon is up"/, 20_000);
  return program;
}

t.test('SIGHUP reloads the file that the daemon was started with, and the log tells', async (t) => {
  const files = new Files(t);
  files.write([channel('a')]);
  const daemon = await started(t, files.file);
  files.write([channel('a', ', name: Alpha'), channel('b')]);
  daemon.child.kill('SIGHUP');
  const [line] = await daemon.said(/^.*"msg":"configuration reloaded".*$/m, 10_000);
  t.match(JSON.parse(line), {
    by: 'SIGHUP',
    file: files.file,
    changes: ['+ channels[a].name: "Alpha"', /^\+ channels\[b\]: \{/],
    steps: ['stream a/one: new labels; its viewers stay', /channels/, 'stream b/one: begins'],
  });
  t.same(await ids(t, files.socket), ['a/one', 'b/one']);
  writeFileSync(files.file, 'channels:\n  - id: Bad\n');
  daemon.child.kill('SIGHUP');
  const [refused] = await daemon.said(/^.*"msg":"reload refused: nothing was changed".*$/m, 10_000);
  t.match(JSON.parse(refused), { level: 'error', err: { code: 'CONFIG_INVALID', message: /run\.yaml:2:9: / } });
  t.same(await ids(t, files.socket), ['a/one', 'b/one']);
  daemon.child.kill('SIGTERM');
  t.match(await daemon.ended, { code: 0, signal: null });
});

t.test('SIGHUP during the start is no end', async (t) => {
  const files = new Files(t);
  files.write([channel('a')]);
  const daemon = new Program(t, ['run', '-c', files.file]);
  await daemon.said(/front listens/, 20_000);
  daemon.child.kill('SIGHUP');
  await daemon.said(/RELOAD_UNAVAILABLE|configuration is unchanged/, 10_000);
  await daemon.said(/daemon is up/, 10_000);
  t.same(await ids(t, files.socket), ['a/one']);
  daemon.child.kill('SIGTERM');
  t.match(await daemon.ended, { code: 0, signal: null });
});

t.test('sluice reload and check --diff', async (t) => {
  const files = new Files(t);
  const { file, socket } = files;
  files.write([channel('a')]);
  const daemon = await started(t, file, '--log-level', 'info');
  const reload = (...more: string[]) => sluice(t, 'reload', '--admin', socket, ...more);
  const check = (...more: string[]) => sluice(t, 'check', '-c', file, '--admin', socket, '--diff', ...more);
  t.match(await check(), { code: 0, stdout: `${file}: the same as the daemon at ${socket}\n` });
  t.match(await reload(), { code: 0, stdout: `${file}: nothing has changed\n` });

  files.write([channel('a', ', name: A')], 'log: { level: warn }');
  const table = /^CHANGE +KEY +RUNNING +NEW\nchanged +log\.level +info +warn\nadded +channels\[a\]\.name +- +A$/m;
  t.match(await check(), { code: 0, stdout: table });
  t.match(await check('--exit-code'), { code: 1, stdout: table, stderr: '' });
  const dry = await reload('--dry-run');
  t.match(dry, { code: 0, stdout: table });
  t.match(dry.stdout, /: would be done\n/);
  t.match(dry.stdout, /^stream a\/one: new labels/m);
  const json = await reload('--json');
  t.match(JSON.parse(json.stdout), { outcome: 'applied', file, changes: [{ key: 'log.level' }, { new: 'A' }] });
  t.match(json.stdout, /the level stays info, as the command line says/);
  t.match(daemon.stderr, /"by":"API".*configuration reloaded/);

  files.write([channel('a', ', name: A')], 'log: { level: warn }\nplane: { memory: 2GiB }');
  t.match(await check(), { code: 0, stdout: /a restart is needed for: plane\.memory/ });
  t.match(JSON.parse((await check('--json')).stdout), { same: false, file, restart: ['plane.memory'], changes: [{}] });
  t.match(await reload(), { code: 1, stdout: '', stderr: /^sluice: RELOAD_NEEDS_RESTART: .*plane\.memory/ });

  const other = join(files.folder, 'other.yaml');
  writeFileSync(other, files.text([channel('b')], 'log: { level: warn }'));
  t.match(await check(other), { code: 0, stdout: /^changed +plane\.memory/m });
  t.match(await check(other), {
    stdout: /^removed +channels\[b\] +\{"id":"b",.*… {2}-\nadded +channels\[a\] +- +\{"id":"a"/m,
  });
  t.match(await check(other, '--exit-code'), { code: 1 });
  t.match(await check(file, '--exit-code'), { code: 0, stdout: /the same as/ });

  files.write(['nothing']);
  t.match(await check(), { code: 2, stdout: '', stderr: /^.*run\.yaml:\d+:\d+: channels\[0\]: / });
  t.match(JSON.parse((await check('--json')).stdout), {
    ok: false,
    file,
    code: 'CONFIG_INVALID',
    problems: [{ key: 'channels[0]' }],
  });
  t.match(await reload(), { code: 2, stdout: '', stderr: /^.*run\.yaml:\d+:\d+: channels\[0\]: / });
  daemon.child.kill('SIGTERM');
  t.match(await daemon.ended, { code: 0 });
  files.write([channel('a')]);
  t.match(await check(), { code: 1, stderr: /DAEMON_UNREACHABLE/ });
});
