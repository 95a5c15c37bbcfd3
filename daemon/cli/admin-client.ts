import { type IncomingMessage, type RequestOptions, request } from 'node:http';
import { text as textOf } from 'node:stream/consumers';
import type { Command } from 'commander';
import { z } from 'zod';
import { ERROR_CODES, type ErrorCode, SluiceError } from '../base/errors.js';

/** Where a daemon on this machine listens unless its configuration says otherwise. */
export const DEFAULT_SOCKET = '/run/sluice/admin.sock';
const TIMEOUT_MS = 5000;
const MAX_ANSWER_BYTES = 64 * 2 ** 20;

/** Adds the option that says which daemon is meant. */
export function withAdmin(command: Command): Command {
  return command.option(
    '--admin <url>',
    'admin API of the daemon: http://ADDRESS:PORT or a socket path',
    DEFAULT_SOCKET,
  );
}

/** What the admin API answers when it refuses. */
const refusal = z.object({
  code: z.string(),
  message: z.string(),
  details: z.record(z.string(), z.unknown()).optional(),
});

function target(admin: string, path: string): RequestOptions {
  if (admin.startsWith('/')) return { socketPath: admin, path };
  const url = URL.canParse(admin) ? new URL(admin) : undefined;
  if (url === undefined || url.protocol !== 'http:') {
    throw new SluiceError(
      'USAGE',
      `--admin: not valid (expected http://ADDRESS:PORT or an absolute socket path, got ${admin})`,
    );
  }
  // Node wants IPv6 addresses without brackets here.
  return { hostname: url.hostname.replace(/^\[(.*)\]$/, '$1'), port: url.port, path };
}

/**
 * Asks the daemon's admin API.
 * @param admin URL or path of the Unix socket
 * @param path with query, such as `/v1/channels`
 * @param schema of a 2xx answer
 * @param post body of a POST; a GET is made without it
 * @throws SluiceError DAEMON_UNREACHABLE when no daemon answers, USAGE for a bad `--admin`, else what the daemon refused with
 */
export async function askDaemon<Schema extends z.ZodType>(
  admin: string,
  path: string,
  schema: Schema,
  post?: unknown,
): Promise<z.output<Schema>> {
  const { status, text } = await exchange(admin, target(admin, path), post);
  const answer = parseJson(admin, text);
  if (status >= 200 && status < 300) {
    const checked = schema.safeParse(answer);
    if (checked.success) return checked.data;
    throw unreachable(
      admin,
      'its answer is not what this version expects: is it a Sluice of the same version?',
      checked.error,
    );
  }
  throw refused(admin, status, answer);
}

function refused(admin: string, status: number, answer: unknown): SluiceError {
  const { data } = refusal.safeParse(answer);
  if (data === undefined) return unreachable(admin, `it answered with status ${status}`);
  const code = ERROR_CODES.find((known): known is ErrorCode => known === data.code) ?? 'DAEMON_UNREACHABLE';
  return new SluiceError(code, data.message, data.details);
}

/**
 * A GET whose answer goes on; the caller reads it to its end, or destroys it.
 * @throws SluiceError as of {@link askDaemon}
 */
export async function streamFromDaemon(admin: string, path: string): Promise<IncomingMessage> {
  const where = target(admin, path);
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const outgoing = request({ ...where, agent: false }, (answer) => {
      outgoing.setTimeout(0);
      resolve(answer);
    });
    outgoing.setTimeout(TIMEOUT_MS, () => outgoing.destroy(new Error(`no answer within ${TIMEOUT_MS} ms`)));
    outgoing.on('error', (error) => reject(unreachable(admin, reasonOf(error), error)));
    outgoing.end();
  });
  if (response.statusCode === 200) return response;
  throw refused(admin, response.statusCode ?? 0, parseJson(admin, await textOf(response)));
}

function exchange(
  admin: string,
  where: RequestOptions,
  body: unknown,
): Promise<{ readonly status: number; readonly text: string }> {
  return new Promise((resolve, reject) => {
    const method = body === undefined ? 'GET' : 'POST';
    const payload = body === undefined ? undefined : JSON.stringify(body);
    const headers = payload === undefined ? {} : { 'content-type': 'application/json' };
    const outgoing = request({ ...where, method, headers, timeout: TIMEOUT_MS, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      response.on('data', (chunk: Buffer) => {
        size += chunk.length;
        chunks.push(chunk);
        if (size > MAX_ANSWER_BYTES) outgoing.destroy(new Error('the answer is too large'));
      });
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8') }),
      );
      response.on('error', (error) => reject(unreachable(admin, error.message, error)));
    });
    outgoing.on('timeout', () => outgoing.destroy(new Error(`no answer within ${TIMEOUT_MS} ms`)));
    outgoing.on('error', (error) => reject(unreachable(admin, reasonOf(error), error)));
    outgoing.end(payload);
  });
}

function parseJson(admin: string, text: string): unknown {
  try {
    return text === '' ? null : JSON.parse(text);
  } catch (cause) {
    throw unreachable(admin, 'its answer is not JSON', cause);
  }
}

function reasonOf(error: NodeJS.ErrnoException): string {
  switch (error.code ?? '') {
    case 'ENOENT':
      return 'there is no such socket: is the daemon running?';
    case 'ECONNREFUSED':
      return 'nobody listens there: is the daemon running?';
    case 'EACCES':
      return 'this user may not connect to it';
    default:
      return error.message;
  }
}

function unreachable(admin: string, reason: string, cause?: unknown): SluiceError {
  return new SluiceError(
    'DAEMON_UNREACHABLE',
    `no answer from the daemon at ${admin}: ${reason}`,
    { admin },
    { cause },
  );
}
