import type { Logger } from '../base/log.js';
import { reloadUnavailable } from '../config/reload.js';
import type { Daemon } from '../main.js';
import type { ServiceManager } from '../plane/service-manager.js';

/**
 * Lets SIGHUP reload the daemon. To be called before the start: the signal would else end the process.
 * @returns the function that says which daemon it is, once it is up; until then the signal is refused in the log
 */
export function reloadOnHangup(log: Logger, service: ServiceManager): (daemon: Daemon) => void {
  let daemon: Daemon | undefined;
  const reload = async (running: Daemon): Promise<void> => {
    service.reloading();
    // What is refused stands in the log already, and the old configuration goes on.
    await running.reload({ by: 'SIGHUP' }).catch(() => undefined);
    service.ready();
  };
  process.on('SIGHUP', () => {
    if (daemon === undefined) log.error({ by: 'SIGHUP', err: reloadUnavailable('starting') }, 'reload refused');
    else void reload(daemon);
  });
  return (running) => {
    daemon = running;
  };
}
