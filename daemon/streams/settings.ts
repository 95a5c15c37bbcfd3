import { isIP } from 'node:net';
import { z } from 'zod';
import { smoothingSchema } from '../config/smoothing.js';
import {
  bytes,
  duration,
  id,
  integer,
  interfaceName,
  ipAddress,
  label,
  mediaPort,
  multicastAddress,
} from '../config/units.js';
import { loopNumber } from '../plane/settings.js';
import { type MediaLocation, parseMediaUrl } from './media-url.js';
import {
  fecSchema,
  numberingSchema,
  REPAIR_PORTS,
  rangeRepairSchema,
  reedSolomonSchema,
  repairPolicySchema,
  repairSchema,
  retransmissionSchema,
} from './repair-settings.js';

const MIB = 2 ** 20;

/** The URL of a source, checked and taken apart. */
const sourceUrl = z
  .string({ error: 'expected a URL' })
  .max(4096, { error: 'expected a URL of at most 4096 characters' })
  .transform((text, context): MediaLocation => {
    const parsed = parseMediaUrl(text);
    if ('location' in parsed) return parsed.location;
    context.issues.push({ code: 'custom', message: parsed.expected, input: text });
    return z.NEVER;
  });

const ringBytes = bytes({ min: MIB, max: 1024 * MIB }).refine((value) => (value & (value - 1)) === 0, {
  error: 'expected a power of two of 1MiB to 1GiB',
});

const bufferSchema = z.strictObject({
  memory: ringBytes.default(32 * MIB).describe('Size of the ring, a power of two.'),
  delay: duration({ min: 0, max: 10_000 })
    .default(300)
    .describe('Least time between arrival and departure: absorbs jitter.'),
});

const resolution = z
  .string()
  .regex(/^[1-9]\d{0,4}x[1-9]\d{0,4}$/, { error: 'expected WIDTHxHEIGHT, such as 1280x720' })
  .transform((text) => {
    const [width = 0, height = 0] = text.split('x').map(Number);
    return { width, height };
  });

const multicastSchema = z
  .strictObject({
    address: multicastAddress.describe('Group to send to.'),
    port: mediaPort.describe('Even UDP port.'),
    interface: interfaceName.optional().describe('Interface to send from; the route decides when absent.'),
    source: ipAddress.optional().describe('Source address of the packets, for source-specific receivers.'),
    ttl: integer({ min: 0, max: 255 }).default(8),
    dscp: integer({ min: 0, max: 63 })
      .default(34)
      .describe('Differentiated services code point (RFC 2474); 34 is AF41.'),
    batching: z
      .enum(['auto', 'segment', 'sendmmsg', 'plain'])
      .default('auto')
      .describe('How datagrams are handed to the kernel.'),
    loop: z.boolean().default(true).describe('Whether receivers on this host get the packets too.'),
    rtcp: z
      .boolean()
      .default(true)
      .describe('Whether sender reports go to the port above (RFC 3550), about every five seconds.'),
    numbering: numberingSchema.describe(
      'Where packets get their numbers: rtp, the RTP header; rtp-extension, a header extension (RFC 8285); ip-option, an IP header option; field, four bytes before MPEG-TS without RTP.',
    ),
    fec: fecSchema.optional().describe('ST 2022-1: parity on the port + 2, of rows on + 4.'),
    reed_solomon: reedSolomonSchema.optional().describe('A block code for heavier loss, on the port + 6.'),
    retransmission: retransmissionSchema
      .optional()
      .describe('A server that sends again what receivers ask for (RFC 4585, RFC 4588).'),
    repair_policy: repairPolicySchema
      .optional()
      .describe('Parity is chosen by what receivers report, in the place of fec and reed_solomon.'),
    range_repair: rangeRepairSchema
      .optional()
      .describe(
        "Packets by HTTP at the viewers' front, for receivers that got them in no other way: /live/CHANNEL/RENDITION.rtp",
      ),
  })
  .refine(({ repair_policy: policy, fec, reed_solomon: block }) => !policy || (!fec && !block), {
    path: ['repair_policy'],
    error: 'expected neither fec nor reed_solomon beside it: it chooses between them',
  })
  .refine(({ repair_policy: policy, retransmission }) => !policy || retransmission !== undefined, {
    path: ['repair_policy'],
    error: 'expected retransmission beside it: receivers report there',
  })
  .refine(({ fec, reed_solomon: block }) => !fec || !block || fec.payload_type === block.payload_type, {
    path: ['reed_solomon', 'payload_type'],
    error: 'expected the payload type of fec: all parity has one',
  })
  .refine((value) => value.source === undefined || isIP(value.source) === isIP(value.address), {
    path: ['source'],
    error: 'expected a source of the same address family as the group',
  });

const renditionSchema = z
  .strictObject({
    id,
    url: sourceUrl.optional().describe('http:// or https:// (HLS or continuous MPEG-TS), rtp:// or udp://'),
    urls: z
      .array(sourceUrl)
      .min(1, { error: 'expected at least one URL' })
      .max(16, { error: 'expected at most 16 URLs' })
      .optional()
      .describe('Several sources of the same programme: the next is taken when one fails.'),
    format: z
      .enum(['auto', 'hls', 'ts'])
      .default('auto')
      .describe(
        'What an http:// or https:// URL gives. auto: by the path (.m3u8, .m3u: hls; .ts, .mpegts, .m2ts: ts), else by asking once.',
      ),
    program: integer({ min: 1, max: 65_535 })
      .optional()
      .describe('program_number to keep of a multi-programme stream.'),
    max_bandwidth: integer({ min: 1, max: 2 ** 40 })
      .optional()
      .describe('Of a master playlist take the best variant at or below (bits a second).'),
    bandwidth: integer({ min: 1, max: 2 ** 40 })
      .optional()
      .describe('BANDWIDTH in our master playlist; measured when absent.'),
    resolution: resolution.optional(),
    codecs: z
      .string()
      .regex(/^[A-Za-z0-9.,+-]{1,200}$/, { error: 'expected codecs of RFC 6381, such as avc1.64001f,mp4a.40.2' })
      .optional(),
    buffer: bufferSchema.default({ memory: 32 * MIB, delay: 300 }),
    multicast: multicastSchema.optional(),
    numbering: numberingSchema.describe('Of rtp:// and udp:// sources: where packets have their numbers.'),
    repair: repairSchema.optional().describe('Of rtp:// sources: how lost packets are repaired.'),
  })
  .refine((value) => (value.url === undefined) !== (value.urls === undefined), {
    path: ['url'],
    error: 'expected either url or urls, exactly one of them',
  });

const hlsSchema = z.strictObject({
  segment: duration({ min: 500, max: 60_000 })
    .default(2000)
    .describe('Segments are cut at the first random access point after this.'),
  window: integer({ min: 3, max: 100 }).default(6).describe('Most segments in the media playlist.'),
});

const channelSchema = z.strictObject({
  id,
  name: label.optional().describe('For people; the id when absent.'),
  loop: loopNumber
    .optional()
    .describe(
      'The loop of plane.loops, counted from 0, that its streams are placed on; the least busy one when absent.',
    ),
  hls: hlsSchema.default({ segment: 2000, window: 6 }),
  smoothing: smoothingSchema
    .default({ threshold: 20, max_delay: 200 })
    .describe('Pacing of what varies in rate, so that peaks do not reach the network.'),
  renditions: z
    .array(renditionSchema)
    .min(1, { error: 'expected at least one rendition' })
    .max(32, { error: 'expected at most 32 renditions' })
    .superRefine((renditions, context) => refuseDuplicates(renditions, (rendition) => rendition.id, 'id', context)),
});

/** `channels:` of the configuration. */
export const channelsSchema = z
  .array(channelSchema)

  .superRefine((channels, context) => {
    refuseDuplicates(channels, (channel) => channel.id, 'id', context);
    refuseSharedGroups(channels, context);
  });

type IssueContext = Pick<z.RefinementCtx, 'addIssue'>;

function refuseDuplicates<T>(
  items: readonly T[],
  keyOf: (item: T) => string,
  key: string,
  context: IssueContext,
): void {
  const seen = new Set<string>();
  items.forEach((item, index) => {
    const value = keyOf(item);
    if (seen.has(value))
      context.addIssue({
        code: 'custom',
        path: [index, key],
        message: `expected an ${key} that is not in use`,
        input: value,
      });
    seen.add(value);
  });
}

/** Those of a group that a sender uses: of its media, of its parity, of what it sends again to all. */
function portsOf({
  port,
  fec,
  reed_solomon: block,
  retransmission,
  repair_policy: policy,
}: z.output<typeof multicastSchema>): readonly number[] {
  return [
    port,
    ...(fec === undefined && policy === undefined ? [] : [port + REPAIR_PORTS.columns]),
    ...(fec?.row_fec === true || policy !== undefined ? [port + REPAIR_PORTS.rows] : []),
    ...(block === undefined && policy === undefined ? [] : [port + REPAIR_PORTS.block]),
    ...((retransmission?.multicast_after ?? 0) > 0 ? [port + REPAIR_PORTS.retransmission] : []),
  ];
}

/** Two streams on one group and port would reach every receiver mixed. */
function refuseSharedGroups(channels: readonly z.output<typeof channelSchema>[], context: IssueContext): void {
  const seen = new Map<string, string>();
  channels.forEach((channel, c) => {
    channel.renditions.forEach((rendition, r) => {
      if (rendition.multicast === undefined) return;
      for (const port of portsOf(rendition.multicast)) {
        const key = `${rendition.multicast.address.toLowerCase()} port ${port}`;
        const other = seen.get(key);
        if (other !== undefined) {
          context.addIssue({
            code: 'custom',
            path: [c, 'renditions', r, 'multicast', 'port'],
            message: `expected a group and port of its own: ${key} is used by ${other}`,
            input: rendition.multicast.port,
          });
        }
        seen.set(key, `${channel.id}/${rendition.id}`);
      }
    });
  });
}

type Frozen<T> = T extends object ? { readonly [K in keyof T]: Frozen<T[K]> } : T;

export type ChannelConfig = Frozen<z.output<typeof channelSchema>>;
export type RenditionConfig = ChannelConfig['renditions'][number];
export type MulticastConfig = NonNullable<RenditionConfig['multicast']>;

/** The rendition's sources in the order in which they are tried. */
export function locationsOf(rendition: RenditionConfig): readonly MediaLocation[] {
  return rendition.urls ?? (rendition.url === undefined ? [] : [rendition.url]);
}
