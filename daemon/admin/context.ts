import type { Clock } from '../base/clock.js';
import type { Logger } from '../base/log.js';
import type { Metrics } from '../base/metrics.js';
import type { Registry } from '../base/registry.js';
import type { ReloadOutcome, ReloadRequest, RunningConfig } from '../config/reload.js';
import type { FlowConfig, FlowReceiverConfig } from '../flows/flow-schema.js';
import type { FlowStatus, FlowTotals, GateOrder, ReceiverStatus } from '../flows/status.js';
import type { ControlCaptureOrder, ControlCaptureStream } from '../membership/control-captures.js';
import type { LoopCounters, PlaneLoop } from '../plane/contract.js';
import type { MulticastChannel, MulticastLease } from '../plane/contract-router.js';
import type { Sampler } from './sampler.js';
import type { StatusSource } from './source.js';

/** The configuration of the daemon, as the API asks for it. */
export interface ReloadControl {
  running(): RunningConfig;
  /** Rejects with a SluiceError; nothing has changed then. */
  reload(request: ReloadRequest): Promise<ReloadOutcome>;
}

/** The sites of the daemon, as the API asks for them. */
export interface SiteControl {
  /** Forgets objects; how many. @throws SluiceError NOT_FOUND */
  purge(id: string, path: string): number;
}

/** The flows of the daemon, as the API asks for them; every verb throws a SluiceError, and has changed nothing then. */
export interface FlowControl {
  flows(): readonly FlowStatus[];
  totals(): FlowTotals;
  flow(id: string): FlowStatus;
  receivers(flow: string): readonly ReceiverStatus[];
  receiver(flow: string, id: string): ReceiverStatus;
  create(config: FlowConfig): FlowStatus;
  /** How many receivers it had. */
  remove(id: string): number;
  /** All of them, or none. */
  addReceivers(flow: string, configs: readonly FlowReceiverConfig[]): void;
  removeReceiver(flow: string, id: string): void;
  /** One atomic step. */
  setGates(orders: readonly GateOrder[]): void;
}

/** Who may receive which multicast; every verb throws a SluiceError where there is no such subscriber. */
export interface SubscriberControl {
  authorise(subscriber: string, leases: readonly MulticastLease[]): Promise<void>;
  revoke(subscriber: string, channels: readonly MulticastChannel[]): Promise<void>;
}

/** Messages about groups and routes, as they come; throws a SluiceError where they cannot be captured. */
export interface ControlCaptureControl {
  open(order: ControlCaptureOrder): ControlCaptureStream;
}

/** What the routes work with. */
export interface AdminContext {
  readonly source: StatusSource;
  readonly loops: readonly PlaneLoop[];
  readonly planeLoops: () => readonly LoopCounters[];
  readonly registry: Registry;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly log: Logger;
  /** The daemon's version, as in package.json. */
  readonly version: string;
  readonly reloader: ReloadControl;
  readonly sites: SiteControl;
  readonly flows: FlowControl;
  readonly subscribers: SubscriberControl;
  readonly controlCaptures: ControlCaptureControl;
  /** Called after `POST /v1/stop` has been answered; `withdraw`: also take the forwarding away. */
  readonly onStop: (withdraw: boolean) => void;
}

/** The context with what the admin room itself keeps. */
export interface RouteContext extends AdminContext {
  readonly sampler: Sampler;
}
