import { chmod } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { describeError, SluiceError } from '../base/errors.js';
import { formatEndpoint } from '../config/units.js';
import { buildApp } from './app.js';
import type { AdminContext, RouteContext } from './context.js';
import { LOOP_COLUMNS, loopRow } from './loops.js';
import { offerSelfMetrics } from './metrics.js';
import { Sampler } from './sampler.js';
import { type AdminConfig, DEFAULT_ADMIN } from './settings.js';
import { prepareSocket, SOCKET_MODE } from './unix-socket.js';

/** The admin API and the status page of one daemon. */
export interface Admin {
  /** Listens. Throws ADDRESS_IN_USE, ADDRESS_INVALID or SYSTEM_CALL for what the operator named; defaults give way. */
  start(): Promise<void>;
  /** Ends every connection and removes the Unix socket. Idempotent. */
  stop(): Promise<void>;
  /** `http://127.0.0.1:9480`; only after start. */
  readonly url: string;
  /** The Unix socket, or null when there is none; only after start. */
  readonly socket: string | null;
}

/** Puts the admin room together; nothing listens before {@link Admin.start}. */
export function createAdmin(config: AdminConfig, context: AdminContext): Admin {
  const sampler = new Sampler(context);
  return new AdminServer(config, { ...context, sampler });
}

class AdminServer implements Admin {
  #url = '';
  #socket: string | null = null;
  #withdraw: () => void = () => {};
  readonly #apps: FastifyInstance[] = [];

  constructor(
    private readonly config: AdminConfig,
    private readonly context: RouteContext,
  ) {}

  get url(): string {
    return this.#url;
  }

  get socket(): string | null {
    return this.#socket;
  }

  async start(): Promise<void> {
    const { sampler, metrics, planeLoops, log, registry } = this.context;
    this.#withdraw = registry.offer('loops', { columns: LOOP_COLUMNS, rows: () => sampler.loops().map(loopRow) });
    offerSelfMetrics(metrics, { loopDelay: sampler.loopDelay, planeLoops });
    sampler.start();
    try {
      await this.#listenTcp();
      await this.#listenUnix();
    } catch (error) {
      await this.stop();
      throw error;
    }
    log.info({ url: this.#url, socket: this.#socket }, 'admin API listens');
  }

  async stop(): Promise<void> {
    this.context.sampler.stop();
    this.#withdraw();
    await Promise.all(this.#apps.splice(0).map((app) => app.close()));
    this.#socket = null;
  }

  async #listenTcp(): Promise<void> {
    const app = await this.#app('tcp');
    const { address, port } = this.config.listen ?? DEFAULT_ADMIN;
    try {
      await app.listen({ host: address, port });
    } catch (cause) {
      if (this.config.listen !== undefined || (cause as NodeJS.ErrnoException).code !== 'EADDRINUSE') {
        throw listenError(formatEndpoint({ address, port }), cause);
      }
      // Fastify cannot listen again after a failure.
      const other = await this.#app('tcp');
      await other.listen({ host: address, port: 0 });
      this.context.log.warn({ taken: port }, 'the default admin port is taken: a free one is used');
      this.#url = urlOf(other);
      return;
    }
    this.#url = urlOf(app);
  }

  async #listenUnix(): Promise<void> {
    const path = this.config.socket === undefined ? DEFAULT_ADMIN.socket : this.config.socket;
    if (path === null) return;
    try {
      await prepareSocket(path);
      const app = await this.#app('unix');
      await app.listen({ path });
      await chmod(path, SOCKET_MODE);
      this.#socket = path;
    } catch (cause) {
      const error = cause instanceof SluiceError ? cause : listenError(path, cause);
      if (this.config.socket !== undefined || !(error instanceof SluiceError)) throw error;
      this.context.log.warn({ path }, `no admin socket: ${describeError(error)}`);
    }
  }

  async #app(transport: 'tcp' | 'unix'): Promise<FastifyInstance> {
    const app = await buildApp(this.context, transport);
    this.#apps.push(app);
    return app;
  }
}

function urlOf(app: FastifyInstance): string {
  const { address, port } = app.server.address() as AddressInfo;
  return `http://${formatEndpoint({ address, port })}`;
}

function listenError(where: string, cause: unknown): unknown {
  // Without a system call it is no matter of the address, but a fault of ours: not to be dressed up.
  if ((cause as NodeJS.ErrnoException).syscall === undefined) return cause;
  const code = (cause as NodeJS.ErrnoException).code;
  const known = { EADDRINUSE: 'ADDRESS_IN_USE', EADDRNOTAVAIL: 'ADDRESS_INVALID' } as const;
  const errorCode = code === 'EADDRINUSE' || code === 'EADDRNOTAVAIL' ? known[code] : 'SYSTEM_CALL';
  const says =
    code === 'EADDRINUSE'
      ? 'it is in use'
      : code === 'EADDRNOTAVAIL'
        ? 'this machine has no such address'
        : String(cause);
  return new SluiceError(errorCode, `the admin API cannot listen on ${where}: ${says}`, { where }, { cause });
}
