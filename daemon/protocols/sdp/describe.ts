import { isIP } from 'node:net';
import { type SessionDescription, write } from 'sdp-transform';

/** An RTP/MP2T session that is sent by multicast. */
export interface MulticastSession {
  /** Shown by players; one line. */
  readonly name: string;
  /** Same for all versions of this description (RFC 8866 section 5.2). */
  readonly sessionId: number;
  /** Grows whenever the description changes. */
  readonly version: number;
  /** Unicast address of the sender, for `o=`. */
  readonly origin: string;
  readonly group: string;
  /** Even UDP port. */
  readonly port: number;
  /** 0 to 255; only IPv4 descriptions carry it (RFC 8866 section 5.7). */
  readonly ttl: number;
  /** Source of a source-specific session (RFC 4570), or null. */
  readonly source: string | null;
}

/** Static payload type of MPEG-TS (RFC 3551 section 6). */
const MP2T = 33;

/** The session description (RFC 8866) of a multicast RTP/MP2T stream (RFC 2250). */
export function describeMulticast(session: MulticastSession): string {
  const family = isIP(session.group) === 6 ? 6 : 4;
  const description: SessionDescription = {
    version: 0,
    origin: {
      username: '-',
      sessionId: session.sessionId,
      sessionVersion: session.version,
      netType: 'IN',
      ipVer: isIP(session.origin) === 6 ? 6 : 4,
      address: session.origin,
    },
    name: session.name.replace(/[\p{Cc}\u2028\u2029]/gu, ' ').trim() || '-',
    timing: { start: 0, stop: 0 },
    // RFC 8866 section 5.7: an IPv4 group must carry its TTL, an IPv6 one must not.
    connection: { version: family, ip: family === 4 ? `${session.group}/${session.ttl}` : session.group },
    ...(session.source === null
      ? {}
      : {
          sourceFilter: {
            filterMode: 'incl',
            netType: 'IN',
            addressTypes: `IP${family}`,
            destAddress: session.group,
            srcList: session.source,
          },
        }),
    media: [
      {
        type: 'video',
        port: session.port,
        protocol: 'RTP/AVP',
        payloads: String(MP2T),
        rtp: [{ payload: MP2T, codec: 'MP2T', rate: 90_000 }],
        fmtp: [],
        direction: 'recvonly',
      },
    ],
  };
  return write(description);
}
