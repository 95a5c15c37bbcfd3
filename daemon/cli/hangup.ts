import type { Logger } from '../base/log.js';
import { reloadUnavailable } from '../config/reload.js';
import type { Daemon } from '../main.js';

/**
 * Lets SIGHUP reload the daemon. To be called before the start: the signal would else end the process.
 * @returns the function that says which daemon it is, once it is up; until then the signal is refused in the log
 */
export function reloadOnHangup(log: Logger): (daemon: Daemon) => void {
  let daemon: Daemon | undefined;
  process.on('SIGHUP', () => {
    if (daemon === undefined) log.error({ by: 'SIGHUP', err: reloadUnavailable('starting') }, 'reload refused');
    // What is refused stands in the log already.
    else daemon.reload({ by: 'SIGHUP' }).catch(() => undefined);
  });
  return (running) => {
    daemon = running;
  };
}
