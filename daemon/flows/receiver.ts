import { SluiceError } from '../base/errors.js';
import type { FlowReceiverHandle, FlowReceiverOptions } from '../plane/contract-flows.js';
import { ttlOf } from './conflicts.js';
import type { FlowConfig, FlowReceiverConfig } from './flow-schema.js';
import { isGroup, wildcardOf } from './places.js';
import type { PortLease, PortWish } from './ports.js';
import type { Origin } from './status.js';

/** Room for the RTCP of receivers; media does not come in there. */
const SENDING_BUFFER_BYTES = 256 * 1024;

/** One receiver of a flow: what is configured, what is wanted of its gate, and what the plane has of it. */
export class Receiver {
  /** Null while it, or its flow, is not set up. */
  handle: FlowReceiverHandle | null = null;
  lease: PortLease | null = null;
  /** Why it is not set up. */
  fault: SluiceError | null = null;
  /** As wanted: the API may have moved it since. */
  open: boolean;
  /** Another flow that it listens to, or null for its own. */
  source: string | null = null;

  /** @param flow its own, for life */
  constructor(
    readonly flow: string,
    public config: FlowReceiverConfig,
    readonly origin: Origin,
  ) {
    this.open = config.gate === 'open';
  }

  /** Takes the place of another of the same id: where the file does not move the gate, it stays as it is. */
  goOnFrom(old: Receiver): void {
    if (old.config.gate === this.config.gate) this.open = old.open;
    this.source = old.source;
  }

  release(): void {
    this.lease?.release();
    this.lease = null;
    this.handle = null;
  }
}

/** The socket that a receiver is sent to from. */
export function sendingPort(receiver: FlowReceiverConfig, { batching }: FlowConfig, loop: number | null): PortWish {
  const { to, from } = receiver;
  const fixed = from !== undefined && from.port > 0 ? from : { address: wildcardOf(to), port: 0 };
  return {
    ...fixed,
    source: null,
    interfaceName: isGroup(to) ? (receiver.interface ?? null) : null,
    ttl: ttlOf(receiver),
    batching,
    receiveBufferBytes: SENDING_BUFFER_BYTES,
    loop,
  };
}

/** A receiver as the plane takes it. */
export function optionsOf(receiver: Receiver, flow: FlowConfig, open: boolean): FlowReceiverOptions {
  const { config, lease } = receiver;
  const { to, from } = config;
  // A receiver without a lease is never handed over.
  if (lease === null) throw new SluiceError('INTERNAL', `receiver ${config.id} has no port`);
  return {
    port: lease.handle,
    address: to.address,
    destinationPort: to.port,
    rtcpPort: config.rtcp_port ?? (flow.rtcp === 'port' ? to.port + 1 : 0),
    sourceAddress: from !== undefined && from.port === 0 ? from.address : null,
    dscp: config.dscp,
    ssrc: config.ssrc ?? null,
    payloadType: config.payload_type ?? null,
    sequenceOffset: config.sequence_offset,
    timestampOffset: config.timestamp_offset,
    open,
  };
}
