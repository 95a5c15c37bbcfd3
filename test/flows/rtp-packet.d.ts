/** What the tests use of rtp-packet, which ships no types. */
declare module 'rtp-packet' {
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
