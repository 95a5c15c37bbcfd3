import { lstat, mkdir, unlink } from 'node:fs/promises';
import { connect } from 'node:net';
import { dirname } from 'node:path';
import { SluiceError } from '../base/errors.js';

/** Permissions of the socket: owner and group; connecting needs the right to write (unix(7)). */
export const SOCKET_MODE = 0o660;
const ANSWER_WITHIN_MS = 1000;

/**
 * Makes the path free to bind: creates the folder, removes a socket that nobody listens on any more.
 * Throws ADDRESS_IN_USE when somebody listens or the path is not a socket, SYSTEM_CALL when the folder cannot be made.
 */
export async function prepareSocket(path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o755 }).catch((cause: unknown) => {
    throw new SluiceError(
      'SYSTEM_CALL',
      `the folder of the admin socket ${path} cannot be made: ${String(cause)}`,
      { path },
      { cause },
    );
  });
  const found = await lstat(path).catch(() => undefined);
  if (found === undefined) return;
  if (!found.isSocket()) {
    throw new SluiceError(
      'ADDRESS_IN_USE',
      `the admin socket ${path} cannot be made: there is something that is not a socket`,
      { path },
    );
  }
  if (await answers(path)) {
    throw new SluiceError('ADDRESS_IN_USE', `the admin socket ${path} is in use by another daemon`, { path });
  }
  await unlink(path).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT') return;
    throw new SluiceError(
      'SYSTEM_CALL',
      `the stale admin socket ${path} cannot be removed: ${cause.message}`,
      { path },
      { cause },
    );
  });
}

/** Whether somebody listens. Only a clear refusal counts as nobody: what cannot be told apart is left alone. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const settle = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(ANSWER_WITHIN_MS, () => settle(true));
    socket.once('connect', () => settle(true));
    socket.once('error', (error: NodeJS.ErrnoException) =>
      settle(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT'),
    );
  });
}
