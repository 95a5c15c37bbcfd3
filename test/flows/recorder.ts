/**
 * A FlowsApi that writes down what is asked of it, for what a reload asks of the plane and what it leaves alone. Packets are the
 * real addon's matter.
 */
import { pino } from 'pino';
import { ManualClock } from '../../daemon/base/clock.js';
import { type ErrorCode, SluiceError } from '../../daemon/base/errors.js';
import { Metrics } from '../../daemon/base/metrics.js';
import { Registry } from '../../daemon/base/registry.js';
import { commitAll, prepareAll } from '../../daemon/config/transaction.js';
import type { FlowConfig } from '../../daemon/flows/flow-schema.js';
import type { FindStream } from '../../daemon/flows/input.js';
import { FlowService } from '../../daemon/flows/service.js';
import { flowsSchema } from '../../daemon/flows/settings.js';
import { FLOW_COUNTERS, PORT_COUNTERS } from '../../daemon/plane/contract.js';
import type {
  FlowHandle,
  FlowOptions,
  FlowReceiverHandle,
  FlowReceiverInfo,
  FlowReceiverOptions,
  FlowsApi,
  GateChange,
  PortHandle,
  PortOptions,
} from '../../daemon/plane/contract-flows.js';

interface HeldReceiver {
  readonly options: FlowReceiverOptions;
  flow: FlowHandle;
  open: boolean;
}

export class Recorder implements FlowsApi {
  /** What was asked since it was last looked at, such as `+port 239.1.1.1:5004`. */
  readonly #calls: string[] = [];
  readonly ports = new Map<PortHandle, PortOptions>();
  readonly flows = new Map<FlowHandle, FlowOptions>();
  readonly receivers = new Map<FlowReceiverHandle, HeldReceiver>();
  /** Verbs that fail, by what they would write down. */
  readonly refuses = new Map<string, ErrorCode>();
  #next = 1;

  /** What was asked since the last time. */
  calls(): string[] {
    return this.#calls.splice(0);
  }

  /** The receivers of a flow by destination port, such as `6000 open`. */
  heard(name: string): string[] {
    const [flow] = [...this.flows].find(([, options]) => options.name === name) ?? [];
    const all = [...this.receivers.values()].filter((one) => one.flow === flow);
    return all.map(({ options, open }) => `${options.destinationPort} ${open ? 'open' : 'closed'}`).sort();
  }

  addPort(options: PortOptions): ReturnType<FlowsApi['addPort']> {
    this.#call(`+port ${options.address}:${options.port}`);
    const handle = this.#next++ as PortHandle;
    this.ports.set(handle, options);
    return { handle, port: options.port || 40_000 + handle, loop: options.loop ?? 0 };
  }

  removePort(port: PortHandle): void {
    const options = this.ports.get(port);
    const used =
      [...this.receivers.values()].some((one) => one.options.port === port) ||
      [...this.flows.values()].some(({ input }) => input.kind === 'port' && input.port === port);
    if (used) throw new SluiceError('FLOWS_ATTACHED', 'used');
    this.#call(`-port ${options?.address}:${options?.port}`);
    this.ports.delete(port);
  }

  addFlow(options: FlowOptions): FlowHandle {
    const same = [...this.flows.values()].some(({ input }) => JSON.stringify(input) === JSON.stringify(options.input));
    if (same) throw new SluiceError('MATCH_TAKEN', 'taken');
    this.#call(`+flow ${options.name}`);
    const handle = this.#next++ as FlowHandle;
    this.flows.set(handle, options);
    return handle;
  }

  removeFlow(flow: FlowHandle): void {
    if (!this.flows.has(flow)) return;
    this.#call(`-flow ${this.flows.get(flow)?.name}`);
    this.flows.delete(flow);
    for (const [handle, one] of this.receivers) if (one.flow === flow) this.receivers.delete(handle);
  }

  /** A stream goes, and what is of it. */
  removeStream(stream: number): void {
    for (const [flow, { input }] of this.flows)
      if (input.kind === 'stream' && Number(input.stream) === stream) this.removeFlow(flow);
  }

  addFlowReceivers(flow: FlowHandle, receivers: readonly FlowReceiverOptions[]): FlowReceiverHandle[] {
    for (const { destinationPort } of receivers) this.#refuse(`+receiver ${destinationPort}`);
    this.#call(`+receivers ${receivers.map(({ destinationPort }) => destinationPort).join(' ')}`);
    return receivers.map((options) => {
      const handle = this.#next++ as FlowReceiverHandle;
      this.receivers.set(handle, { options, flow, open: options.open });
      return handle;
    });
  }

  removeFlowReceivers(receivers: readonly FlowReceiverHandle[]): void {
    // As the plane does: what is gone already is passed over.
    this.#call(`-receivers ${receivers.map((one) => this.receivers.get(one)?.options.destinationPort).join(' ')}`);
    for (const one of receivers) this.receivers.delete(one);
  }

  setGates(changes: readonly GateChange[]): void {
    const texts = changes.map(({ receiver, open, flow, prebufferMs }) => {
      const one = this.receivers.get(receiver);
      if (one === undefined) throw new SluiceError('HANDLE_UNKNOWN', 'no such receiver');
      one.open = open;
      one.flow = flow ?? one.flow;
      const from = this.flows.get(one.flow)?.name;
      return `${one.options.destinationPort} ${open ? 'open' : 'closed'} ${from}${prebufferMs > 0 ? ` ${prebufferMs}ms` : ''}`;
    });
    this.#call(`gates ${texts.join(', ')}`);
  }

  flowReceivers(flow: FlowHandle, offset: number, limit: number): FlowReceiverInfo[] {
    const here = [...this.receivers].filter(([, one]) => one.flow === flow).slice(offset, offset + limit);
    return here.map(([receiver, { open }]) => ({
      receiver,
      flow,
      open,
      packets: 0,
      bytes: 0,
      errors: 0,
      switches: 0,
      sequence: -1,
      report: null,
    }));
  }

  flowCounters(): ReturnType<FlowsApi['flowCounters']> {
    return Object.fromEntries(FLOW_COUNTERS.map((name) => [name, 0])) as ReturnType<FlowsApi['flowCounters']>;
  }

  portCounters(): ReturnType<FlowsApi['portCounters']> {
    return Object.fromEntries(PORT_COUNTERS.map((name) => [name, 0])) as ReturnType<FlowsApi['portCounters']>;
  }

  #call(text: string): void {
    this.#refuse(text);
    this.#calls.push(text);
  }

  #refuse(text: string): void {
    const code = this.refuses.get(text);
    if (code !== undefined) throw new SluiceError(code, `${text} is refused`);
  }
}

/** A flow at a port of its own, with receivers on 192.0.2.7 by port. */
export function flow(id: string, port: number, receivers: readonly (number | object)[], more: object = {}): object {
  const all = receivers.map((one) =>
    typeof one === 'number' ? { id: `r${one}`, to: `192.0.2.7:${one}` } : { ...one },
  );
  return { id, input: `rtp://239.1.1.1:${port}`, ...more, receivers: all };
}

export interface ServiceBedOptions {
  readonly findStream?: FindStream;
  /** What the plane refuses from the start. */
  readonly refuses?: Readonly<Record<string, ErrorCode>>;
}

/** A service in front of a recorder. */
export class ServiceBed {
  readonly plane = new Recorder();
  readonly clock = new ManualClock();
  readonly metrics = new Metrics();
  readonly registry = new Registry();
  readonly service: FlowService;
  #flows: readonly FlowConfig[];

  constructor(flows: readonly object[], { findStream = () => null, refuses = {} }: ServiceBedOptions = {}) {
    this.#flows = flowsSchema.parse(flows);
    for (const [call, code] of Object.entries(refuses)) this.plane.refuses.set(call, code);
    const log = pino({ level: 'silent' });
    const { clock, metrics, registry } = this;
    this.service = new FlowService(this.plane, this.#flows, {
      log,
      clock,
      metrics,
      registry,
      cname: 'sluice@test',
      findStream,
    });
    this.service.start();
  }

  /** As the reloader does it; what was done, in words. */
  async reload(flows: readonly object[]): Promise<string[]> {
    const next = flowsSchema.parse(flows);
    const { steps } = this.service.plan({ flows: this.#flows }, { flows: next });
    const log = pino({ level: 'silent' });
    await prepareAll(steps, log);
    await commitAll(steps, log);
    this.#flows = next;
    return steps.map(({ says }) => says);
  }
}

/** Receivers as the API takes them, by port. */
export function receiversAt(...ports: readonly number[]): FlowConfig['receivers'] {
  return flowsSchema.parse([flow('x', 1, ports)])[0]?.receivers ?? [];
}

/** One flow as the API takes it. */
export function checkedFlow(one: object): FlowConfig {
  const [config] = flowsSchema.parse([one]);
  if (config === undefined) throw new Error('there is no flow');
  return config;
}
