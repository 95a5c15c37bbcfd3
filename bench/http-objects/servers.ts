import { mkdirSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../../test/lab/lib/compile.js';
import type { Child } from '../../test/lab/lib/process.js';
import { which } from '../../test/lab/lib/tools.js';
import { Absent } from '../lib/bench.js';
import { memoryBytes, processTree } from '../lib/processes.js';
import { SOURCE_ADDRESS, type Topology } from '../lib/topology.js';
import { type Certificate, tlsTool, tool } from './programs.js';

export const HTTP_PORT = 8080;
export const HTTPS_PORT = 8443;
/** Every server offers the origin's `/` as this. */
export const PREFIX = '/live/';
export const ORIGIN_PORT = 8000;
const ORIGIN = `${SOURCE_ADDRESS}:${ORIGIN_PORT}`;
/** As much as each of the caches may hold. */
const STORE_MEGABYTES = 1024;

/** A server of objects between the origin and the viewers. */
export interface Server {
  readonly name: string;
  /** Listens on {@link HTTP_PORT}, and on {@link HTTPS_PORT} where it can and there is a certificate. */
  start(topology: Topology, tls: Certificate | null): Promise<Child>;
  /** Bytes that a server holds, wherever it keeps its objects; without the kernel's for sockets. */
  memory(server: Child): number;
}

const ofProcesses = (server: Child): number => memoryBytes(processTree(server.pid));

function program(name: string): string {
  const path = which(name);
  if (path === undefined) throw new Absent('not installed');
  return path;
}

export const sluice: Server = {
  name: 'sluice',
  memory: ofProcesses,
  async start({ edge, lab }, tls) {
    const secured = tls === null ? {} : { tls: [{ listen: `0.0.0.0:${HTTPS_PORT}`, ...tls }] };
    const configuration = {
      admin: { listen: '127.0.0.1:9480', socket: lab.file('admin.sock') },
      log: { level: 'warn' },
      http: { listen: [`0.0.0.0:${HTTP_PORT}`], ...secured },
      objects: { memory: `${STORE_MEGABYTES}MiB` },
      sites: [{ id: 'bench', prefix: PREFIX, origin: `http://${ORIGIN}/` }],
    };
    const file = lab.file('sluice.yaml');
    writeFileSync(file, JSON.stringify(configuration)); // JSON is YAML
    const command = [process.execPath, join(ROOT, 'dist/daemon/cli/sluice.js')];
    const check = await edge.exec([...command, 'check', '-c', file]);
    const refusal = check.stderr.split('\n')[0]?.replace(`${file}:`, '') ?? '';
    if (check.code !== 0) throw new Absent(`this build refuses its configuration: ${refusal}`);
    return edge.spawn('sluice', [...command, 'run', '-c', file]);
  },
};

export const bare: Server = {
  name: 'bare-objects',
  memory: ofProcesses,
  async start({ edge }, tls) {
    const origin = [SOURCE_ADDRESS, String(ORIGIN_PORT)];
    if (tls === null) return edge.spawn('bare-objects', [await tool('bare-objects'), String(HTTP_PORT), ...origin]);
    const command = [await tlsTool('bare-objects-tls'), String(HTTPS_PORT), ...origin, tls.certificate, tls.key];
    return edge.spawn('bare-objects-tls', command);
  },
};

/** A command under which a folder is memory, that is gone with the process. */
function withMemoryFolder(folder: string, command: readonly string[]): string[] {
  mkdirSync(folder, { recursive: true });
  return ['sh', '-c', 'mount -t tmpfs tmpfs "$0" && exec "$@"', folder, ...command];
}

const nginxStore = (topology: Pick<Topology, 'lab'>): string => topology.lab.file('nginx-store');

/** nginx as a cache of live segments is set up: one worker, its store in memory, nobody fetches what another is fetching. */
export function nginx(topology: Topology): Server {
  const store = nginxStore(topology);
  return {
    name: 'nginx',
    memory(server) {
      // Its objects are files, seen from inside its own mount namespace.
      const { blocks, bfree, bsize } = statfsSync(`/proc/${server.pid}/root${store}`);
      return ofProcesses(server) + (blocks - bfree) * bsize;
    },
    async start({ edge, lab }, tls) {
      const file = lab.file('nginx.conf');
      writeFileSync(file, nginxConfiguration(store, lab.file('nginx.pid'), tls));
      return edge.spawn('nginx', withMemoryFolder(store, [program('nginx'), '-c', file, '-e', 'stderr']));
    },
  };
}

function nginxConfiguration(store: string, pid: string, tls: Certificate | null): string {
  const secured =
    tls === null
      ? ''
      : `listen ${HTTPS_PORT} ssl backlog=4096;
    ssl_certificate ${tls.certificate};
    ssl_certificate_key ${tls.key};
    ssl_protocols TLSv1.3;
    ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;
    ssl_ecdh_curve X25519;`;
  return `daemon off;
user root;
worker_processes 1;
worker_rlimit_nofile 16384;
pid ${pid};
error_log stderr error;
events { worker_connections 8192; }
http {
  access_log off;
  sendfile on;
  tcp_nopush on;
  tcp_nodelay on;
  keepalive_timeout 65s;
  keepalive_requests 100000;
  default_type video/mp2t;
  open_file_cache max=2000 inactive=60s;
  open_file_cache_valid 60s;
  client_body_temp_path ${store}/body;
  fastcgi_temp_path ${store}/fastcgi;
  uwsgi_temp_path ${store}/uwsgi;
  scgi_temp_path ${store}/scgi;
  proxy_temp_path ${store}/proxy;
  proxy_cache_path ${store}/objects levels=1:2 keys_zone=objects:10m max_size=${STORE_MEGABYTES}m inactive=60s use_temp_path=off;
  upstream origin { server ${ORIGIN}; keepalive 16; }
  server {
    listen ${HTTP_PORT} backlog=4096;
    ${secured}
    location ${PREFIX} {
      proxy_pass http://origin/;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffer_size 16k;
      proxy_buffers 16 64k;
      proxy_busy_buffers_size 128k;
      proxy_cache objects;
      proxy_cache_key $uri;
      proxy_cache_valid 200 60s;
      proxy_cache_lock on;
      proxy_cache_lock_timeout 60s;
      proxy_cache_lock_age 60s;
    }
  }
}
`;
}

/** Varnish with its defaults but for the threads, which are there before the viewers come: it streams while it fetches. */
export const varnish: Server = {
  name: 'varnish',
  memory: ofProcesses,
  async start({ edge, lab }, tls) {
    if (tls !== null) throw new Absent('has no TLS');
    const file = lab.file('varnish.vcl');
    writeFileSync(file, VARNISH_CONFIGURATION);
    const work = lab.file('varnish');
    const pool = ['thread_pools=2', 'thread_pool_min=300', 'thread_pool_max=2000', 'http_gzip_support=off'];
    const parameters = pool.flatMap((parameter) => ['-p', parameter]);
    const store = ['-s', `malloc,${STORE_MEGABYTES}M`];
    const listen = ['-a', `0.0.0.0:${HTTP_PORT}`, '-T', 'none'];
    const command = [program('varnishd'), '-F', '-j', 'none', '-n', work, '-f', file, ...listen, ...store];
    return edge.spawn('varnish', withMemoryFolder(work, [...command, ...parameters]));
  },
};

const VARNISH_CONFIGURATION = `vcl 4.1;
backend origin {
  .host = "${SOURCE_ADDRESS}";
  .port = "${ORIGIN_PORT}";
  .first_byte_timeout = 60s;
  .between_bytes_timeout = 60s;
}
sub vcl_recv {
  set req.url = regsub(req.url, "^${PREFIX}", "/");
}
`;
