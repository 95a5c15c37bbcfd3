/**
 * The native boundary: the verbs, the plain structs that cross it, the events and the counters. One noun has one name on
 * both sides. Only `daemon/plane` imports the addon; everything else talks to {@link PlaneApi}.
 *
 * Handles are small integers that the plane hands out; they are never reused within one process.
 * All times are in the unit that the name ends in; all sizes are in bytes unless the name says otherwise.
 */

import type { SluiceError } from '../base/errors.js';
import type {
  AccessLogCounters,
  CaptureCounters,
  FetchCounters,
  InputCounters,
  ListenerCounters,
  LoopCounters,
  ObjectCounters,
  RelayCounters,
  ReplayCounters,
  SenderCounters,
  SiteCounters,
  StreamCounters,
  UpstreamCounters,
} from './contract-counters.js';
import type { FlowsApi } from './contract-flows.js';
import type { RelayEnd, RelayGroup, RelayOptions } from './contract-relay.js';

export * from './contract-counters.js';
export * from './contract-relay.js';

/** A stream: one ring, one packetiser, one recovered clock. */
export type StreamHandle = number & { readonly __kind: 'stream' };
/** One HTTP connection towards an upstream, feeding one stream. */
export type UpstreamHandle = number & { readonly __kind: 'upstream' };
/** One UDP or RTP socket feeding one stream. */
export type InputHandle = number & { readonly __kind: 'input' };
/** One RTP sender (multicast or unicast) reading one stream's ring. */
export type SenderHandle = number & { readonly __kind: 'sender' };
/** One listening socket of the viewers' HTTP front. */
export type ListenerHandle = number & { readonly __kind: 'listener' };
/** One prefix of the viewers' front behind which HTTP objects stand. */
export type SiteHandle = number & { readonly __kind: 'site' };
/** One flight of an object: from the first viewer that asks to the head of the answer. */
export type Ticket = number & { readonly __kind: 'ticket' };
/** One measuring receiver (`sluice receive`). */
export type ReceiverHandle = number & { readonly __kind: 'receiver' };
/** One device whose frames go into a file (`sluice capture`). */
export type CaptureHandle = number & { readonly __kind: 'capture' };
/** One capture that is played to a device or an address (`sluice replay --to`). */
export type ReplayHandle = number & { readonly __kind: 'replay' };

/** Pacing of packets whose rate varies. */
export interface SmoothingOptions {
  /** Deviation of 100 ms from the mean of some seconds above which packets are paced, 1 to 1000 percent. */
  readonly thresholdPercent: number;
  /** Bound of the added delay, 1 to 5,000 ms. */
  readonly maxDelayMs: number;
}

/** A new stream. */
export interface StreamOptions {
  /** `channel/rendition`; only for messages and events. */
  readonly name: string;
  /** Size of the byte arena, a power of two, 1 MiB to 1 GiB. Counted against {@link PlaneOptions.memoryBytes}. */
  readonly ringBytes: number;
  /** Least time between arrival and departure, 0 to 10,000 ms: what absorbs the jitter of the input. */
  readonly delayMs: number;
  /**
   * Window over which departures are spread evenly, 0 to 1,000 ms. 0 keeps the exact spacing of the PCR (live inputs);
   * segmented inputs use 200 so that a large picture does not leave as a burst.
   */
  readonly spreadMs: number;
  /** Null: rates are measured, and every packet departs at its time. */
  readonly smoothing: SmoothingOptions | null;
  /** `program_number` to keep of a multi-programme stream (ISO/IEC 13818-1 2.4.4.3), or null for single-programme ones. */
  readonly program: number | null;
  /** HLS segments are cut at the first random access point after this time, 500 to 60,000 ms. */
  readonly segmentMs: number;
  /** Most segments listed in the media playlist, 3 to 100. */
  readonly windowSegments: number;
  /** RTP SSRC (RFC 3550 section 5.1), 32 bits. */
  readonly ssrc: number;
  /** The loop that it is placed on, counted from 0, or null for the one with the least to do. It never moves. */
  readonly loop: number | null;
}

/** A new upstream connection for a stream. At most one TCP connection is open for it at any time. */
export interface UpstreamOptions {
  readonly connectTimeoutMs: number;
  /** From the TCP connection to the end of the TLS handshake. */
  readonly tlsTimeoutMs: number;
  /** From the request to the end of the response's header section. */
  readonly headTimeoutMs: number;
  /** Between two pieces of a body, while the plane wants to read. */
  readonly idleTimeoutMs: number;
}

/** How a body is encrypted: AES-128 in CBC mode, padded as PKCS #7 says, all of it (RFC 8216 section 4.3.2.4). */
export interface SegmentSeal {
  /** 32 lower-case hexadecimal digits. */
  readonly key: string;
  /** The initialisation vector, written likewise. */
  readonly iv: string;
  /** Clear bytes taken by an earlier attempt: the body is asked for from its start, and so many are dropped natively. */
  readonly skipBytes: number;
}

/** How the server of a request over TLS is known. */
export interface UpstreamTls {
  /** Host name, or numeric address without brackets, that the certificate must be for; names are asked for by SNI. */
  readonly serverName: string;
  /** Takes any certificate: only where the configuration says so by name. */
  readonly insecure: boolean;
}

/** One GET on an upstream connection; requests of one upstream run one after the other. */
export interface UpstreamRequest {
  /** Numeric IPv4 or IPv6 address: names are resolved by policy, in TypeScript. */
  readonly address: string;
  readonly port: number;
  /** TLS (1.2 or 1.3), or null for plain HTTP. */
  readonly tls: UpstreamTls | null;
  /** Value of the Host field (RFC 9110 section 7.2). */
  readonly host: string;
  /** Origin-form target with query, no fragment, already percent-encoded. */
  readonly target: string;
  /** Further request fields, lower-case names. Control characters are refused. */
  readonly headers: Readonly<Record<string, string>>;
  /** `memory`: the (decompressed) body of a 2xx answer comes back as bytes. `stream`: it goes into the stream's ring. */
  readonly sink: 'memory' | 'stream';
  /** Largest decompressed body for `memory`; ignored for `stream`. */
  readonly maxBytes: number;
  /** From the request to the end of the answer, 0 for no bound. */
  readonly totalTimeoutMs: number;
  /**
   * For `stream`: body bytes already taken by an earlier attempt. When the answer is 206 it is taken to start there; when
   * it is 200, so many bytes are dropped natively.
   */
  readonly skipBytes: number;
  /** For `stream`: this body does not continue the one before it (new timeline, gap, another server). */
  readonly discontinuity: boolean;
  /** For `stream`: the body is encrypted MPEG-TS; null for one in the clear. */
  readonly seal: SegmentSeal | null;
}

/** The answer to an {@link UpstreamRequest}: also given for statuses other than 2xx, whose body is discarded. */
export interface UpstreamResponse {
  readonly status: number;
  /** Response fields, lower-case names; repeated ones joined by ", ". */
  readonly headers: Readonly<Record<string, string>>;
  /** The body for sink `memory` and a 2xx status, else empty. */
  readonly body: Uint8Array;
  /** Decompressed body bytes received (those skipped included); with a seal, clear bytes. */
  readonly bytes: number;
}

/** A prefix of the viewers' front whose objects are fetched, kept and handed out. */
export interface SiteOptions {
  /** Begins and ends with `/`; the longest one that a path begins with counts. */
  readonly prefix: string;
  /** Whether the query is part of an object's name. */
  readonly query: boolean;
  /** For the access log. Default empty. */
  readonly name?: string;
  /** Default: none are looked at. */
  readonly tokens?: TokenRule;
}

/** What a site takes for a token: `~TOKEN/` behind its prefix, or `?token=TOKEN`; see docs/front.md. */
export interface TokenRule {
  /** What is signed beside the token itself, so that one for another site with the same key is none here. */
  readonly realm: string;
  /** Several while one takes the place of another; none: tokens are not looked at. */
  readonly keys: readonly TokenKey[];
  /** Whether a request without a token is refused (403). */
  readonly required: boolean;
}

export interface TokenKey {
  /** 1 to 32 characters of A-Z a-z 0-9 - _ */
  readonly id: string;
  readonly secret: string;
}

/** How long an answer may be used (RFC 9111 section 4.2). */
export interface FreshnessRule {
  /** Whether the origin's Cache-Control and Expires count. */
  readonly honour: boolean;
  /** Where they do not, or say nothing. */
  readonly otherwiseMs: number;
  readonly leastMs: number;
  readonly mostMs: number;
  /** For so long after that, in the place of an origin that fails (RFC 5861 section 4). */
  readonly staleIfErrorMs: number;
}

/** One GET over the pool of kept connections. */
export interface FetchOptions {
  /** Numeric IPv4 or IPv6 address. */
  readonly address: string;
  readonly port: number;
  /** TLS (1.2 or 1.3), or null for plain HTTP. */
  readonly tls: UpstreamTls | null;
  readonly host: string;
  readonly target: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly timeouts: UpstreamOptions;
  /**
   * The flight that the answer is for: 200 becomes the object, which viewers get while it grows; 304 makes the object that
   * was there fresh again. Every other status leaves the flight open. Null: the body comes back as bytes.
   */
  readonly fill: (FreshnessRule & { readonly ticket: Ticket }) | null;
  /** Largest body where it comes back as bytes. */
  readonly maxBytes: number;
}

/** How the objects of a site are fetched without asking for each: what {@link FetchOptions} would say for all of them. */
export interface Way {
  readonly address: string;
  readonly port: number;
  readonly tls: UpstreamTls | null;
  readonly host: string;
  /** Path of the origin, ends in `/`: an object's target is put behind it. */
  readonly base: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly timeouts: UpstreamOptions;
  readonly freshness: FreshnessRule;
  /** Ends of paths, lower case, that are asked about all the same. */
  readonly but: readonly string[];
  /** For so long, 0 to 3,600,000. */
  readonly validMs: number;
}

/** An object that is made here. */
export interface MadeObject {
  /** 200 to 599. */
  readonly status: number;
  /** Lower-case names, such as an origin sent: those that do not go on (RFC 9110 section 7.6.1) are left out. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** Applied to `headers`, as to an origin's. */
  readonly freshness: FreshnessRule;
}

/** What those who wait for an object or a group get instead. */
export interface ObjectRefusal {
  /** 400 to 599. */
  readonly status: number;
  /** Seconds for Retry-After, 0 for none. */
  readonly retryAfter: number;
  /** One sentence for a person. */
  readonly message: string;
}

/** A UDP input: plain MPEG-TS datagrams or RTP/MP2T, told apart by the first byte. */
export interface InputOptions {
  /** Group or unicast address to bind; a group is joined. */
  readonly address: string;
  readonly port: number;
  /** Source for a source-specific join (RFC 4607), or null for any source. */
  readonly source: string | null;
  /** Interface name for the join, or null for the kernel's choice. */
  readonly interfaceName: string | null;
  /** How long a gap in RTP sequence numbers is waited for, 0 to 2,000 ms. Of no meaning with `repair`. */
  readonly reorderMs: number;
  /** Where packets have their numbers; `rtp` when absent. With any other, plain MPEG-TS is not taken. */
  readonly numbering?: Numbering;
  /** With what missing RTP packets are repaired; null or absent for nothing. */
  readonly repair?: RepairOptions | null;
}

/**
 * Where the number of a packet stands (S2.6): in the RTP header; in an RTP header extension (RFC 8285, id 1, 32 bits); in an
 * IPv4 option or IPv6 destination option (RFC 4727, needs CAP_NET_RAW at the sender, and no segmentation); or in a field of four bytes
 * before MPEG-TS without RTP. Parity and retransmissions are always of the packet as plain RTP with that number.
 */
export type Numbering = 'rtp' | 'rtp-extension' | 'ip-option' | 'field';

/** Where packets are had by ranges of sequence numbers (docs/repair.md): one address, over one kept connection. */
export type RangeSource = Pick<UpstreamRequest, 'address' | 'port' | 'tls' | 'host' | 'target' | 'headers'>;

/** How an RTP input is made whole: order, then FEC, then retransmission, then HTTP, each packet delivered `playoutMs` after it came. */
export interface RepairOptions {
  /** Whether parity is listened to, on the ports above that of the media: + 2 and + 4 (ST 2022-1), + 6 (block code). */
  readonly fec: boolean;
  /** Where NACKs go (RFC 4585) and retransmissions come from, unicast; or null. */
  readonly feedback: { readonly address: string; readonly port: number } | null;
  /** Whether that wants a token first (RFC 6284): one is got, renewed, and shown with every NACK. */
  readonly tokens: boolean;
  /** Whether a group is entered by a burst from there (RFC 6285), and joined when that has caught up; not when absent. */
  readonly acquisition?: boolean;
  /** From where the rest is fetched by HTTP; null or absent for nowhere. */
  readonly range?: RangeSource | null;
  /** From arrival to delivery, 10 to 10,000 ms. */
  readonly playoutMs: number;
  /** The playout delay follows what repairs take, down to this; 0 keeps it as it is. */
  readonly leastPlayoutMs: number;
  /** The first request waits so long at most, by chance: of a large audience others may have asked before. */
  readonly ditherMs: number;
}

/**
 * How datagrams are handed to the kernel: one system call each (`plain`), one for many (`sendmmsg`), or many as one that the kernel
 * cuts (`segment`, UDP_SEGMENT; at a port also UDP_GRO for what comes in). `auto` is segmentation where the kernel has it.
 */
export type Batching = 'auto' | 'segment' | 'sendmmsg' | 'plain';

/** An RTP sender. */
export interface SenderOptions {
  readonly address: string;
  readonly port: number;
  /** Interface for multicast, or null for the route's. */
  readonly interfaceName: string | null;
  /** Source address to bind, or null. */
  readonly sourceAddress: string | null;
  /** Source port, 0 for any. */
  readonly sourcePort: number;
  /** TTL or hop limit, 0 to 255. */
  readonly ttl: number;
  /** DSCP, 0 to 63 (RFC 2474). */
  readonly dscp: number;
  /** Whether local sockets on the same host also get the packets (IP_MULTICAST_LOOP). */
  readonly loop: boolean;
  readonly batching: Batching;
  /** RTCP to the port above (RFC 3550 section 11), or null for none. */
  readonly rtcp: {
    /** For SDES (RFC 3550 section 6.5.1): printable ASCII, up to 255. */
    readonly cname: string;
  } | null;
  /** Where packets get their numbers; `rtp` when absent. */
  readonly numbering?: Numbering;
  /** Parity on the ports above, or null or absent for none. */
  readonly fec?: FecOptions | null;
  /** A retransmission server of the stream, or null or absent for none. */
  readonly retransmission?: RetransmissionOptions | null;
}

/** The parity of an RTP sender: source packets stay as they are. */
export interface FecOptions {
  /** ST 2022-1 over L x D packets, at most 100: columns to the port + 2, rows to + 4; or null. */
  readonly parity: { readonly columns: number; readonly rows: number; readonly rowParity: boolean } | null;
  /** Reed-Solomon over `source` packets, of which `repair` may be lost: to the port + 6; or null. */
  readonly block: { readonly source: number; readonly repair: number } | null;
  /** Dynamic, of all parity. */
  readonly payloadType: number;
}

/** Who is sent what again: generic NACK in (RFC 4585), RFC 4588 out. */
export interface RetransmissionOptions {
  /** Own unicast address and port of the feedback target; answers leave from there. */
  readonly address: string;
  readonly port: number;
  /** Originals as they were, instead of RFC 4588. */
  readonly plain: boolean;
  /** Of retransmissions, dynamic. */
  readonly payloadType: number;
  readonly dscp: number;
  /** How far back is answered; the ring may hold less. */
  readonly depthMs: number;
  /** What one receiver (by address) gets, percent of the stream's rate, 1 to 1,000. */
  readonly sharePercent: number;
  /** Bits a second for all receivers. */
  readonly rate: number;
  /** Prefixes of addresses that may ask without further ado. */
  readonly allow: readonly string[];
  /**
   * So many different receivers (by address) ask for a packet within `holdMs` until it is sent once to the group, to the port of the
   * media + 8, and for `holdMs` to none of them; 0 to 16, 0: never. Of a sender to a group only.
   */
  readonly multicastAfter: number;
  /** 1 to 10,000 ms: about a round trip. */
  readonly holdMs: number;
  /** How long a token is good with which others prove their address (RFC 6284), whole seconds; null: others are not answered. */
  readonly tokenLifetimeMs: number | null;
  /** Bursts for those that begin, or null or absent for none. */
  readonly acquisition?: AcquisitionOptions | null;
}

/** Rapid acquisition (RFC 6285): a unicast burst from the last access point, then the stream until the receiver has joined. */
export interface AcquisitionOptions {
  /** A burst's rate, percent of the stream's, 105 to 1,000. */
  readonly ratePercent: number;
  /** At a time, 1 to 10,000. */
  readonly bursts: number;
  /** Bits a second of all of them. */
  readonly rate: number;
  /** How long a burst goes on with the stream once it has caught up, 100 ms to 10 s. */
  readonly overlapMs: number;
}

/** What a listener of the viewers' HTTP front bears; may be changed while it listens. */
export interface ListenerLimits {
  /** Connections in all; further ones get 503 and are closed. */
  readonly maxConnections: number;
  /** From accept, or the first byte of a next request, to the end of the header section. */
  readonly headerTimeoutMs: number;
  /** Idle keep-alive connections are closed after this time. */
  readonly idleTimeoutMs: number;
  /** A viewer that takes no byte for this long is disconnected. */
  readonly stallTimeoutMs: number;
  /** SO_SNDBUF of a viewer, so that slowness shows here and not in the kernel. */
  readonly sendBufferBytes: number;
  /** A continuous viewer that falls behind the live edge by more than this jumps to the newest access point. */
  readonly viewerLagMs: number;
  /** Bytes of a request's head, 1 KiB to 1 MiB; longer ones are answered with 431. Default 16 KiB. */
  readonly headerSizeBytes?: number;
  /**
   * Bytes a second that a viewer takes at least, over any `stallTimeoutMs` in which it is waited for; else it is
   * disconnected. Not of viewers that follow a stream. Default 0: none.
   */
  readonly minRate?: number;
  /** Default: none. */
  readonly clients?: ClientLimits;
}

/** Limits of one client: an IPv4 address, or the /64 of an IPv6 one. 0 is no limit. */
export interface ClientLimits {
  /** Connections at once; further ones get 429. */
  readonly connectionsPerAddress: number;
  /** Requests a second, over time; further ones get 429 with Retry-After. */
  readonly requestsPerAddress: number;
  /** Requests that may come at once, at least 1. */
  readonly burst: number;
  /** Requests a second of all clients; further ones get 503 with Retry-After. */
  readonly requests: number;
  /** `192.0.2.0/24`, `2001:db8::/32`: for whom none of this holds. */
  readonly exempt: readonly string[];
}

/** Where requests are logged. */
export interface AccessLogOptions {
  /** A path, or `-` for standard output. */
  readonly file: string;
  readonly format: 'combined' | 'json';
}

/** A certificate with its chain, and its key; both PEM. */
export interface TlsCertificate {
  readonly chain: string;
  readonly key: string;
}

/** A listener of the viewers' HTTP front. */
export interface ListenOptions extends ListenerLimits {
  /** Numeric address. */
  readonly address: string;
  /** 0 picks a free port. */
  readonly port: number;
  /** Certificates, chosen by the name that the client asks for; none for plain HTTP. */
  readonly tls?: readonly TlsCertificate[];
  /** A socket that already listens on the address, to be taken over; it is the plane's from then on. */
  readonly fd?: number | undefined;
  /** Connections wait in the socket until {@link PlaneApi.serve}: nobody is answered by routes that are not there yet. */
  readonly hold?: boolean | undefined;
}

/** What the viewers' front answers for a path. */
export type Route =
  | { readonly kind: 'static'; readonly contentType: string; readonly body: string; readonly cacheControl: string }
  /** Continuous MPEG-TS from the latest random access point. */
  | { readonly kind: 'continuous'; readonly stream: StreamHandle }
  /** HLS media playlist of the stream's segments; `prefix` stands before `N.ts` in its URIs. */
  | { readonly kind: 'playlist'; readonly stream: StreamHandle; readonly prefix: string }
  /** `PATH` + `N.ts` for every segment; the path must end in `/`. */
  | { readonly kind: 'segments'; readonly stream: StreamHandle }
  /** Packets by ranges of their sequence numbers (docs/repair.md), `rate` bits a second at most for all. */
  | { readonly kind: 'packets'; readonly stream: StreamHandle; readonly rate: number };

/** A measuring receiver: joins, reorders, counts, and writes the MPEG-TS to a file descriptor. */
export interface ReceiverOptions extends InputOptions {
  /** Open file descriptor for the output, or null. The caller keeps it open until the receiver is removed. */
  readonly outputFd: number | null;
  /** Where every datagram is recorded as it came, with headers made from what the socket told; or null. */
  readonly recording: RecordingOptions | null;
}

/** A capture file that is written. */
export interface RecordingOptions {
  /** `-` is standard output. With `rotate` a number goes before the extension: `a-00001.pcapng`. */
  readonly path: string;
  /** pcap has nanoseconds. */
  readonly format: 'pcapng' | 'pcap';
  /** For the header of a pcapng file, or null. */
  readonly interfaceName: string | null;
  /** For the header of a pcapng file; empty for none, at most 200 bytes. */
  readonly comment: string;
  readonly application: string;
  /** Bytes kept of each packet, 1 to 262,144. */
  readonly snaplen: number;
  /** In all, 0 for no limit. */
  readonly maxPackets: number;
  /** Of one file: 0 for no limit, or at least 4,096. */
  readonly maxBytes: number;
  /** At `maxBytes`: whether a next file is begun, or the recording ends. */
  readonly rotate: boolean;
  /** With `rotate`: how many files are left, the oldest are deleted; 0 keeps all. */
  readonly keep: number;
}

/** An address, or all that share its first bits. */
export interface AddressPrefix {
  readonly address: string;
  /** 0 to 32 or 128. */
  readonly bits: number;
}

export const CAPTURE_PROTOCOLS = ['igmp', 'mld', 'pim', 'icmp', 'tcp', 'udp', 'rtp', 'rtcp'] as const;

/** Which packets are recorded: what is empty lets everything through; of the rest all must fit, of each list any. */
export interface CaptureFilter {
  /** Destination. */
  readonly groups: readonly AddressPrefix[];
  /** Source or destination. */
  readonly hosts: readonly AddressPrefix[];
  /** Source or destination port of UDP and TCP. */
  readonly ports: readonly number[];
  readonly protocols: readonly (typeof CAPTURE_PROTOCOLS)[number][];
  /** VLAN id of any tag, 0 to 4,095. */
  readonly vlans: readonly number[];
}

/** Frames of a device into a file. Needs CAP_NET_RAW. */
export interface CaptureOptions {
  /** Null for all devices, as Linux cooked packets. */
  readonly interfaceName: string | null;
  /** Also frames that are for others. */
  readonly promiscuous: boolean;
  readonly filter: CaptureFilter;
  readonly recording: RecordingOptions;
}

/** The ends of a UDP flow. */
export interface FlowEnds {
  readonly source: string;
  readonly sourcePort: number;
  readonly destination: string;
  readonly port: number;
}

/** Where a capture is played to. */
export type ReplayTarget =
  /** Frames as captured into a device; needs CAP_NET_RAW. */
  | {
      readonly kind: 'frames';
      readonly interfaceName: string;
      /** Whether Ethernet addresses are made fit: the source is the device's, the destination of a group the group's. */
      readonly rewrite: boolean;
      /** With `rewrite`, the Ethernet address for unicast packets; null leaves it as captured. */
      readonly unicast: string | null;
    }
  /** The payload of a flow's datagrams to an address. */
  | {
      readonly kind: 'datagrams';
      readonly address: string;
      readonly port: number;
      /** For multicast, or null for the route's. */
      readonly interfaceName: string | null;
      /** TTL or hop limit, 0 to 255. */
      readonly ttl: number;
    };

/** A capture that is played as it was captured. */
export interface ReplayOptions {
  readonly path: string;
  /** 2 is twice as fast as captured; 0 as fast as it can be sent. */
  readonly speed: number;
  /** 0 for without end. */
  readonly loops: number;
  /** The flow that is played; null, which only frames may, plays all packets. */
  readonly flow: FlowEnds | null;
  readonly target: ReplayTarget;
}

/** Why the plane gave up a stream's present source, or could not use it. */
export type SourceFaultCode =
  | 'SOURCE_NOT_MPEGTS'
  | 'SOURCE_PROGRAM_REQUIRED'
  | 'SOURCE_PROGRAM_MISSING'
  | 'SOURCE_NO_PCR';

/** What the plane tells; delivered in batches. */
export type PlaneEvent =
  /** The stream's source cannot be used as it is. */
  | {
      readonly type: 'source-fault';
      readonly stream: StreamHandle;
      readonly code: SourceFaultCode;
      readonly detail: string;
    }
  /** The first random access point, or the first after a fault, is in the ring: viewers can be served. */
  | { readonly type: 'stream-ready'; readonly stream: StreamHandle }
  /** Viewers wait for an object that is not there, or no longer fresh: its flight is open until somebody ends it. */
  | {
      readonly type: 'object-wanted';
      readonly site: SiteHandle;
      readonly ticket: Ticket;
      /** Behind the prefix, with its query; as the viewer wrote it. */
      readonly target: string;
      /** Validators of the object that is no longer fresh, or empty. */
      readonly etag: string;
      readonly lastModified: string;
      /** What the origin answered already, along the way that {@link PlaneApi.setWay} told; null: it was not asked yet. */
      readonly answer: UpstreamResponse | SluiceError | null;
    }
  /** Viewers wait for a group that is not there, until it is opened or refused, or the time is over. */
  | {
      readonly type: 'relay-wanted';
      readonly group: RelayGroup;
      /** Numeric, without brackets. */
      readonly address: string;
      readonly port: number;
      readonly source: string | null;
    }
  /** Nobody gets to the stream any more: it is to be removed. Viewers who are still there are disconnected by that. */
  | {
      readonly type: 'relay-ended';
      readonly group: RelayGroup;
      readonly stream: StreamHandle;
      readonly reason: RelayEnd;
    }
  /** The head of a `stream` answer has come (continuous answers may never end). */
  | { readonly type: 'upstream-head'; readonly upstream: UpstreamHandle; readonly status: number }
  /** A capture has reached its limit (`code` null), or its file could not be written. */
  | {
      readonly type: 'capture-end';
      readonly capture: CaptureHandle;
      readonly code: 'SYSTEM_CALL' | null;
      readonly detail: string;
    }
  /** A replay is done (`code` null), or ended early: the file is damaged, or held nothing to be sent. */
  | {
      readonly type: 'replay-end';
      readonly replay: ReplayHandle;
      readonly code: 'CAPTURE_INVALID' | 'CAPTURE_EMPTY' | null;
      readonly detail: string;
    };

/** One connected continuous viewer. */
export interface ViewerInfo {
  readonly id: number;
  readonly stream: StreamHandle;
  readonly remote: string;
  readonly userAgent: string;
  /** For how long. */
  readonly connectedMs: number;
  readonly bytes: number;
  readonly drops: number;
  /** Bytes between the viewer and the live edge. */
  readonly lagBytes: number;
}

/** A loop of the plane. */
export interface PlaneLoop {
  /** Of its thread, as `ps -L` shows it. */
  readonly name: string;
  /** The only one that it runs on, or null. */
  readonly cpu: number | null;
}

export interface PlaneOptions {
  /** Budget for all rings together; a stream that does not fit is refused with MEMORY_BUDGET. */
  readonly memoryBytes: number;
  /** Budget for all HTTP objects together; those least used give way. Default 256 MiB. */
  readonly objectBytes?: number;
  /** Largest HTTP object, at most 1 GiB. Default 64 MiB. */
  readonly largestObjectBytes?: number;
  /** Our name in Via (RFC 9110 section 7.6.3). Default `sluice`. */
  readonly viaName?: string;
  /** How many loops work, each on a thread of its own: 1 to 64; or the CPU of each. Default 1. */
  readonly loops?: number | readonly number[];
  /** Authorities that upstreams' certificates may come from, PEM, nobody else; those that Node brings when absent. */
  readonly authorities?: string | undefined;
}

/** One MPEG-TS flow found in a capture. */
export interface CaptureFlow {
  readonly source: string;
  readonly destination: string;
  readonly port: number;
  readonly rtp: boolean;
  readonly packets: number;
  readonly durationMs: number;
  /** The MPEG-TS, RTP headers taken off. */
  readonly ts: Uint8Array;
}

/** The MPEG-TS of a capture. */
export interface CaptureFlows {
  /** At least one. */
  readonly flows: readonly CaptureFlow[];
  /** Where the file is damaged, as a sentence: the flows end there. Null when it is not. */
  readonly damage: string | null;
}

/** One UDP flow of a capture. */
export interface UdpFlow extends FlowEnds {
  /** What the first datagram looks like. */
  readonly kind: 'udp' | 'rtp' | 'ts';
  readonly packets: number;
  /** UDP payload. */
  readonly bytes: number;
  readonly durationMs: number;
}

/** What a capture holds. */
export interface CaptureSummary {
  readonly packets: number;
  /** On the wire. */
  readonly bytes: number;
  readonly durationMs: number;
  /** In the order of their first datagrams; 10,000 at most are listed. */
  readonly flows: readonly UdpFlow[];
  /** Where the file is damaged, as a sentence: what is before was counted. Null when it is not. */
  readonly damage: string | null;
}

/** The plane as the rest of the daemon sees it. Every verb throws a SluiceError; options are validated before they cross. */
export interface PlaneApi {
  /** Ports, flows and their receivers. */
  readonly flows: FlowsApi;
  /** LOOP_UNKNOWN, MEMORY_BUDGET, SYSTEM_CALL. */
  addStream(options: StreamOptions): StreamHandle;
  removeStream(stream: StreamHandle): void;
  /** The loop that it lives on. @throws SluiceError HANDLE_UNKNOWN */
  loopOf(stream: StreamHandle): number;
  /** Marks that what comes next does not continue what came (receivers stay, sequence numbers go on). */
  spliceStream(stream: StreamHandle): void;
  openUpstream(stream: StreamHandle, options: UpstreamOptions): UpstreamHandle;
  /** Rejects the running request with UPSTREAM_CLOSED and closes the connection. */
  closeUpstream(upstream: UpstreamHandle): void;
  /**
   * Resolves when the answer has ended. Rejects with UPSTREAM_CONNECT, UPSTREAM_TLS, UPSTREAM_TIMEOUT, UPSTREAM_CLOSED (also: cut short),
   * UPSTREAM_HTTP, UPSTREAM_TOO_LARGE, UPSTREAM_ENCODING or UPSTREAM_DECRYPT; `details.bytes` tells the body bytes taken until then and
   * `details.reused` whether the connection had served an earlier request and gave nothing this time (ask again at once).
   */
  request(upstream: UpstreamHandle, request: UpstreamRequest): Promise<UpstreamResponse>;
  /** @throws SluiceError USAGE when another site has the prefix */
  addSite(options: SiteOptions): SiteHandle;
  /** From the next request on. */
  setTokens(site: SiteHandle, rule: TokenRule): void;
  siteCounters(site: SiteHandle): SiteCounters;
  /** Its objects are forgotten; answers that are under way go on. */
  removeSite(site: SiteHandle): void;
  /**
   * From now on the plane fetches what a site does not have by itself. It asks (`object-wanted`, with the answer) about what was
   * neither 200 nor 304, and when no connection came about.
   */
  setWay(site: SiteHandle, way: Way): void;
  /** Resolves and rejects as {@link request} does; UPSTREAM_BUSY when too many wait, OBJECT_TOO_LARGE, OBJECT_STORE_FULL. */
  fetch(options: FetchOptions): Promise<UpstreamResponse>;
  /** False when the flight has ended meanwhile. */
  putObject(ticket: Ticket, object: MadeObject): boolean;
  refuseObject(ticket: Ticket, refusal: ObjectRefusal): boolean;
  /** Forgets a site's objects whose path (behind the prefix) begins with `path`; how many. */
  purge(site: SiteHandle, path: string): number;
  /** Answers `/udp/` and `/rtp/` from now on; groups that are not allowed (any more) end. Null: no longer, all groups end. */
  setRelay(options: RelayOptions | null): void;
  /**
   * Gives a group its stream, before anything supplies it: who waits is answered as soon as it is ready. False when nobody
   * waits any more.
   */
  openRelay(group: RelayGroup, stream: StreamHandle): boolean;
  /** Tells those who wait, and forgets the group. False when there is none. */
  refuseRelay(group: RelayGroup, refusal: ObjectRefusal): boolean;
  relayCounters(): RelayCounters;
  objectCounters(): ObjectCounters;
  fetchCounters(): FetchCounters;
  addInput(stream: StreamHandle, options: InputOptions): InputHandle;
  removeInput(input: InputHandle): void;
  addSender(stream: StreamHandle, options: SenderOptions): SenderHandle;
  /**
   * Other parity of a sender from the next packet on, or none; its sockets and its parity's numbers go on.
   * @throws SluiceError HANDLE_UNKNOWN, ADDRESS_IN_USE, SYSTEM_CALL; what it sent it sends on then
   */
  setFec(sender: SenderHandle, fec: FecOptions | null): void;
  removeSender(sender: SenderHandle): void;
  /** New certificates for the connections to come; sessions can still be resumed. @throws SluiceError TLS_CERTIFICATE */
  setCertificates(listener: ListenerHandle, certificates: readonly TlsCertificate[]): void;
  /** Connections that are open keep their send buffer, the size of their heads and the deadline they wait for. The lag is that of all listeners. */
  setLimits(listener: ListenerHandle, limits: ListenerLimits): void;
  /** `fd` is the listening socket, the plane's until {@link closeListener}: to be kept by the service manager, not to be closed. */
  listen(options: ListenOptions): { readonly listener: ListenerHandle; readonly port: number; readonly fd: number };
  /** Begins to accept on a listener that was held; on another it changes nothing. */
  serve(listener: ListenerHandle): void;
  closeListener(listener: ListenerHandle): void;
  /**
   * Logs every request that is answered, of all listeners, from now on; null: none. A file that is open already is opened
   * again: it may have been moved. @throws SluiceError SYSTEM_CALL, and what was logged to stays
   */
  setAccessLog(options: AccessLogOptions | null): void;
  accessLogCounters(): AccessLogCounters;
  /** Adds or replaces what all listeners answer for a path. */
  setRoute(path: string, route: Route): void;
  deleteRoute(path: string): void;
  addReceiver(options: ReceiverOptions): ReceiverHandle;
  removeReceiver(receiver: ReceiverHandle): void;
  /** Begins at once. INTERFACE_UNKNOWN, or SYSTEM_CALL where the privilege is missing or the file cannot be made. */
  addCapture(options: CaptureOptions): CaptureHandle;
  /** Finishes the file. */
  removeCapture(capture: CaptureHandle): void;
  /** Begins at once; `replay-end` tells when it is done. */
  addReplay(options: ReplayOptions): ReplayHandle;
  removeReplay(replay: ReplayHandle): void;
  streamCounters(stream: StreamHandle): StreamCounters;
  upstreamCounters(upstream: UpstreamHandle): UpstreamCounters;
  inputCounters(input: InputHandle | ReceiverHandle): InputCounters;
  senderCounters(sender: SenderHandle): SenderCounters;
  captureCounters(capture: CaptureHandle): CaptureCounters;
  replayCounters(replay: ReplayHandle): ReplayCounters;
  listenerCounters(listener: ListenerHandle): ListenerCounters;
  /** The loops in their order, which is how they are counted. */
  readonly loops: readonly PlaneLoop[];
  /** One for each loop. */
  loopCounters(): readonly LoopCounters[];
  viewers(): Promise<readonly ViewerInfo[]>;
  /** Subscribes to events; returns the function that ends it. */
  onEvent(listener: (event: PlaneEvent) => void): () => void;
  /** Stops the loop threads and frees everything. Idempotent. */
  close(): Promise<void>;
}
