import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { type Test, test } from 'tap';
import { createLogger } from '../../daemon/base/log.js';
import { ROOT } from '../../daemon/cli/root.js';
import { ServiceManager } from '../../daemon/plane/service-manager.js';
import { temporaryFolder } from '../cli/lib/program.js';
import { compile } from '../lab/lib/compile.js';

const SLUICE = join(ROOT, 'dist', 'daemon', 'cli', 'sluice.js');
const LIMIT_MS = 30_000;
const skip = spawnSync('g++', ['--version']).status === 0 ? false : 'g++ is not installed';

/** A port that nobody uses now. */
function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

/** The daemon under the small service manager of manager.cc. */
class Managed {
  output = '';
  readonly child: ChildProcess;

  private constructor(
    t: Test,
    manager: string,
    readonly file: string,
    args: readonly string[],
  ) {
    this.child = spawn(manager, [...args, process.execPath, SLUICE, 'run', '-c', file]);
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.output += text;
      });
    }
    t.teardown(() => void this.child.kill('SIGKILL'));
  }

  static async start(t: Test, watchdogMs: number, listen: string): Promise<Managed> {
    const folder = temporaryFolder(t);
    const manager = await compile('manager', ['test/service/manager.cc']);
    const file = join(folder, 'run.yaml');
    const managed = new Managed(t, manager, file, [join(folder, 'notify'), String(watchdogMs * 1000)]);
    managed.configure(listen);
    return managed;
  }

  configure(listen: string): void {
    const lines = [
      'admin: { listen: 127.0.0.1:0, socket: null }',
      `http: { listen: ["${listen}"] }`,
      'channels: [{ id: dark, renditions: [{ id: one, url: "http://127.0.0.1:9/x.ts", buffer: { memory: 1MiB } }] }]',
    ];
    writeFileSync(this.file, lines.join('\n'));
  }

  /** Waits until the output since `from` matches. */
  async said(pattern: RegExp, from = 0): Promise<RegExpExecArray> {
    const deadline = Date.now() + LIMIT_MS;
    for (;;) {
      const match = pattern.exec(this.output.slice(from));
      if (match !== null) return match;
      if (Date.now() > deadline) throw new Error(`${String(pattern)} did not come:\n${this.output}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Ends the daemon and waits for that; nobody accepts then. */
  async end(): Promise<void> {
    const from = this.output.length;
    process.kill(Number((await this.#lastStart())[1]), 'SIGTERM');
    await this.said(/^message STOPPING=1/m, from);
    await this.said(/^ended 0$/m, from);
  }

  /** Starts it again; returns where its output begins. */
  again(): number {
    const from = this.output.length;
    this.child.stdin?.write('again\n');
    return from;
  }

  async #lastStart(): Promise<RegExpExecArray> {
    await this.said(/^started \d+$/m);
    return [...this.output.matchAll(/^started (\d+)$/gm)].at(-1) ?? (await this.said(/^started (\d+)$/m));
  }
}

function connected(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => resolve(socket));
    socket.on('error', reject);
  });
}

function statusOf(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    get({ port, host: '127.0.0.1', path: '/channels.m3u', agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    }).on('error', reject);
  });
}

test('it tells that it is ready, and that it lives', { skip, timeout: 90_000 }, async (t) => {
  const managed = await Managed.start(t, 400, '127.0.0.1:0');
  await managed.said(/^message READY=1\|STATUS=serving 1 channels at http:/m);
  await managed.said(/(^message WATCHDOG=1 fds=0$[\s\S]*){3}/m);
  t.notMatch(managed.output, /FDSTORE/, 'a port that was picked is not kept');
  await managed.end();
  t.ok(managed.output.indexOf('READY=1') < managed.output.indexOf('WATCHDOG=1'), 'ready comes first');
});

test('a restart refuses nobody', { skip, timeout: 90_000 }, async (t) => {
  const port = await freePort();
  const managed = await Managed.start(t, 60_000, `127.0.0.1:${port}`);
  await managed.said(new RegExp(`^message FDSTORE=1\\|FDNAME=viewers-127\\.0\\.0\\.1_${port} fds=1$`, 'm'));
  await managed.said(/^message READY=1/m);
  t.equal(await statusOf(port), 200);
  await managed.end();
  // Comes while nothing runs, and is answered by the next.
  const early = await connected(port);
  let got = '';
  early.setEncoding('latin1').on('data', (text: string) => {
    got += text;
  });
  const closed = new Promise((resolve) => early.once('close', resolve));
  early.write('GET /channels.m3u HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
  const from = managed.again();
  await managed.said(/a listening socket was kept over the restart/, from);
  await closed;
  t.match(got, /^HTTP\/1\.1 200 /);
  t.notMatch(managed.output.slice(from), /FDSTORE/, 'what is kept is not kept twice');

  // A configuration that listens elsewhere, on the same port: the kept socket must not stand in its way.
  await managed.end();
  managed.configure(`0.0.0.0:${port}`);
  const moved = managed.again();
  await managed.said(new RegExp(`^message FDSTOREREMOVE=1\\|FDNAME=viewers-127\\.0\\.0\\.1_${port}`, 'm'), moved);
  await managed.said(new RegExp(`^message FDSTORE=1\\|FDNAME=viewers-0\\.0\\.0\\.0_${port} fds=1`, 'm'), moved);
  await managed.said(/^message READY=1/m, moved);
  t.equal(await statusOf(port), 200);
  await managed.end();
});

test('the watchdog is fed only while everything lives', async (t) => {
  const told: string[] = [];
  const native = () => ({
    notifyService: (_socket: string, state: string) => void told.push(state),
    inheritListener: () => null,
    dropInherited: () => undefined,
  });
  const environment = {
    ...{ NOTIFY_SOCKET: '/x', WATCHDOG_USEC: '4000', WATCHDOG_PID: String(process.pid), PATH: '/bin' },
    FDSTORE: '4',
  };
  const service = new ServiceManager(createLogger({ level: 'silent' }), environment, native);
  t.same(environment, { PATH: '/bin' }, 'nothing is left for the programs that are started');
  const listen = { address: '127.0.0.1', port: 80 };
  t.equal(service.room, 4);
  service.keepListener(0, listen);
  service.keepListener(0, listen);
  t.equal(service.room, 3, 'listeners have their place in it');
  service.forgetListener(listen);
  t.equal(service.room, 4);
  told.length = 0;
  let alive = true;
  let asked = 0;
  service.watch(() => {
    asked++;
    return alive;
  });
  const until = async (done: () => boolean) => {
    while (!done()) await new Promise((resolve) => setTimeout(resolve, 1));
  };
  await until(() => told.length > 1);
  alive = false;
  const [fed, seen] = [told.length, asked];
  await until(() => asked > seen + 2);
  t.equal(told.length, fed);
  service.reloading();
  t.match(told.at(-1), /^RELOADING=1\nMONOTONIC_USEC=\d+$/);
  service.status('one\nREADY=1');
  t.equal(told.at(-1), 'STATUS=one READY=1', 'a text cannot say more than a status');
});

test('what is for another process is left alone', async (t) => {
  const other = { NOTIFY_SOCKET: '/x', WATCHDOG_USEC: '1000', WATCHDOG_PID: '1', LISTEN_PID: '1', LISTEN_FDS: '1' };
  const unused = () => {
    throw new Error('nothing of it is to be touched');
  };
  const service = new ServiceManager(createLogger({ level: 'silent' }), other, unused);
  service.watch(unused);
  t.equal(service.takeListener({ address: '127.0.0.1', port: 80 }), undefined);
  t.equal(service.room, 0, 'it does not say');
  service.dropUntaken();
});
