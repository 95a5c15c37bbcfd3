/** The small process that keeps routing sockets and joins while the daemon is restarted. */
import { spawn } from 'node:child_process';
import { type ErrorCode, SluiceError } from '../base/errors.js';
import { programBesideAddon } from './addon.js';

/** As many as the sockets of both families and of the joins of some thousand groups. */
const MOST_DESCRIPTORS = 512;
const START_MS = 5000;

/**
 * Starts one at `path`, or finds that there is one. It lives on when we end, and ends by itself when nobody has come back
 * for `patienceMs`.
 * @throws SluiceError KEEPER_FOREIGN when somebody of another user listens there; KEEPER_UNREACHABLE
 */
export function ensureKeeper(path: string, patienceMs: number): Promise<void> {
  const program = programBesideAddon('sluice-keeper');
  const seconds = String(Math.ceil(patienceMs / 1000));
  const child = spawn(program, [path, String(MOST_DESCRIPTORS), seconds], {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    // Of the daemon's folder nothing is needed, and nothing is to be held.
    cwd: '/',
  });
  return new Promise((resolve, reject) => {
    const done = (problem: string | null): void => {
      clearTimeout(timer);
      child.unref();
      child.stdout.destroy();
      child.stderr.destroy();
      if (problem === null) resolve();
      else reject(new SluiceError(codeOf(problem), `${program} ${path}: ${problem}`, { path }));
    };
    const timer = setTimeout(() => done(`expected to hear from it within ${START_MS / 1000} s`), START_MS);
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    child.stdout.once('data', () => done(null));
    child.once('error', (error) => done(error.message));
    child.once('close', () => done(said.startsWith('ADDRESS_IN_USE') ? null : said.trim() || 'it has ended'));
  });
}

/** What it says of itself begins with a code. */
function codeOf(problem: string): ErrorCode {
  return problem.startsWith('KEEPER_FOREIGN') ? 'KEEPER_FOREIGN' : 'KEEPER_UNREACHABLE';
}
