import type { Metrics } from '../base/metrics.js';
import type { Reloadable, ReloadPlan } from '../base/reloadable.js';
import type { PlaneApi } from './contract.js';
import type { HttpConfig } from './front.js';

interface LogSettings {
  readonly http: Pick<HttpConfig, 'access_log'>;
}

/** The access log of all listeners. Every reload opens its file again: what rotates logs moves it first. The plane's end closes it. */
export class AccessLog implements Reloadable<LogSettings> {
  readonly covers = ['http.access_log'];

  constructor(
    private readonly plane: PlaneApi,
    metrics: Metrics,
  ) {
    metrics.counter({
      name: 'sluice_access_log_lines_total',
      help: 'Requests: logged, or dropped because the file took too long.',
      labels: ['result'],
      read: () => {
        const { lines, dropped } = plane.accessLogCounters();
        return [
          { labels: { result: 'logged' }, value: lines },
          { labels: { result: 'dropped' }, value: dropped },
        ];
      },
    });
    metrics.counter({
      name: 'sluice_access_log_errors_total',
      help: 'Times that the file of the access log took nothing: the lines are lost.',
      read: () => [{ labels: {}, value: plane.accessLogCounters().errors }],
    });
  }

  /** @throws SluiceError SYSTEM_CALL */
  open({ http }: LogSettings): void {
    this.plane.setAccessLog(http.access_log);
  }

  plan(old: LogSettings, next: LogSettings): ReloadPlan {
    const { file } = next.http.access_log ?? {};
    if (file === undefined) {
      if (old.http.access_log === null) return { steps: [] };
      return { steps: [{ says: 'http.access_log: ends', commit: () => this.open(next) }] };
    }
    const says = `http.access_log: ${file} is opened${old.http.access_log?.file === file ? ' again' : ''}`;
    return { steps: [{ says, prepare: () => this.open(next), undo: () => this.open(old) }] };
  }
}
