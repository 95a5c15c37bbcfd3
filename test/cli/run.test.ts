import { existsSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { type Test, test } from 'tap';
import { Program, sluice, temporaryFolder } from './lib/program.js';

/** A configuration whose source nobody serves. */
function configuration(t: Test, http = '127.0.0.1:0'): { readonly file: string; readonly socket: string } {
  const folder = temporaryFolder(t);
  const socket = join(folder, 'admin.sock');
  const file = join(folder, 'run.yaml');
  writeFileSync(
    file,
    [
      `admin: { listen: 127.0.0.1:0, socket: ${socket} }`,
      `http: { listen: ["${http}"] }`,
      'channels: [{ id: dark, name: Dark, renditions: [{ id: one, url: "http://127.0.0.1:9/x.ts", buffer: { memory: 1MiB } }] }]',
    ].join('\n'),
  );
  return { file, socket };
}

async function started(t: Test, file: string, ...more: string[]): Promise<Program> {
  const program = new Program(t, ['run', '-c', file, ...more]);
  await program.said(/"msg":"daemon is up"/, 20_000);
  return program;
}

test('show, why and stop against a running daemon', { timeout: 60_000 }, async (t) => {
  const { file, socket } = configuration(t);
  const daemon = await started(t, file);
  const table = await sluice(t, 'show', 'channels', '--admin', socket);
  t.match(table, { code: 0, stderr: '' });
  t.match(table.stdout, /^STREAM .*\ndark\/one /);
  const json = await sluice(t, 'show', 'channels', '--json', '--admin', socket);
  t.match(JSON.parse(json.stdout), { noun: 'channels', rows: [{ stream: 'dark/one' }] });
  t.match(await sluice(t, 'show', 'viewers', '--admin', socket), { code: 0, stdout: /^ID / });
  t.match(await sluice(t, 'show', 'nothing', '--admin', socket), { code: 1, stderr: /channels.*viewers/ });
  const why = await sluice(t, 'why', 'channel', 'dark', '--admin', socket);
  t.equal(why.code, 0);
  t.match(why.stdout, /one/);
  t.match(await sluice(t, 'why', 'channel', 'light', '--admin', socket), { code: 1, stderr: /NOT_FOUND/ });
  t.match(await sluice(t, 'stop', '--admin', socket), { code: 0, stdout: '' });
  t.match(await daemon.ended, { code: 0, signal: null });
  t.notOk(existsSync(socket), 'the socket is gone');
});

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  test(`${signal} ends the daemon within 5 s with exit code 0`, { timeout: 60_000 }, async (t) => {
    const { file } = configuration(t);
    const daemon = await started(t, file);
    const began = Date.now();
    daemon.child.kill(signal);
    daemon.child.kill(signal);
    t.match(await daemon.ended, { code: 0, signal: null });
    t.ok(Date.now() - began < 5000);
    for (const line of daemon.stderr.trimEnd().split('\n'))
      t.type(JSON.parse(line), 'object', 'every line of the log is JSON');
  });
}

test('a signal during the start is not lost', { timeout: 60_000 }, async (t) => {
  const { file } = configuration(t);
  const daemon = new Program(t, ['run', '-c', file, '--log-level', 'debug']);
  await daemon.said(/listens/, 20_000);
  daemon.child.kill('SIGTERM');
  t.match(await daemon.ended, { code: 0, signal: null });
});

test('a taken port is named, with exit code 1', { timeout: 60_000 }, async (t) => {
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
  t.teardown(() => void taken.close());
  const address = taken.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const { file, socket } = configuration(t, `127.0.0.1:${port}`);
  const { code, stderr } = await sluice(t, 'run', '-c', file);
  t.equal(code, 1);
  t.match(stderr, new RegExp(`sluice: ADDRESS_IN_USE: .*${port}`));
  t.notOk(existsSync(socket));
});

test('--log-level goes over the file', { timeout: 60_000 }, async (t) => {
  const { file, socket } = configuration(t);
  const quiet = new Program(t, ['run', '-c', file, '--log-level', 'error']);
  const deadline = Date.now() + 20_000;
  while ((await sluice(t, 'show', 'channels', '--admin', socket)).code !== 0) {
    if (Date.now() > deadline) throw new Error(`the daemon did not come up:\n${quiet.stderr}`);
  }
  quiet.child.kill('SIGTERM');
  const { code, stderr } = await quiet.ended;
  t.equal(code, 0);
  t.notMatch(stderr, /daemon is up/);
});
