// TLS on the viewers' front: what openssl and curl make of it, and certificates that are renewed while it runs.
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { createServer, type Server } from 'node:http';
import { Agent, get } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t, { type Test } from 'tap';
import { ManualClock } from '../../daemon/base/clock.js';
import { SluiceError } from '../../daemon/base/errors.js';
import { createLogger } from '../../daemon/base/log.js';
import { Metrics } from '../../daemon/base/metrics.js';
import type { CertificateFiles } from '../../daemon/plane/certificates.js';
import { ExpiryWatch, readCertificates } from '../../daemon/plane/certificates.js';
import { temporaryFolder } from '../cli/lib/program.js';
import { type MakeOptions, makeCertificate as make } from '../plane/certificates.js';
import { until } from '../streams/edge.js';
import { Bed, channel } from './bed.js';

t.setTimeout(60_000);

const MIB = 2 ** 20;
const channels = [channel('dark', { url: 'http://127.0.0.1:9/x.ts' })];

/** Gives /slow in two halves, the second when told to. */
class Origin {
  readonly server: Server;
  release: () => void = () => {};
  private constructor() {
    this.server = createServer((request, response) => {
      if (request.url !== '/slow') return void response.end(`this is ${request.url}`);
      response.writeHead(200, { 'content-length': 2 * MIB });
      response.write(Buffer.alloc(MIB, 1));
      this.release = () => void response.end(Buffer.alloc(MIB, 2));
    });
  }

  static async start(t: Test): Promise<Origin> {
    const origin = new Origin();
    origin.server.listen(0, '127.0.0.1');
    await once(origin.server, 'listening');
    t.teardown(() => {
      origin.server.closeAllConnections();
      origin.server.close();
    });
    return origin;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/`;
  }
}

/** `FILE.pem` and `FILE.key`, for `FILE.example` unless another name is given. */
function makeCertificate(
  folder: string,
  file: string,
  name = `${file}.example`,
  more: Partial<MakeOptions> = {},
): CertificateFiles {
  return make(folder, file, { names: `DNS:${name},IP:127.0.0.1`, commonName: name, days: 60, ...more });
}

interface Scene {
  readonly bed: Bed;
  readonly origin: Origin;
  readonly port: number;
  readonly folder: string;
  readonly settings: object;
}

async function start(t: Test, certificates: (folder: string) => readonly CertificateFiles[]): Promise<Scene> {
  const folder = temporaryFolder(t);
  const origin = await Origin.start(t);
  const settings = {
    channels,
    sites: [{ id: 'site', origin: origin.url }],
    http: { listen: ['127.0.0.1:0'], tls: [{ listen: '127.0.0.1:0', certificates: certificates(folder) }] },
  };
  const bed = await Bed.start(t, settings);
  const port = bed.lines.map((line) => /"listen":"127\.0\.0\.1:(\d+)","tls":true/.exec(line)?.[1]).find(Boolean);
  return { bed, origin, port: Number(port), folder, settings };
}

const two = (folder: string): CertificateFiles[] => [
  makeCertificate(folder, 'first', 'first.example'),
  makeCertificate(folder, 'second', 'second.example', { newkey: ['rsa:2048'] }),
];

async function client(command: string, ...args: string[]): Promise<string> {
  const work = promisify(execFile)(command, args, { encoding: 'utf8' });
  work.child.stdin?.end('GET /site/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
  const { stdout, stderr } = await work;
  return stdout + stderr;
}

function sClient({ port }: Scene, ...args: string[]): Promise<string> {
  return client('openssl', 's_client', '-ign_eof', '-connect', `127.0.0.1:${port}`, ...args);
}

t.test('openssl and curl are served by TLS 1.2 and 1.3, with the certificate for the name', async (t) => {
  const scene = await start(t, two);
  for (const version of ['1.2', '1.3']) {
    const flag = `-tls${version.replace('.', '_')}`;
    const said = await sClient(scene, flag, '-servername', 'second.example');
    t.match(said, /subject=CN ?= ?second\.example/, version);
    t.match(said, new RegExp(`TLSv${version}`));
    t.match(said, /this is \/x/, 'what the plain listener serves, too');
    t.match(
      await sClient(scene, flag, '-servername', 'other.example'),
      /subject=CN ?= ?first\.example/,
      'else the first',
    );
    const url = `https://first.example:${scene.port}/site/y`;
    const there = ['--resolve', `first.example:${scene.port}:127.0.0.1`, '--cacert', join(scene.folder, 'first.pem')];
    t.equal(await client('curl', '-sS', '--tlsv1.2', '--tls-max', version, ...there, url), 'this is /y');
  }
  await t.rejects(sClient(scene, '-tls1_1'), 'nothing older');
});

t.test('a session is resumed, also after the certificate is renewed', async (t) => {
  const scene = await start(t, two);
  for (const flag of ['-tls1_2', '-tls1_3']) {
    const session = join(scene.folder, `session${flag}`);
    t.match(await sClient(scene, flag, '-sess_out', session), /^New, TLSv1/m);
    t.match(await sClient(scene, flag, '-sess_in', session), /^Reused, TLSv1/m, flag);
    makeCertificate(scene.folder, 'first', 'first.example');
    await scene.bed.reload();
    t.match(await sClient(scene, flag, '-sess_in', session), /^Reused, TLSv1/m, `${flag}, renewed`);
  }
});

t.test('a reload takes renewed files though the configuration is the same; a download goes on', async (t) => {
  const scene = await start(t, (folder) => [makeCertificate(folder, 'one', 'old.example')]);
  const agent = new Agent({ keepAlive: true, rejectUnauthorized: false });
  t.teardown(() => agent.destroy());
  const request = get(`https://127.0.0.1:${scene.port}/site/slow`, { agent });
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  let bytes = 0;
  response.on('data', (piece: Buffer) => {
    bytes += piece.length;
  });
  await until('the first half is there', () => bytes === MIB);

  makeCertificate(scene.folder, 'one', 'new.example');
  const outcome = await scene.bed.reload();
  t.match(outcome, { outcome: 'unchanged', steps: ['http.tls: reads the certificates of 127.0.0.1:0 again'] });
  t.match(await sClient(scene), /subject=CN ?= ?new\.example/);
  scene.origin.release();
  await once(response, 'end');
  t.equal(bytes, 2 * MIB, 'the download of before ends whole');
});

t.test('files that cannot be used change nothing, and are named', async (t) => {
  const scene = await start(t, (folder) => [makeCertificate(folder, 'one', 'good.example')]);
  const [certificate, key] = [join(scene.folder, 'one.pem'), join(scene.folder, 'one.key')];
  const good = { certificate: readFileSync(certificate), key: readFileSync(key) };
  const other = makeCertificate(scene.folder, 'other', 'other.example');
  const weak = makeCertificate(scene.folder, 'weak', 'weak.example', { newkey: ['rsa:1024'] });
  const cases: [string, () => void, RegExp][] = [
    ['no certificate', () => writeFileSync(certificate, 'hello'), /one\.pem: expected a certificate in PEM/],
    [
      'a broken one',
      () => writeFileSync(certificate, good.certificate.toString().replace(/M/g, 'N')),
      /one\.pem: a certificate in it cannot be read/,
    ],
    ['no key', () => writeFileSync(key, 'hello'), /one\.key: expected a private key in PEM/],
    [
      'the key of another',
      () => copyFileSync(other.key, key),
      /one\.key: the key is not that of the certificate in .*one\.pem/,
    ],
    [
      'a weak key',
      () => {
        copyFileSync(weak.certificate, certificate);
        copyFileSync(weak.key, key);
      },
      /one\.pem: .*too small/,
    ],
  ];
  for (const [name, spoil, expected] of cases) {
    spoil();
    const error = await scene.bed.reload().catch((thrown: unknown) => thrown);
    t.match(error, { code: 'TLS_CERTIFICATE', message: expected }, name);
    t.match(await sClient(scene), /subject=CN ?= ?good\.example/, `${name}: the one of before is shown`);
    writeFileSync(certificate, good.certificate);
    writeFileSync(key, good.key);
  }
  const missing = { listen: '127.0.0.1:0', certificate: join(scene.folder, 'nothing.pem'), key };
  const http = { listen: ['127.0.0.1:0'], tls: [missing] };
  const error = await Bed.start(t, { channels, http }).catch((thrown: unknown) => thrown);
  t.ok(error instanceof SluiceError);
  t.match(error, { code: 'TLS_CERTIFICATE', message: /nothing\.pem: cannot be read/ }, 'at the start');
});

t.test('what a step after the renewal spoils gives back the certificate of before', async (t) => {
  const scene = await start(t, (folder) => [makeCertificate(folder, 'one', 'old.example')]);
  makeCertificate(scene.folder, 'one', 'new.example');
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  t.teardown(() => taken.close());
  const group = { address: '239.255.1.1', port: 5000, interface: 'nosuch0' };
  const broken = channel('broken', { url: 'http://127.0.0.1:9/y.ts', multicast: group });
  await t.rejects(scene.bed.reload({ ...scene.settings, channels: [...channels, broken] }), {
    code: 'INTERFACE_UNKNOWN',
  });
  t.match(await sClient(scene), /subject=CN ?= ?old\.example/);
});

t.test('listeners with TLS come and go; the expiry is a metric', async (t) => {
  const scene = await start(t, (folder) => [makeCertificate(folder, 'one', 'one.example', { days: 30 })]);
  const expiry = /^sluice_tls_certificate_expiry_timestamp_seconds\{certificate="[^"]*one\.pem"\} ([\d.e+]+)$/m;
  const seconds = Number(expiry.exec(await scene.bed.metrics())?.[1]);
  t.ok(Math.abs(seconds - Date.now() / 1000 - 30 * 86_400) < 3600, 'thirty days from now');
  t.match(await scene.bed.reload({ ...scene.settings, http: { listen: ['127.0.0.1:0'] } }), {
    steps: ['http.listen: URLs name the first address', 'http.tls: closes 127.0.0.1:0, viewers there are disconnected'],
  });
  await t.rejects(sClient(scene), 'nobody listens');
  t.notMatch(await scene.bed.metrics(), expiry);
  t.match(await scene.bed.reload(scene.settings), {
    steps: ['http.tls: opens 127.0.0.1:0', 'http.listen: URLs name the first address'],
  });
  t.match(await scene.bed.metrics(), expiry);
});

t.test('what expires soon is warned of, once a day', async (t) => {
  const folder = temporaryFolder(t);
  const lines: string[] = [];
  const log = createLogger({ level: 'info' }, { write: (line: string) => void lines.push(line) });
  const clock = new ManualClock(0, Date.now());
  const loaded = await readCertificates([makeCertificate(folder, 'one', 'one.example', { days: 16 })]);
  const watch = new ExpiryWatch({ log, clock, metrics: new Metrics() }, () => loaded);
  watch.look(loaded);
  await clock.advance(86_400_000);
  t.same(lines, []);
  await clock.advance(2 * 86_400_000);
  t.equal(lines.length, 2);
  t.match(lines[0], /one\.pem.*a certificate expires in 13 days/);
  await clock.advance(14 * 86_400_000);
  t.match(lines.at(-1), /has expired/);
  watch.close();
  t.equal(clock.pending, 0);
});
