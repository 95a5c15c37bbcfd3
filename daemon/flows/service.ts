/** The flows as one part of the daemon: those of the file, and those that the API makes while it runs. */
import type { Clock, Timer } from '../base/clock.js';
import { SluiceError } from '../base/errors.js';
import type { Logger } from '../base/log.js';
import type { Metrics } from '../base/metrics.js';
import type { Registry } from '../base/registry.js';
import type { Reloadable, ReloadPlan } from '../base/reloadable.js';
import type { FlowsApi } from '../plane/contract-flows.js';
import { findConflicts } from './conflicts.js';
import { Flow, type FlowTools } from './flow.js';
import { type FlowConfig, type FlowReceiverConfig, faultsOf, MAX_RECEIVERS } from './flow-schema.js';
import { Gates } from './gates.js';
import type { FindStream } from './input.js';
import { offerFlowMetrics } from './metrics.js';
import { PortPool } from './ports.js';
import { planFlows, type ReceiverChange } from './reload.js';
import type { FlowStatus, FlowTotals, GateOrder, ReceiverStatus } from './status.js';
import { offerFlowTables } from './tables.js';
import { receiversOf, statusOf } from './tell.js';
import { explainFlow } from './why.js';

export interface FlowServiceOptions {
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly registry: Registry;
  readonly clock: Clock;
  /** Ours in RTCP (RFC 3550 section 6.5.1), such as `sluice@edge1`. */
  readonly cname: string;
  readonly findStream: FindStream;
}

interface FlowSettings {
  readonly flows: readonly FlowConfig[];
}

const TICK_MS = 1000;

export class FlowService implements Reloadable<FlowSettings> {
  readonly covers = ['flows'];
  readonly #plane: FlowsApi;
  readonly #options: FlowServiceOptions;
  readonly #configs: readonly FlowConfig[];
  /** By id. */
  readonly #flows = new Map<string, Flow>();
  readonly #ports: PortPool;
  readonly #gates: Gates;
  readonly #tools: FlowTools;
  readonly #withdraw: (() => void)[] = [];
  #timer: Timer | null = null;
  #totals: FlowTotals = { bytesIn: 0, bytesOut: 0, drops: 0 };

  /** @param configs as checked by `flowsSchema` */
  constructor(plane: FlowsApi, configs: readonly FlowConfig[], options: FlowServiceOptions) {
    this.#plane = plane;
    this.#options = options;
    this.#configs = configs;
    this.#ports = new PortPool(plane);
    const gates = new Gates(plane, this.#flows, options.log);
    this.#gates = gates;
    this.#tools = {
      ...options,
      plane,
      ports: this.#ports,
      settle: (receivers) => gates.settle(receivers),
      gather: (flow) => gates.gather(flow),
      dismiss: (flow) => gates.dismiss(flow),
      lose: (flow) => gates.lose(flow),
    };
  }

  /** Begins all flows of the file. One that cannot be set up does not keep the others down: it is tried again. */
  start(): void {
    if (this.#timer !== null) return;
    const { metrics, registry, clock } = this.#options;
    this.#withdraw.push(
      offerFlowMetrics(metrics, () => this.#running()),
      offerFlowTables(registry, this),
      registry.explain('flow', (id) => this.#explain(id)),
    );
    for (const config of this.#configs) this.#begin(this.#create(config));
    this.#timer = clock.setInterval(() => this.#tick(), TICK_MS, false);
  }

  /** Ends everything. Idempotent. */
  stop(): void {
    this.#timer?.cancel();
    this.#timer = null;
    for (const withdraw of this.#withdraw.splice(0)) withdraw();
    for (const flow of this.#flows.values()) flow.stop();
    this.#flows.clear();
  }

  /** In the order in which they began. */
  flows(): FlowStatus[] {
    return this.#running().map(statusOf);
  }

  totals(): FlowTotals {
    return this.#totals;
  }

  /** @throws SluiceError NOT_FOUND */
  flow(id: string): FlowStatus {
    return statusOf(this.#known(id));
  }

  /**
   * The receivers of a flow, wherever they listen.
   * @throws SluiceError NOT_FOUND
   */
  receivers(id: string): ReceiverStatus[] {
    return receiversOf(this.#known(id), this.#plane, this.#flows);
  }

  /** @throws SluiceError NOT_FOUND */
  receiver(id: string, receiver: string): ReceiverStatus {
    const found = this.receivers(id).find((one) => one.id === receiver);
    if (found === undefined) throw unknownReceiver(id, receiver);
    return found;
  }

  /**
   * A flow that lasts until the daemon ends, or it is removed.
   * @throws SluiceError of what cannot be had, ID_TAKEN, MATCH_TAKEN, FLOW_CYCLE; nothing is kept then
   */
  create(config: FlowConfig): FlowStatus {
    this.#refuseConflicts([...this.#running().map(({ current }) => current), config], config.id);
    const flow = new Flow(this.#tools, config, 'api');
    flow.reserve();
    flow.begin();
    if (flow.fault !== null) {
      flow.stop();
      throw flow.fault;
    }
    this.#flows.set(flow.id, flow);
    this.#gates.gather(flow);
    return statusOf(flow);
  }

  /**
   * Ends a flow of the API; how many receivers it had.
   * @throws SluiceError NOT_FOUND, IN_FILE
   */
  remove(id: string): number {
    const flow = this.#known(id);
    if (flow.origin === 'file') throw inFile(`flow ${id}`);
    const { size } = flow.receivers;
    this.#end(flow);
    return size;
  }

  /**
   * All of them, or none; they last until the daemon ends, the flow ends, or they are removed.
   * @throws SluiceError of what cannot be had, NOT_FOUND, ID_TAKEN, FLOW_CYCLE, REQUEST_INVALID
   */
  addReceivers(id: string, configs: readonly FlowReceiverConfig[]): void {
    const flow = this.#known(id);
    this.#refuseReceivers(flow, configs);
    flow.adopt(flow.reserveReceivers(configs, 'api'));
  }

  /** @throws SluiceError NOT_FOUND, IN_FILE */
  removeReceiver(id: string, receiver: string): void {
    const flow = this.#known(id);
    const found = flow.receivers.get(receiver);
    if (found === undefined) throw unknownReceiver(id, receiver);
    if (found.origin === 'file') throw inFile(`receiver ${id}/${receiver}`);
    this.#gates.forget([found]);
    flow.drop([found]);
  }

  /**
   * One atomic step across receivers.
   * @throws SluiceError as {@link Gates.set}
   */
  setGates(orders: readonly GateOrder[]): void {
    this.#gates.set(orders);
  }

  /** Flows and receivers are told apart by their ids; what is the same is not touched. */
  plan(_old: FlowSettings, { flows: next }: FlowSettings): ReloadPlan {
    const steps = planFlows(
      {
        running: this.#running(),
        create: (config) => this.#create(config),
        begin: (flow) => this.#begin(flow),
        end: (flow) => this.#end(flow),
        change: (flow, change) => this.#change(flow, change),
      },
      next,
    );
    return { steps };
  }

  #running(): Flow[] {
    return [...this.#flows.values()];
  }

  #known(id: string): Flow {
    const flow = this.#flows.get(id);
    if (flow !== undefined) return flow;
    throw new SluiceError('NOT_FOUND', `there is no flow ${id}`, {
      flow: id,
      known: [...this.#flows.keys()].slice(0, 100),
    });
  }

  #create(config: FlowConfig): Flow {
    return new Flow(this.#tools, config, 'file');
  }

  #begin(flow: Flow): void {
    const old = this.#flows.get(flow.id);
    if (old !== undefined) {
      flow.goOnFrom(old);
      old.stop();
      this.#gates.forget(old.receivers.values());
    }
    this.#flows.set(flow.id, flow);
    flow.begin();
  }

  #end(flow: Flow): void {
    flow.stop();
    this.#gates.forget(flow.receivers.values());
    this.#flows.delete(flow.id);
    this.#gates.release(flow.id);
  }

  #change(flow: Flow, { gone, come, moved }: ReceiverChange): void {
    for (const one of come) {
      const old = gone.find(({ config }) => config.id === one.config.id);
      if (old !== undefined) one.goOnFrom(old);
    }
    this.#gates.forget(gone);
    flow.drop(gone);
    flow.adopt(come);
    const other = moved.flatMap((config) => {
      const receiver = flow.receivers.get(config.id);
      if (receiver === undefined) return [];
      receiver.config = config;
      receiver.open = config.gate === 'open';
      return [receiver];
    });
    this.#gates.settle(other);
  }

  #refuseReceivers(flow: Flow, configs: readonly FlowReceiverConfig[]): void {
    const { current } = flow;
    const next = { ...current, receivers: [...current.receivers, ...configs] };
    const [fault] = faultsOf(next);
    if (fault !== undefined) throw invalid(fault.path, fault.message);
    if (next.receivers.length > MAX_RECEIVERS)
      throw invalid(['receivers'], `expected at most ${MAX_RECEIVERS} receivers of a flow`);
    this.#refuseConflicts(
      this.#running().map((one) => (one === flow ? next : one.current)),
      flow.id,
    );
  }

  #refuseConflicts(flows: readonly FlowConfig[], id: string): void {
    const [conflict] = findConflicts(flows);
    if (conflict === undefined) return;
    const at = conflict.path.slice(1).join('.');
    throw new SluiceError(conflict.code, `flow ${id}: ${at}: ${conflict.message}`, { flow: id, at });
  }

  #tick(): void {
    let [bytesIn, bytesOut, drops] = [0, 0, 0];
    for (const flow of this.#flows.values()) {
      flow.check();
      const counters = flow.counters();
      flow.meter.sample(counters);
      if (flow.config.channel === undefined) bytesIn += counters.bytesIn;
      bytesOut += counters.bytesOut;
      drops += counters.sendErrors + counters.shedLate + counters.shedPriority;
    }
    this.#totals = { bytesIn, bytesOut, drops };
  }

  #explain(id: string): string[] | undefined {
    const flow = this.#flows.get(id);
    return flow === undefined ? undefined : explainFlow(statusOf(flow), this.receivers(id));
  }
}

function unknownReceiver(flow: string, receiver: string): SluiceError {
  return new SluiceError('NOT_FOUND', `flow ${flow} has no receiver ${receiver}`, { flow, receiver });
}

function inFile(what: string): SluiceError {
  return new SluiceError('IN_FILE', `${what} is in the configuration file: take it out there, and reload`, {});
}

function invalid(path: readonly (string | number)[], message: string): SluiceError {
  return new SluiceError('REQUEST_INVALID', message, { issues: [{ at: path.join('.'), says: message }] });
}
