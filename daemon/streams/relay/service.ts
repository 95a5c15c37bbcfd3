/** Groups that viewers ask for by their addresses: joined when the first one comes, left when the last one has gone. */
import { randomInt } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '../../base/clock.js';
import { describeError, SluiceError } from '../../base/errors.js';
import type { Logger } from '../../base/log.js';
import type { Metrics } from '../../base/metrics.js';
import type { Registry } from '../../base/registry.js';
import type { Reloadable, ReloadPlan } from '../../base/reloadable.js';
import type {
  InputHandle,
  InputOptions,
  ObjectRefusal,
  PlaneApi,
  PlaneEvent,
  RelayGroup,
  RelayOptions,
  StreamHandle,
  StreamOptions,
} from '../../plane/contract.js';
import type { RelaySettings } from '../../plane/relay-settings.js';
import { LogLimiter } from '../source/log-limiter.js';
import { offerRelayMetrics } from './metrics.js';
import { COLUMNS, explainRelay, type RelayStatus, rowOf } from './status.js';

export interface RelayParts {
  readonly registry: Registry;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly log: Logger;
}

interface HttpSettings {
  readonly http: { readonly relay: Frozen<RelaySettings> | null };
}
type Frozen<T> = T extends object ? { readonly [K in keyof T]: Frozen<T[K]> } : T;
type Wanted = Extract<PlaneEvent, { readonly type: 'relay-wanted' }>;

/** A group that runs. */
interface Running {
  readonly group: RelayGroup;
  readonly stream: StreamHandle;
  readonly input: InputHandle;
  /** Milliseconds, of the clock. */
  readonly since: number;
  ready: boolean;
}

/** The plane decides who gets to which group, and when one ends; here they are made and told about. */
export class RelayService implements Reloadable<HttpSettings> {
  readonly covers = ['http.relay'];
  readonly #running = new Map<RelayGroup, Running>();
  readonly #withdraw: (() => void)[] = [];
  readonly #failures = new LogLimiter();
  #settings: HttpSettings['http']['relay'];

  constructor(
    private readonly plane: PlaneApi,
    { http }: HttpSettings,
    private readonly parts: RelayParts,
  ) {
    this.#settings = http.relay;
  }

  start(): void {
    const { registry, metrics } = this.parts;
    this.#withdraw.push(
      this.plane.onEvent((event) => this.#take(event)),
      registry.offer('relays', { columns: COLUMNS, rows: () => this.groups().map(rowOf) }),
      registry.explain('relay', (id) => this.#explain(id)),
      offerRelayMetrics(metrics, this.plane),
    );
    this.#tell();
  }

  /** All groups end, and their viewers are disconnected. Idempotent. */
  stop(): void {
    for (const withdraw of this.#withdraw.splice(0)) withdraw();
    this.plane.setRelay(null);
    for (const { group } of this.#running.values()) this.#end(group);
  }

  /** Those that run now. */
  groups(): RelayStatus[] {
    return [...this.#running.values()].map((running) => this.#status(running));
  }

  /** Their streams, with the names that operators know them by: `udp/239.1.1.1:5000`. */
  streams(): ReadonlyMap<StreamHandle, string> {
    return new Map([...this.#running.values()].map(({ stream, group }) => [stream, nameOf(group)]));
  }

  plan(_old: HttpSettings, { http }: HttpSettings): ReloadPlan {
    if (isDeepStrictEqual(this.#settings, http.relay)) return { steps: [] };
    const commit = (): void => {
      this.#settings = http.relay;
      this.#tell();
    };
    const says =
      http.relay === null
        ? 'ends, viewers of groups are disconnected'
        : 'new settings; groups that are no longer allowed end';
    return { steps: [{ says: `http.relay: ${says}`, commit }] };
  }

  #tell(): void {
    this.plane.setRelay(this.#settings === null ? null : optionsOf(this.#settings));
  }

  #take(event: PlaneEvent): void {
    if (event.type === 'relay-wanted') this.#begin(event);
    else if (event.type === 'relay-ended') this.#end(event.group, event.reason);
    else if (event.type === 'stream-ready' || event.type === 'source-fault') {
      const running = [...this.#running.values()].find(({ stream }) => stream === event.stream);
      if (running === undefined) return;
      if (event.type === 'stream-ready') running.ready = true;
      else this.#fault(running, new SluiceError(event.code, event.detail, { group: running.group }));
    }
  }

  #begin(wanted: Wanted): void {
    const { plane, parts } = this;
    const { group } = wanted;
    const settings = this.#settings;
    if (settings === null) return;
    let stream: StreamHandle | undefined;
    try {
      stream = plane.addStream({ name: nameOf(group), ...streamOptionsOf(settings) });
      // Before anything comes: it may be ready before the input's verb returns.
      if (plane.openRelay(group, stream)) {
        const input = plane.addInput(stream, inputOptionsOf(wanted, settings));
        this.#running.set(group, { group, stream, input, since: parts.clock.now(), ready: false });
        parts.log.info({ group }, 'a group begins: it is asked for');
      } else {
        plane.removeStream(stream);
      }
    } catch (error) {
      if (!(error instanceof SluiceError)) throw error;
      plane.refuseRelay(group, refusalFor(error));
      if (stream !== undefined) plane.removeStream(stream);
      this.#complain(group, error);
    }
  }

  /** What comes cannot be used: viewers are told, and the group is left. */
  #fault({ group, ready }: Running, error: SluiceError): void {
    // Viewers of a group that has been good wait: the next thing may be good again, else it ends as one that gives nothing.
    if (ready) return;
    this.plane.refuseRelay(group, refusalFor(error));
    this.#end(group);
    this.#complain(group, error);
  }

  #end(group: RelayGroup, reason?: string): void {
    const running = this.#running.get(group);
    if (running === undefined) return;
    this.#running.delete(group);
    this.plane.removeStream(running.stream);
    if (reason !== undefined) this.parts.log.info({ group, reason }, 'a group ends');
  }

  /** Viewers choose the groups, so that they could fill the log. */
  #complain(group: RelayGroup, error: SluiceError): void {
    const suppressed = this.#failures.admit(this.parts.clock.now());
    if (suppressed !== null) this.parts.log.warn({ group, err: error, suppressed }, 'a group cannot be had');
  }

  #status({ group, stream, input, since, ready }: Running): RelayStatus {
    const counters = this.plane.streamCounters(stream);
    return {
      group,
      ready,
      seconds: (this.parts.clock.now() - since) / 1000,
      interface: this.#settings?.interface ?? null,
      counters,
      input: this.plane.inputCounters(input),
    };
  }

  #explain(id: string): readonly string[] {
    const wanted = id.replace(/^\/?(udp|rtp)\//, '');
    const status = this.groups().find(({ group }) => group === wanted);
    return explainRelay(wanted, status, this.#settings !== null);
  }
}

/** As in logs and metrics. */
function nameOf(group: RelayGroup): string {
  return `udp/${group}`;
}

function streamOptionsOf({ ring, delay }: Frozen<RelaySettings>): Omit<StreamOptions, 'name'> {
  return {
    ringBytes: ring,
    delayMs: delay,
    spreadMs: 0,
    smoothing: null,
    program: null,
    // They are cut as of any stream, but no path leads to them.
    segmentMs: 10_000,
    windowSegments: 3,
    ssrc: randomInt(2 ** 32),
    loop: null,
  };
}

function inputOptionsOf({ address, port, source }: Wanted, settings: Frozen<RelaySettings>): InputOptions {
  const { interface: interfaceName = null, delay } = settings;
  return { address, port, source, interfaceName, reorderMs: Math.round(delay / 2) };
}

function optionsOf({ allow, max_groups, wait, hold }: Frozen<RelaySettings>): RelayOptions {
  return { allow, mostGroups: max_groups, waitMs: wait, holdMs: hold };
}

/** What viewers are told; the operator has the whole sentence in the log. */
function refusalFor(error: SluiceError): ObjectRefusal {
  if (error.code === 'MEMORY_BUDGET')
    return { status: 503, retryAfter: 5, message: 'the memory for streams (plane.memory) is used up' };
  if (error.code.startsWith('SOURCE_'))
    return { status: 502, retryAfter: 5, message: `what the group gives cannot be used: ${describeError(error)}` };
  return { status: 503, retryAfter: 5, message: `the group cannot be joined (${error.code})` };
}
