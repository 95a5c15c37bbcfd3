import { type Command, Option } from 'commander';
import { createLogger, LOG_LEVELS, type LogLevel } from '../base/log.js';
import { loadSettings } from '../settings.js';
import { reloadOnHangup } from './hangup.js';
import { VERSION } from './root.js';
import { Ending, superviseDaemon } from './supervise.js';

/** The option that goes over the file's `log.level`. */
export function logLevelOption(): Option {
  return new Option('--log-level <level>', "instead of the file's log.level").choices(LOG_LEVELS);
}

/** `sluice run -c FILE`: the daemon, in the foreground. */
export function register(program: Command): void {
  program
    .command('run')
    .summary('run the daemon')
    .description(
      'Runs the daemon in the foreground until SIGINT, SIGTERM or sluice stop. SIGHUP and sluice reload apply the changed file. Logs go to standard error.',
    )
    .requiredOption('-c, --config <file>', 'configuration (YAML)')
    .addOption(logLevelOption())
    .addHelpText(
      'after',
      '\nExamples:\n  sluice run -c /etc/sluice/sluice.yaml\n  sluice run -c lab.yaml --log-level debug',
    )
    .action(async (options: { config: string; logLevel?: LogLevel }) => {
      const settings = await loadSettings(options.config);
      const log = createLogger({ level: options.logLevel ?? settings.log.level });
      // Loaded when it is needed: checking and asking need no data plane.
      const { exitOnUncaught, startDaemon } = await import('../main.js');
      const { logHost } = await import('./check-host.js');
      const { ServiceManager } = await import('../plane/service-manager.js');
      exitOnUncaught(log);
      logHost(settings, log.child({ part: 'host' }));
      const service = new ServiceManager(log.child({ part: 'service' }));
      const reloads = reloadOnHangup(log, service);
      const ending = new Ending(['SIGINT', 'SIGTERM']);
      ending.signal.addEventListener('abort', () => service.stopping());
      const daemon = await startDaemon(settings, {
        log,
        version: VERSION,
        file: options.config,
        fixedLogLevel: options.logLevel !== undefined,
        service,
      });
      reloads(daemon);
      await superviseDaemon(daemon, ending, log);
    });
}
