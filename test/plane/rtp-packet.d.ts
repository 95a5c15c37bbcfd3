/** What the tests use of rtp-packet, which ships no types. */
declare module 'rtp-packet' {
  interface ParsedRtcp {
    readonly name?: 'SR' | 'RR' | 'SDES' | 'NACK' | 'PLI' | 'BYE';
    readonly type: number;
    readonly ssrc?: number;
    readonly ntpTimestampMsw?: number;
    readonly ntpTimestampLsw?: number;
    readonly rtpTimestamp?: number;
    readonly packetCount?: number;
    readonly octetCount?: number;
    readonly cname?: string;
    readonly mediaSsrc?: number;
    readonly fractionLost?: number;
    readonly highestSeq?: number;
    readonly lastSR?: number;
    readonly lostSequenceNumbers?: readonly number[];
  }
  export function parseRTCPCompound(datagram: Buffer): ParsedRtcp[];
  export function buildCompound(packets: readonly Buffer[]): Buffer;
  export function buildSDES(ssrc: number, cname: string): Buffer;
  export function buildNACK(sender: number, media: number, sequences: readonly number[]): Buffer;
  export function buildSR(options: {
    ssrc: number;
    ntpTimestamp: readonly [number, number];
    rtpTimestamp: number;
    packetCount: number;
    octetCount: number;
  }): Buffer;
  export function buildRR(options: {
    ssrc: number;
    mediaSsrc: number;
    fractionLost: number;
    totalLost: number;
    highestSeq: number;
    jitter: number;
    lastSR: number;
    delaySinceLastSR: number;
  }): Buffer;

  interface RtpFields {
    readonly payloadType: number;
    readonly sequenceNumber: number;
    readonly timestamp: number;
    readonly ssrc: number;
    readonly marker?: boolean;
    readonly csrc?: readonly number[];
    readonly extensions?: Readonly<Record<number, Buffer>> | null;
    readonly payload: Buffer;
  }
  export function parse(datagram: Buffer): RtpFields | null;
  export function serialize(packet: RtpFields): Buffer;
}
