/** What the flows tell about themselves. */
import type { FlowCounters, PortCounters } from '../plane/contract.js';
import type { FlowReceiverInfo } from '../plane/contract-flows.js';

/** Where a flow or a receiver was set up: what the API made survives reloads, not restarts. */
export type Origin = 'file' | 'api';

export interface FlowStatus {
  readonly id: string;
  readonly origin: Origin;
  /** `flowing`: packets have come within two seconds; `failed`: it could not be set up, and is tried again. */
  readonly state: 'flowing' | 'silent' | 'failed';
  /** While failed. */
  readonly code: string | null;
  readonly reason: string | null;
  /** `rtp://239.1.1.1:5004`, or `news/high` of a channel. */
  readonly input: string;
  readonly source: string | null;
  readonly interface: string | null;
  /** The only RTP source that is listened to. */
  readonly ssrc: number | null;
  readonly rtcp: 'mux' | 'port' | 'off';
  readonly priority: number;
  /** Null while failed, or where it is not known. */
  readonly loop: number | null;
  /** Of its own, wherever they listen. */
  readonly receivers: number;
  readonly receiversOpen: number;
  /** Those that could not be set up. */
  readonly receiversFailed: number;
  /** A second, over the last one. */
  readonly rates: FlowRates;
  /** Since the last packet; null before the first. */
  readonly lastInputAgeMs: number | null;
  readonly counters: FlowCounters;
  /** Of the port that it comes in on, which other flows may share; null for a channel's. */
  readonly port: PortCounters | null;
}

/** Of all flows together, as of the last second. */
export interface FlowTotals {
  /** UDP payload from outside: the streams of channels are counted there. */
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** Packets that the kernel did not take, and those shed at overload. */
  readonly drops: number;
}

export interface FlowRates {
  readonly packetsIn: number;
  readonly packetsOut: number;
  readonly bitsIn: number;
  readonly bitsOut: number;
}

export interface ReceiverStatus {
  readonly id: string;
  /** Its own flow. */
  readonly flow: string;
  readonly origin: Origin;
  readonly to: string;
  readonly gate: 'open' | 'closed';
  /** The flow that it listens to. */
  readonly source: string;
  readonly dscp: string;
  readonly code: string | null;
  readonly reason: string | null;
  readonly packets: number;
  readonly bytes: number;
  readonly errors: number;
  /** How often the gate has opened or changed its source. */
  readonly switches: number;
  /** Highest extended sequence number sent; -1 before the first. */
  readonly sequence: number;
  /** From its last receiver report. */
  readonly report: FlowReceiverInfo['report'];
}

/** One change of a gate; what is absent stays. */
export interface GateOrder {
  /** `FLOW/RECEIVER`. */
  readonly receiver: string;
  readonly gate?: 'open' | 'closed' | undefined;
  /** Id of the flow that it listens to from now on. */
  readonly source?: string | undefined;
  /** Milliseconds of the source's past that it begins with. */
  readonly prebuffer?: number | undefined;
}
