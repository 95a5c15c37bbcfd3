import { spawnSync } from 'node:child_process';
import { chmod, mkdir, mkdtemp, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { adminSchema, DEFAULT_ADMIN } from '../../daemon/admin/settings.js';
import { prepareSocket } from '../../daemon/admin/unix-socket.js';
import { ask, json } from './client.js';
import { startHarness } from './fixture.js';

const anyPort = { address: '127.0.0.1', port: 0 };

/** A folder of its own for one test. */
async function folder(t: { teardown(action: () => Promise<void>): void }): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'sluice-admin-'));
  t.teardown(() => rm(path, { recursive: true, force: true }));
  return path;
}

function listening(server: Server, where: { path: string } | { host: string; port: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(where, resolve);
  });
}

t.test('settings', async (t) => {
  t.same(adminSchema.parse({}), {});
  t.same(adminSchema.parse({ listen: '[::1]:9480', socket: null }), {
    listen: { address: '::1', port: 9480 },
    socket: null,
  });
  for (const listen of ['0.0.0.0:9480', '192.0.2.1:9480', '[::]:9480', '[2001:db8::1]:9480']) {
    const { error } = adminSchema.safeParse({ listen });
    t.match(error?.issues[0]?.message, /loopback.*TLS/, listen);
  }
  t.notOk(adminSchema.safeParse({ listne: '127.0.0.1:1' }).success, 'unknown keys are refused');
  t.notOk(adminSchema.safeParse({ socket: 'relative.sock' }).success);
});

t.test('the Unix socket: folder made, mode 0660, answers, gone after the end', async (t) => {
  const path = join(await folder(t), 'run', 'admin.sock');
  const { admin, close } = await startHarness(undefined, { listen: anyPort, socket: path });
  t.equal(admin.socket, path);
  t.equal((await stat(path)).mode & 0o777, 0o660);
  const answer = await ask('http://anything.example/v1/status', { socketPath: path });
  t.equal(answer.status, 200, 'a browser cannot come this way: Host does not matter');
  t.match(json(answer), { pid: process.pid });
  await close();
  await t.rejects(stat(path), { code: 'ENOENT' });
  await close();
});

t.test('a stale socket of a daemon that was killed is replaced', async (t) => {
  const path = join(await folder(t), 'admin.sock');
  const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
  t.equal(spawnSync(process.execPath, ['-e', script], { timeout: 10_000 }).signal, 'SIGKILL');
  t.ok((await stat(path)).isSocket(), 'it left its socket behind');
  const { close } = await startHarness(undefined, { listen: anyPort, socket: path });
  t.equal((await ask('http://localhost/healthz', { socketPath: path })).status, 200);
  await close();
});

t.test('what is not ours to remove is left alone', async (t) => {
  const base = await folder(t);
  const [file, live, link] = [join(base, 'file'), join(base, 'live.sock'), join(base, 'link')];
  await writeFile(file, 'precious');
  await t.rejects(prepareSocket(file), { code: 'ADDRESS_IN_USE' });
  t.equal((await stat(file)).size, 8);
  await mkdir(join(base, 'dir'));
  await t.rejects(prepareSocket(join(base, 'dir')), { code: 'ADDRESS_IN_USE' });
  await symlink(file, link);
  await t.rejects(prepareSocket(link), { code: 'ADDRESS_IN_USE' }, 'a link is not followed');
  const server = createServer();
  await listening(server, { path: live });
  t.teardown(() => void server.close());
  await t.rejects(prepareSocket(live), { code: 'ADDRESS_IN_USE' });
  await t.rejects(prepareSocket(join(file, 'below', 'a.sock')), { code: 'SYSTEM_CALL' });
  await t.rejects(startHarness(undefined, { listen: anyPort, socket: live }), { code: 'ADDRESS_IN_USE' });
  await chmod(base, 0o755);
});

/**
 * Starts while the default port is taken: by this test, or by whoever has it already. That program (another test's daemon)
 * may end between the two steps; then the port is free for this test to take.
 */
async function startWhileTaken(test: { teardown(end: () => void): void }): ReturnType<typeof startHarness> {
  for (let tries = 0; ; tries++) {
    const blocker = createServer();
    test.teardown(() => void blocker.close());
    const ours = await listening(blocker, { host: DEFAULT_ADMIN.address, port: DEFAULT_ADMIN.port }).then(
      () => true,
      () => false,
    );
    const harness = await startHarness(undefined, { socket: null });
    const gaveWay = new URL(harness.admin.url).port !== String(DEFAULT_ADMIN.port);
    if (ours || gaveWay || tries >= 10) return harness;
    await harness.close();
  }
}

t.test('a taken port: what was named is an error, the default gives way', async (t) => {
  const { admin, close } = await startWhileTaken(t);
  t.teardown(close);
  t.not(new URL(admin.url).port, String(DEFAULT_ADMIN.port));
  t.equal((await ask(`${admin.url}/healthz`)).status, 200);
  const listen = { address: '127.0.0.1', port: Number(new URL(admin.url).port) };
  await t.rejects(startHarness(undefined, { listen, socket: null }), {
    code: 'ADDRESS_IN_USE',
    details: { where: `127.0.0.1:${listen.port}` },
  });
});

t.test('IPv6 loopback', async (t) => {
  const started = await startHarness(undefined, { listen: { address: '::1', port: 0 }, socket: null }).catch(
    (error: unknown) => error,
  );
  if (started instanceof Error) {
    t.match(started, { code: 'ADDRESS_INVALID' }, 'a machine without ::1 says so');
    return;
  }
  const { admin, close } = started as Awaited<ReturnType<typeof startHarness>>;
  t.match(admin.url, /^http:\/\/\[::1\]:\d+$/);
  t.equal((await ask(`${admin.url}/healthz`)).status, 200);
  await close();
});
