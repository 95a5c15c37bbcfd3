import type { Clock } from '../base/clock.js';
import { describeError, SluiceError } from '../base/errors.js';
import type { Logger } from '../base/log.js';
import { smoothingOptions } from '../config/smoothing.js';
import { FLOW_COUNTERS, type FlowCounters, type PortCounters } from '../plane/contract.js';
import type { FlowHandle, FlowOptions, FlowsApi } from '../plane/contract-flows.js';
import type { FlowConfig, FlowReceiverConfig } from './flow-schema.js';
import { type FindStream, type OpenInput, openInput } from './input.js';
import { FlowMeter } from './meter.js';
import type { PortPool } from './ports.js';
import { optionsOf, Receiver, sendingPort } from './receiver.js';
import type { Origin } from './status.js';

/** Between attempts at what cannot be set up, milliseconds. */
const RETRY_MS = 2000;

const NOTHING = Object.fromEntries(FLOW_COUNTERS.map((name) => [name, 0])) as FlowCounters;

/** What all flows of a daemon share. */
export interface FlowTools {
  readonly plane: FlowsApi;
  readonly ports: PortPool;
  readonly clock: Clock;
  readonly log: Logger;
  /** Ours in RTCP. */
  readonly cname: string;
  readonly findStream: FindStream;
  /** Gates as they are wanted. Never throws. */
  settle(receivers: readonly Receiver[]): void;
  /** The flow came up: who wants to listen to it does. Never throws. */
  gather(flow: Flow): void;
  /** The flow is about to go: who listens to it from elsewhere does so no more. Never throws. */
  dismiss(flow: Flow): void;
  /** The flow went with its stream, and who listened to it from elsewhere with it. */
  lose(flow: Flow): void;
}

/** One flow: its input, and its receivers. What cannot be set up is tried again, unless it was only reserved. */
export class Flow {
  readonly meter: FlowMeter;
  readonly #receivers = new Map<string, Receiver>();
  readonly #tools: FlowTools;
  readonly #counters: Partial<Record<keyof FlowCounters, number>> = {};
  #input: OpenInput | null = null;
  #handle: FlowHandle | null = null;
  #fault: SluiceError | null = null;
  #retryAt = 0;

  constructor(
    tools: FlowTools,
    readonly config: FlowConfig,
    readonly origin: Origin,
  ) {
    this.#tools = tools;
    this.meter = new FlowMeter(tools.clock);
    for (const one of config.receivers) this.#receivers.set(one.id, new Receiver(config.id, one, origin));
  }

  get id(): string {
    return this.config.id;
  }

  /** Null while it is not set up. */
  get handle(): FlowHandle | null {
    return this.#handle;
  }

  /** The same, as far as the plane still has it. */
  get heard(): FlowHandle | null {
    return this.#lost ? null : this.#handle;
  }

  /** Why it is not set up. */
  get fault(): SluiceError | null {
    return this.#fault;
  }

  get loop(): number | null {
    return this.#input?.loop ?? null;
  }

  /** By id. */
  get receivers(): ReadonlyMap<string, Receiver> {
    return this.#receivers;
  }

  /** As it is now: receivers have come and gone since. */
  get current(): FlowConfig {
    return { ...this.config, receivers: [...this.#receivers.values()].map(({ config }) => config) };
  }

  /** As they stand; read anew by the next call. */
  counters(): FlowCounters {
    const { heard } = this;
    return heard === null ? NOTHING : this.#tools.plane.flowCounters(heard, this.#counters);
  }

  portCounters(): PortCounters | null {
    const port = this.#input?.port ?? null;
    return port === null ? null : this.#tools.plane.portCounters(port);
  }

  /**
   * Sets everything up, gates closed until {@link begin}. Where another flow takes the packets still, or the channel has no
   * stream yet, the rest is done there.
   * @throws SluiceError of what cannot be had; nothing is kept then
   */
  reserve(): void {
    const receivers = [...this.#receivers.values()];
    try {
      this.#input = this.#openInput();
      for (const one of receivers) this.#lease(one);
      this.#handle = this.#addFlow(this.#input);
      this.#add(receivers, { live: false });
    } catch (error) {
      if (this.#waits(faultOf(error))) return;
      this.stop();
      throw error;
    }
  }

  /** Sets up what is missing, and moves the gates as wanted. Never throws. */
  begin(): void {
    if (this.#handle === null) {
      this.check();
      return;
    }
    this.#tools.settle([...this.#receivers.values()]);
    this.#tools.gather(this);
    this.check();
  }

  /** Sets up what is not; once a second. Never throws. */
  check(): void {
    if (this.#lost) {
      this.stop();
      this.#retryAt = 0;
    }
    if (this.#tools.clock.now() < this.#retryAt) return;
    if (this.#handle === null && !this.#tryOpen()) return;
    // Nothing is made for a flow that is complete: there may be thousands.
    for (const { handle } of this.#receivers.values()) {
      if (handle !== null) continue;
      this.#tryReceivers([...this.#receivers.values()].filter((one) => one.handle === null));
      return;
    }
  }

  /** Ends everything in the plane; the receivers stay known. Idempotent. */
  stop(): void {
    const { plane } = this.#tools;
    if (this.#handle !== null) {
      if (this.#lost) this.#tools.lose(this);
      else this.#tools.dismiss(this);
      // Those that listen elsewhere do not go with the flow.
      removeAll(plane, this.#receivers.values());
      plane.removeFlow(this.#handle);
    }
    this.#handle = null;
    for (const one of this.#receivers.values()) one.release();
    this.#input?.release();
    this.#input = null;
  }

  /**
   * Sets up further receivers, gates closed until {@link adopt}; where the flow is down, they come up with it.
   * @throws SluiceError of what cannot be had; nothing is kept then
   */
  reserveReceivers(configs: readonly FlowReceiverConfig[], origin: Origin): Receiver[] {
    const receivers = configs.map((config) => new Receiver(this.id, config, origin));
    if (this.#handle === null) return receivers;
    try {
      for (const one of receivers) this.#lease(one);
      this.#add(receivers, { live: false });
    } catch (error) {
      for (const one of receivers) one.release();
      throw error;
    }
    return receivers;
  }

  /** Gives back what was reserved, or takes receivers away. */
  drop(receivers: readonly Receiver[]): void {
    removeAll(this.#tools.plane, receivers);
    for (const one of receivers) {
      one.release();
      if (this.#receivers.get(one.config.id) === one) this.#receivers.delete(one.config.id);
    }
  }

  /** Makes reserved receivers its own, and moves their gates as wanted. */
  adopt(receivers: readonly Receiver[]): void {
    for (const one of receivers) this.#receivers.set(one.config.id, one);
    this.#tools.settle(receivers);
  }

  /** Takes the place of another of the same id, which goes: what the API added, and where gates were moved to, stays. */
  goOnFrom(old: Flow): void {
    for (const [id, receiver] of old.receivers) {
      if (receiver.origin === 'api') this.#receivers.set(id, new Receiver(this.id, receiver.config, 'api'));
      this.#receivers.get(id)?.goOnFrom(receiver);
    }
  }

  /** The plane ends a flow with the stream that it is of. */
  get #lost(): boolean {
    const { input } = this.#input ?? {};
    return input?.kind === 'stream' && this.#tools.findStream(this.config.channel ?? '')?.stream !== input.stream;
  }

  #tryOpen(): boolean {
    try {
      this.#input ??= this.#openInput();
      this.#handle = this.#addFlow(this.#input);
      if (this.#fault !== null) this.#tools.log.info({ flow: this.id }, 'flow is up');
      this.#fault = null;
    } catch (error) {
      this.#input?.release();
      this.#input = null;
      this.#refused(faultOf(error));
      return false;
    }
    this.#tools.gather(this);
    return true;
  }

  #refused(fault: SluiceError): void {
    if (fault.message !== this.#fault?.message)
      this.#tools.log.warn({ flow: this.id, err: fault, retryMs: RETRY_MS }, 'flow cannot be set up; waiting');
    this.#fault = fault;
    this.#retryAt = this.#tools.clock.now() + RETRY_MS;
  }

  /** One that cannot be had does not keep the others down. */
  #tryReceivers(missing: readonly Receiver[]): void {
    const leased = missing.filter((one) => this.#tryOne(one, () => this.#lease(one)));
    this.#addOrHalve(leased);
    // The gates of the others are as they should be from the first packet on.
    this.#tools.settle(missing.filter(({ source }) => source !== null));
    if (missing.some(({ fault }) => fault !== null)) this.#retryAt = this.#tools.clock.now() + RETRY_MS;
  }

  #addOrHalve(receivers: readonly Receiver[]): void {
    const [first] = receivers;
    if (first === undefined) return;
    if (receivers.length === 1) {
      this.#tryOne(first, () => this.#add(receivers, { live: true }));
      return;
    }
    try {
      this.#add(receivers, { live: true });
    } catch (error) {
      faultOf(error);
      const half = Math.ceil(receivers.length / 2);
      this.#addOrHalve(receivers.slice(0, half));
      this.#addOrHalve(receivers.slice(half));
    }
  }

  #tryOne(receiver: Receiver, attempt: () => void): boolean {
    try {
      attempt();
      receiver.fault = null;
      return true;
    } catch (error) {
      const fault = faultOf(error);
      if (fault.message !== receiver.fault?.message)
        this.#tools.log.warn(
          { flow: this.id, receiver: receiver.config.id, reason: describeError(fault) },
          'receiver cannot be set up; waiting',
        );
      receiver.release();
      receiver.fault = fault;
      return false;
    }
  }

  #openInput(): OpenInput {
    const { ports, findStream } = this.#tools;
    return openInput(this.config, ports, findStream);
  }

  #lease(receiver: Receiver): void {
    receiver.lease ??= this.#tools.ports.lease(sendingPort(receiver.config, this.config, this.loop));
  }

  /** What is not there yet, and will be when the other parts of a reload are done. */
  #waits({ code }: SluiceError): boolean {
    return code === 'MATCH_TAKEN' || (code === 'FLOW_DOWN' && this.config.channel !== undefined);
  }

  #addFlow({ input, rtcp }: OpenInput): FlowHandle {
    const { plane, cname } = this.#tools;
    const { config } = this;
    const options: FlowOptions = {
      name: config.id,
      input,
      media: config.input?.media ?? 'rtp',
      clockRate: config.clock_rate,
      historyBytes: config.history,
      waitUs: config.batch_wait,
      priority: config.priority,
      smoothing: smoothingOptions(config.smoothing),
      rtcp: config.rtcp === 'off' ? null : { port: rtcp, cname, bandwidth: 0 },
    };
    return plane.addFlow(options);
  }

  #add(receivers: readonly Receiver[], { live }: { readonly live: boolean }): void {
    if (this.#handle === null || receivers.length === 0) return;
    const options = receivers.map((one) => optionsOf(one, this.config, live && one.open && one.source === null));
    const handles = this.#tools.plane.addFlowReceivers(this.#handle, options);
    receivers.forEach((one, at) => {
      one.handle = handles[at] ?? null;
    });
  }
}

function removeAll(plane: FlowsApi, receivers: Iterable<Receiver>): void {
  const handles = [...receivers].flatMap(({ handle }) => (handle === null ? [] : [handle]));
  if (handles.length > 0) plane.removeFlowReceivers(handles);
}

/** What the plane and the ports refuse with; anything else is a mistake of ours. */
function faultOf(error: unknown): SluiceError {
  if (error instanceof SluiceError) return error;
  throw error;
}
