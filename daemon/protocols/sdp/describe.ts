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
  /** Whether packets have their numbers in a header extension, too. */
  readonly numbered?: boolean;
  /** What receivers may repair it with; players that know none of it are better served without. */
  readonly repair?: DescribedRepair;
}

/** Each part is null where there is none. Ports of parity are those of the media + 2, + 4, + 6. */
export interface DescribedRepair {
  /** ST 2022-1, whose packets are those of RFC 6015. */
  readonly parity: { readonly columns: number; readonly rows: number; readonly rowParity: boolean } | null;
  /** Packets of a block, and those added to it. */
  readonly block: { readonly source: number; readonly repair: number } | null;
  readonly parityType: number;
  /** Feedback target (RFC 4585), and where retransmissions come from. `plain`: packets as they were, else RFC 4588. */
  readonly retransmission: {
    readonly address: string;
    readonly port: number;
    readonly plain: boolean;
    readonly payloadType: number;
    readonly depthMs: number;
    /** Whether what many ask for comes once to the group, to the port of the media + 8. */
    readonly toGroup: boolean;
    /** Whether it answers who proves its address by a token that it got there (RFC 6284). */
    readonly tokens: boolean;
    /** Whether it gives bursts to those that begin (RFC 6285). */
    readonly acquisition: boolean;
  } | null;
  /** Where packets are had by ranges of sequence numbers, http:// or https://. */
  readonly range?: string | null;
}

/** The block code of docs/repair.md, which is registered nowhere. */
export const BLOCK_CODEC = 'x-sluice-reed-solomon';
/** RFC 6015: the frame that ST 2022-1 has. */
export const PARITY_CODEC = '1d-interleaved-parityfec';
/** RFC 6284 section 7: `portmapping-req:PORT IN IP4 ADDRESS`, where tokens are asked for. */
export const TOKEN_ATTRIBUTE = 'portmapping-req';
/** RFC 6285 section 8.1: behind `a=rtcp-fb:… nack`. */
export const RAPID_ACQUISITION = 'rai';
/** `x-sluice-range:URL`, where packets are had by HTTP (docs/repair.md). */
export const RANGE_ATTRIBUTE = 'x-sluice-range';
/** How long source and repair packets are apart at most, microseconds (RFC 6015 section 5.1): a bound for slow streams. */
const REPAIR_WINDOW_US = 2_000_000;
const CLOCK = 90_000;
/** The extension of docs/repair.md, "Numbering" (RFC 8285). */
export const NUMBER_URN = 'urn:x-sluice:rtp-hdrext:sequence';
const NUMBER_ID = 1;

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
        rtp: [{ payload: MP2T, codec: 'MP2T', rate: CLOCK }],
        fmtp: [],
        direction: 'recvonly',
      },
    ],
  };
  const [media] = description.media;
  if (session.numbered === true && media !== undefined) media.ext = [{ value: NUMBER_ID, uri: NUMBER_URN }];
  if (session.repair !== undefined) addRepair(description, session, session.repair);
  return write(description);
}

type Medium = SessionDescription['media'][number];

/** Parity and retransmissions as media of their own, grouped with what they repair (RFC 5956, RFC 4588 section 8.6). */
function addRepair(description: SessionDescription, { port }: MulticastSession, repair: DescribedRepair): void {
  const { parity, block, parityType, retransmission, range = null } = repair;
  const [media] = description.media;
  if (media === undefined) return;
  media.mid = '1';
  const groups: { type: string; mids: string }[] = [];
  const add = (type: string, part: Medium): void => {
    part.mid = String(description.media.length + 1);
    description.media.push(part);
    groups.push({ type, mids: `1 ${part.mid}` });
  };
  const shape = (l: number, d: number): string => `L=${l}; D=${d}; repair-window=${REPAIR_WINDOW_US}`;
  if (parity !== null) add('FEC-FR', part(port + 2, parityType, PARITY_CODEC, shape(parity.columns, parity.rows)));
  // A row is a column of neighbours: interleaved by one.
  if (parity?.rowParity === true) add('FEC-FR', part(port + 4, parityType, PARITY_CODEC, shape(1, parity.columns)));
  if (block !== null) add('FEC-FR', part(port + 6, parityType, BLOCK_CODEC, `k=${block.source}; m=${block.repair}`));
  // Attributes that the library does not know are written as they are.
  const unknown = range === null ? [] : [{ value: `${RANGE_ATTRIBUTE}:${range}` }];
  if (retransmission !== null) {
    const { address, port: to, plain, payloadType, depthMs, toGroup, tokens, acquisition } = retransmission;
    const ipVer = isIP(address) === 6 ? 6 : 4;
    media.protocol = 'RTP/AVPF';
    media.rtcp = { port: to, netType: 'IN', ipVer, address };
    media.rtcpFb = [{ payload: MP2T, type: 'nack' }];
    if (acquisition) media.rtcpFb.push({ payload: MP2T, type: 'nack', subtype: RAPID_ACQUISITION });
    // RFC 5506: answers come without a report before them.
    media.rtcpRsize = 'rtcp-rsize';
    if (tokens) unknown.push({ value: `${TOKEN_ATTRIBUTE}:${to} IN IP${ipVer} ${address}` });
    // Packets as they were have no description of their own.
    if (!plain) {
      const again = (at: number): Medium => ({
        ...part(at, payloadType, 'rtx', `apt=${MP2T};rtx-time=${depthMs}`),
        protocol: 'RTP/AVPF',
      });
      add('FID', { ...again(to), connection: { version: ipVer, ip: address } });
      if (toGroup) add('FID', again(port + 8));
    }
  }
  if (unknown.length > 0) media.invalid = unknown;
  description.groups = groups;
}

function part(port: number, payload: number, codec: string, config: string): Medium {
  return {
    type: 'video',
    port,
    protocol: 'RTP/AVP',
    payloads: String(payload),
    rtp: [{ payload, codec, rate: CLOCK }],
    fmtp: [{ payload, config }],
    direction: 'recvonly',
  };
}
