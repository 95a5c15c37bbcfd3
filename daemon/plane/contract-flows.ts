/**
 * The part of the native boundary that is about flows: ports (shared UDP sockets), flows (what comes in on them) and receivers
 * (where it goes, each behind a gate of its own). Same rules as in `contract.ts`.
 */

import type { Batching, SmoothingOptions, StreamHandle } from './contract.js';
import type { FlowCounters, PortCounters } from './contract-counters.js';

/** One UDP socket on one loop, shared by the flows that come in on it and the receivers that are sent to from it. */
export type PortHandle = number & { readonly __kind: 'port' };
/** Packets of one origin, handed to any number of receivers. */
export type FlowHandle = number & { readonly __kind: 'flow' };
/** One destination of a flow, behind a gate. */
export type FlowReceiverHandle = number & { readonly __kind: 'flow-receiver' };

/** A shared UDP socket. */
export interface PortOptions {
  /** Own address, wildcard, or a group, which is joined. It is also the source address of what is sent. */
  readonly address: string;
  /** 0 picks a free port. */
  readonly port: number;
  /** Source for a source-specific join (RFC 4607), or null. */
  readonly source: string | null;
  /** Interface of the join and of multicast that is sent, or null for the kernel's choice. */
  readonly interfaceName: string | null;
  /** TTL or hop limit of what is sent, 1 to 255. */
  readonly ttl: number;
  /** Whether local sockets also get the multicast that is sent (IP_MULTICAST_LOOP). */
  readonly multicastLoop: boolean;
  /** SO_RCVBUF, 64 KiB to 256 MiB. */
  readonly receiveBufferBytes: number;
  /** How datagrams are handed to the kernel and taken from it. */
  readonly batching: Batching;
  /** Which loop it is placed on, or null for the one with the least to do. */
  readonly loop: number | null;
}

/** Which packets of a port are a flow's: all that is not null must fit; the flow that asks for most wins. */
export interface FlowMatch {
  readonly remote: string | null;
  /** 0 for any. */
  readonly remotePort: number;
  readonly ssrc: number | null;
}

/** RTCP of a flow (RFC 3550 section 6). */
export interface FlowRtcpOptions {
  /** Where it comes in, or null: on the flow's own port (RFC 5761). */
  readonly port: PortHandle | null;
  /** Ours, for SDES (RFC 3550 section 6.5.1). */
  readonly cname: string;
  /** Session bandwidth in bits a second, of which RTCP takes 5 % (RFC 3550 section 6.2); 0: as measured. */
  readonly bandwidth: number;
}

/** Where the packets of a flow come from. */
export type FlowInput =
  | { readonly kind: 'port'; readonly port: PortHandle; readonly match: FlowMatch }
  /** The RTP of a stream, as it departs; on the stream's loop. */
  | { readonly kind: 'stream'; readonly stream: StreamHandle };

/** A new flow, on the loop of its input. */
export interface FlowOptions {
  /** Only for messages. */
  readonly name: string;
  readonly input: FlowInput;
  /** `rtp`: headers are read, and rewritten where a receiver asks for it. `udp`: bytes are handed on as they are. */
  readonly media: 'rtp' | 'udp';
  /** RTP clock in Hz, 1,000 to 192,000. */
  readonly clockRate: number;
  /** Bytes of the rolling store for pre-buffers, a power of two of at least 64 KiB; 0 for none. Counted against the budget. */
  readonly historyBytes: number;
  /** How long packets are gathered to make a batch, 0 to 2,000 us; 0 takes what one wake-up brings. */
  readonly waitUs: number;
  /** 0 to 7: at overload the lowest are shed first. */
  readonly priority: number;
  /** Null: packets leave as they come. */
  readonly smoothing: SmoothingOptions | null;
  /** Null: RTCP is passed over. */
  readonly rtcp: FlowRtcpOptions | null;
}

/** A destination of a flow. */
export interface FlowReceiverOptions {
  /** What it is sent from; on the loop of the flow. */
  readonly port: PortHandle;
  /** Numeric. */
  readonly address: string;
  readonly destinationPort: number;
  /** Where its RTCP goes, 0 for the port above (RFC 5761). */
  readonly rtcpPort: number;
  /** Source address where the port is bound to a wildcard, or null. */
  readonly sourceAddress: string | null;
  /** 0 to 63 (RFC 2474). */
  readonly dscp: number;
  /** Its own, or null for the flow's. After a gate has moved, a receiver without one keeps the first it was sent. */
  readonly ssrc: number | null;
  readonly payloadType: number | null;
  /** Added to what comes in, modulo 2^16 and 2^32. */
  readonly sequenceOffset: number;
  readonly timestampOffset: number;
  readonly open: boolean;
}

/** What a gate does next. */
export interface GateChange {
  readonly receiver: FlowReceiverHandle;
  readonly open: boolean;
  /** The flow it listens to from now on; null leaves it. On the same loop. */
  readonly flow: FlowHandle | null;
  /** Begins with so much of the flow's past, as far as it is stored; 0 with the next packet. */
  readonly prebufferMs: number;
}

/** One receiver as it stands. */
export interface FlowReceiverInfo {
  readonly receiver: FlowReceiverHandle;
  readonly flow: FlowHandle;
  readonly open: boolean;
  readonly packets: number;
  readonly bytes: number;
  /** Packets that the kernel did not take. */
  readonly errors: number;
  /** How often the gate has opened or changed its flow. */
  readonly switches: number;
  /** Highest RTP sequence number sent, with its cycles; -1 before the first. */
  readonly sequence: number;
  /** From its last receiver report; null before one came. */
  readonly report: {
    /** 0 to 1. */
    readonly fractionLost: number;
    readonly lost: number;
    readonly jitterMs: number;
    /** Null where it could not be told. */
    readonly roundTripMs: number | null;
    readonly ageMs: number;
  } | null;
}

/** The verbs; every one throws a SluiceError. */
export interface FlowsApi {
  /** ADDRESS_IN_USE, ADDRESS_INVALID, INTERFACE_UNKNOWN, LOOP_UNKNOWN. */
  addPort(options: PortOptions): { readonly handle: PortHandle; readonly port: number; readonly loop: number };
  /** FLOWS_ATTACHED while a flow or a receiver uses it. */
  removePort(port: PortHandle): void;
  /** MATCH_TAKEN, LOOP_DIFFERS, MEMORY_BUDGET. */
  addFlow(options: FlowOptions): FlowHandle;
  /** With its receivers. */
  removeFlow(flow: FlowHandle): void;
  /** All of them or none. LOOP_DIFFERS, ADDRESS_INVALID. */
  addFlowReceivers(flow: FlowHandle, receivers: readonly FlowReceiverOptions[]): FlowReceiverHandle[];
  removeFlowReceivers(receivers: readonly FlowReceiverHandle[]): void;
  /** All between two packets: none of the receivers sees a state in which only some have changed. LOOP_DIFFERS. */
  setGates(changes: readonly GateChange[]): void;
  /** The receivers that listen to a flow, `limit` of them from `offset` on. */
  flowReceivers(flow: FlowHandle, offset: number, limit: number): FlowReceiverInfo[];
  /** `into` is filled and given back, where there is one. */
  flowCounters(flow: FlowHandle, into?: Partial<Record<keyof FlowCounters, number>>): FlowCounters;
  portCounters(port: PortHandle): PortCounters;
}
