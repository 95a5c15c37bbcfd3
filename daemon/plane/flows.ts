/** The verbs of ports, flows and receivers: checks what crosses, as `plane.ts` does for the others. */
import { z } from 'zod';
import type { Added, RawPlane } from './addon.js';
import { checked, handle, smoothingOptions } from './checks.js';
import { FLOW_COUNTERS, type FlowCounters, PORT_COUNTERS, type PortCounters } from './contract-counters.js';
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
} from './contract-flows.js';

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;

const address = z.string().min(2).max(64);
const portNumber = z.number().int().min(0).max(65_535);
const ssrc = z.number().int().min(0).max(0xffff_ffff).nullable();

const portOptions = z.strictObject({
  address,
  port: portNumber,
  source: address.nullable(),
  interfaceName: z.string().min(1).max(15).nullable(),
  ttl: z.number().int().min(1).max(255),
  multicastLoop: z.boolean(),
  receiveBufferBytes: z
    .number()
    .int()
    .min(64 * KIB)
    .max(256 * MIB),
  batching: z.enum(['auto', 'segment', 'sendmmsg', 'plain']),
  loop: z.number().int().min(0).max(63).nullable(),
});

const flowOptions = z.strictObject({
  name: z.string().min(1).max(256),
  input: z.discriminatedUnion('kind', [
    z.strictObject({
      kind: z.literal('port'),
      port: handle,
      match: z.strictObject({ remote: address.nullable(), remotePort: portNumber, ssrc }),
    }),
    z.strictObject({ kind: z.literal('stream'), stream: handle }),
  ]),
  media: z.enum(['rtp', 'udp']),
  clockRate: z.number().int().min(1000).max(192_000),
  historyBytes: z
    .number()
    .int()
    .min(0)
    .max(GIB)
    .refine(
      (n) => n === 0 || (n >= 64 * KIB && (n & (n - 1)) === 0),
      'expected 0 or a power of two of at least 64 KiB',
    ),
  waitUs: z.number().int().min(0).max(2000),
  priority: z.number().int().min(0).max(7),
  smoothing: smoothingOptions.nullable(),
  rtcp: z
    .strictObject({
      port: handle.nullable(),
      // Printable ASCII, so that characters are bytes.
      cname: z.string().regex(/^[\x21-\x7e]{1,255}$/),
      bandwidth: z.number().int().min(0),
    })
    .nullable(),
});

const receiverOptions = z.strictObject({
  port: handle,
  address,
  destinationPort: portNumber.min(1),
  rtcpPort: portNumber,
  sourceAddress: address.nullable(),
  dscp: z.number().int().min(0).max(63),
  ssrc,
  payloadType: z.number().int().min(0).max(127).nullable(),
  sequenceOffset: z.number().int().min(0).max(0xffff),
  timestampOffset: z.number().int().min(0).max(0xffff_ffff),
  open: z.boolean(),
});

const gateChange = z.strictObject({
  receiver: handle,
  open: z.boolean(),
  flow: handle.nullable(),
  prebufferMs: z.number().int().min(0).max(3_600_000),
});

const NO_MATCH = { remote: null, remotePort: 0, ssrc: null };

/** What the plane does for its verbs. */
export interface VerbFrame {
  native<T>(call: () => T): T;
  /** Keeps the slot of what was added; with an owner, until that goes. */
  added(add: () => Added, owner?: number): number;
  remove(handle: number): void;
  known(handle: number): number;
  read<Name extends string>(
    handle: number,
    names: readonly Name[],
    into?: Partial<Record<Name, number>>,
  ): Readonly<Record<Name, number>>;
}

/** Ports, flows and receivers of a plane. */
export class FlowVerbs implements FlowsApi {
  readonly #raw: RawPlane;
  readonly #frame: VerbFrame;

  constructor(raw: RawPlane, frame: VerbFrame) {
    this.#raw = raw;
    this.#frame = frame;
  }

  addPort(options: PortOptions): { readonly handle: PortHandle; readonly port: number; readonly loop: number } {
    const o = checked(portOptions, options, 'addPort', 'ADDRESS_INVALID');
    let [port, loop] = [0, 0];
    const added = this.#frame.added(() => {
      const raw = this.#raw.addPort(o);
      ({ port, loop } = raw);
      return raw;
    });
    return { handle: added as PortHandle, port, loop };
  }

  removePort(port: PortHandle): void {
    this.#frame.native(() => this.#raw.removePort(this.#frame.known(port)));
    this.#frame.remove(port);
  }

  addFlow(options: FlowOptions): FlowHandle {
    const { input, ...o } = checked(flowOptions, options, 'addFlow');
    const from = this.#frame.known(input.kind === 'port' ? input.port : input.stream);
    const match = input.kind === 'port' ? input.match : NO_MATCH;
    const owner = input.kind === 'stream' ? from : undefined;
    return this.#frame.added(() => this.#raw.addFlow(from, o, match), owner) as FlowHandle;
  }

  removeFlow(flow: FlowHandle): void {
    this.#frame.remove(flow);
  }

  addFlowReceivers(flow: FlowHandle, receivers: readonly FlowReceiverOptions[]): FlowReceiverHandle[] {
    const all = receivers.map((one) => checked(receiverOptions, one, 'addFlowReceivers', 'ADDRESS_INVALID'));
    if (all.length === 0) return [];
    const first = this.#frame.native(() => this.#raw.addFlowReceivers(this.#frame.known(flow), all));
    return all.map((_, at) => (first + at) as FlowReceiverHandle);
  }

  removeFlowReceivers(receivers: readonly FlowReceiverHandle[]): void {
    this.#raw.removeFlowReceivers(receivers);
  }

  setGates(changes: readonly GateChange[]): void {
    const all = changes.map((one) => checked(gateChange, one, 'setGates'));
    this.#frame.native(() => this.#raw.setGates(all));
  }

  flowReceivers(flow: FlowHandle, offset: number, limit: number): FlowReceiverInfo[] {
    return this.#raw.flowReceivers(this.#frame.known(flow), offset, limit);
  }

  flowCounters(flow: FlowHandle, into: Partial<Record<keyof FlowCounters, number>> = {}): FlowCounters {
    return this.#frame.read(flow, FLOW_COUNTERS, into);
  }

  portCounters(port: PortHandle): PortCounters {
    return this.#frame.read(port, PORT_COUNTERS);
  }
}
