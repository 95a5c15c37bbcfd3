/** What an operator can set of repair: what a sender adds, and what a receiver makes of it. */
import { z } from 'zod';
import {
  addressPrefix,
  duration,
  type Endpoint,
  integer,
  ipAddress,
  parseEndpoint,
  percent,
  port,
} from '../config/units.js';
import type {
  AcquisitionOptions,
  FecOptions,
  RangeSource,
  RepairOptions,
  RetransmissionOptions,
} from '../plane/contract.js';
import { parseMediaUrl } from './media-url.js';
import { ANNOUNCED } from './repair-policy.js';

/** Ports above the one of the media, which is even; the plane's own (native/plane/repair_ports.h). */
export const REPAIR_PORTS = { columns: 2, rows: 4, block: 6, retransmission: 8 } as const;

const dynamicType = integer({ min: 96, max: 127 });

/** `numbering:` of a sender and of a source. */
export const numberingSchema = z.enum(['rtp', 'rtp-extension', 'ip-option', 'field']).default('rtp');

/** `fec:` of a multicast sender. */
export const fecSchema = z
  .strictObject({
    columns: integer({ min: 1, max: 100 }).default(10).describe('L of ST 2022-1: packets of a row.'),
    rows: integer({ min: 1, max: 100 }).default(10).describe('D of ST 2022-1: packets of a column.'),
    row_fec: z.boolean().default(false).describe('Whether rows are protected, too, on the port + 4.'),
    payload_type: dynamicType.default(96),
  })
  .refine(({ columns, rows }) => columns * rows <= 100, {
    path: ['rows'],
    error: 'expected columns x rows of at most 100 packets (ST 2022-1)',
  });

/** `reed_solomon:` of a multicast sender. */
export const reedSolomonSchema = z.strictObject({
  source: integer({ min: 1, max: 200 }).default(20).describe('Packets of a block.'),
  repair: integer({ min: 1, max: 55 }).default(4).describe('Packets added to it: so many of all may be lost.'),
  payload_type: dynamicType.default(96),
});

const wholeSeconds = duration({ min: 1000, max: 86_400_000 }).refine((ms) => ms % 1000 === 0, {
  error: 'expected whole seconds',
});

/** `retransmission:` of a multicast sender. */
export const retransmissionSchema = z
  .strictObject({
    address: ipAddress.describe('Own unicast address that NACKs are sent to.'),
    port: port.optional().describe('Its port; that of the media + 8 when absent.'),
    form: z
      .enum(['rtx', 'plain'])
      .default('rtx')
      .describe('rtx: a stream of its own (RFC 4588); plain: the packets as they were.'),
    payload_type: dynamicType.default(97),
    depth: duration({ min: 1, max: 60_000 })
      .default(2000)
      .describe('How far back is answered, as far as the ring goes.'),
    share: percent({ min: 1, max: 1000 }).default(50).describe("What one receiver gets, of the stream's rate."),
    rate: integer({ min: 8000, max: 2 ** 40 })
      .default(100_000_000)
      .describe('Bits a second for all receivers.'),
    allow: z
      .array(addressPrefix)
      .max(1000, { error: 'expected at most 1000 prefixes' })
      .default([])
      .describe('Who may ask without a token. Name those whose addresses cannot be forged on their way here.'),
    multicast_after: integer({ min: 0, max: 16 })
      .default(3)
      .describe('So many receivers ask for a packet until it is sent once to the group, port + 8; 0: never.'),
    multicast_hold: duration({ min: 1, max: 10_000 })
      .default(100)
      .describe('For so long they are counted, and it is then on its way: about a round trip.'),
    tokens: z
      .strictObject({
        lifetime: wholeSeconds.default(3_600_000).describe('How long a token is good.'),
      })
      .optional()
      .describe('Whoever else proves its address by a token (RFC 6284) may ask, too.'),
    rapid_acquisition: z
      .strictObject({
        speed: percent({ min: 105, max: 1000 }).default(200).describe("A burst's rate, of the stream's."),
        bursts: integer({ min: 1, max: 10_000 }).default(100).describe('At a time.'),
        rate: integer({ min: 8000, max: 2 ** 40 })
          .default(500_000_000)
          .describe('Bits a second of all of them.'),
        overlap: duration({ min: 100, max: 10_000 })
          .default(1000)
          .describe('How long a burst goes on with the stream once it has caught up: time to join.'),
      })
      .optional()
      .describe('Who may ask, may begin with a burst from the last access point (RFC 6285).'),
  })
  .refine(({ allow, tokens }) => allow.length > 0 || tokens !== undefined, {
    path: ['allow'],
    error: 'expected at least one prefix, such as 192.0.2.0/24, or tokens: without either nobody is answered',
  });

/** `repair_policy:` of a multicast sender. */
export const repairPolicySchema = z.strictObject({
  playout: duration({ min: 10, max: 10_000 })
    .default(200)
    .describe('From arrival to delivery at the receivers: what takes longer is not chosen.'),
  residual: z
    .number({ error: 'expected a share of packets of 0 to 1, such as 0.000001' })
    .min(0)
    .max(1)
    .default(1e-6)
    .describe('Share of packets that may stay lost.'),
  most_overhead: percent({ min: 1, max: 1000 })
    .default(30)
    .describe("Most that parity and what is sent again may add, of the media's bytes."),
  codes: z
    .array(z.enum(['columns', 'rows', 'block']))
    .default(['columns', 'rows', 'block'])
    .describe('Parity that may be chosen: columns, or columns and rows, of ST 2022-1, and the block code.'),
  worse_after: duration({ min: 0, max: 60_000 })
    .default(2000)
    .describe('For so long what is used is not good enough before it is changed.'),
  better_after: duration({ min: 1000, max: 86_400_000 })
    .default(120_000)
    .describe('The worst of so long is remembered before anything cheaper is used.'),
  payload_type: dynamicType.default(96),
});

/** `range_repair:` of a multicast sender. */
export const rangeRepairSchema = z.strictObject({
  rate: integer({ min: 8000, max: 2 ** 40 })
    .default(100_000_000)
    .describe('Bits a second for all receivers.'),
});

const rangeUrl = z.string().max(4096, { error: 'expected a URL of at most 4096 characters' }).refine(isHttpUrl, {
  error: 'expected an http:// or https:// URL, such as http://192.0.2.1:8080/live/news/main.rtp',
});

/** Whether packets can be fetched from there by ranges. */
export function isHttpUrl(text: string): boolean {
  const parsed = parseMediaUrl(text);
  return 'location' in parsed && parsed.location.kind === 'http' && !text.includes('#');
}

const feedbackTarget = z.string().transform((text, context): Endpoint => {
  const endpoint = parseEndpoint(text);
  if (endpoint !== undefined && endpoint.port > 0) return endpoint;
  const message = 'expected ADDRESS:PORT with a numeric address, such as 192.0.2.1:5008';
  context.issues.push({ code: 'custom', message, input: text });
  return z.NEVER;
});

/** `repair:` of a rendition whose source is `rtp://`. */
export const repairSchema = z
  .strictObject({
    fec: z.boolean().default(true).describe('Whether parity on the ports + 2, + 4 and + 6 is listened to.'),
    retransmission: feedbackTarget.optional().describe('Where missing packets are asked for: ADDRESS:PORT.'),
    tokens: z.boolean().default(false).describe('Whether that answers only who got a token from it before (RFC 6284).'),
    rapid_acquisition: z
      .boolean()
      .default(false)
      .describe('Whether a group is entered by a burst from there (RFC 6285), and joined after it.'),
    range: rangeUrl.optional().describe("Where the rest is fetched by HTTP: a rendition's .rtp at its sender."),
    playout: duration({ min: 10, max: 10_000 }).default(200).describe('From arrival to delivery: time for repairs.'),
    least_playout: duration({ min: 0, max: 10_000 })
      .default(0)
      .describe('The playout delay follows what repairs take, down to this; 0ms keeps it as it is.'),
    dither: duration({ min: 0, max: 1000 })
      .default(0)
      .describe('Requests wait so long at most, by chance, where many listen to the same.'),
  })
  .refine(({ playout, least_playout: least }) => least <= playout, {
    path: ['least_playout'],
    error: 'expected no more than playout',
  })
  .refine(({ tokens, retransmission }) => !tokens || retransmission !== undefined, {
    path: ['tokens'],
    error: 'expected retransmission beside it: where the token is asked for',
  })
  .refine(({ rapid_acquisition: rapid, retransmission }) => !rapid || retransmission !== undefined, {
    path: ['rapid_acquisition'],
    error: 'expected retransmission beside it: where the burst is asked for',
  });

type FecConfig = z.output<typeof fecSchema>;
type ReedSolomonConfig = z.output<typeof reedSolomonSchema>;
type Frozen<T> = T extends object ? { readonly [K in keyof T]: Frozen<T[K]> } : T;
export type RetransmissionConfig = Frozen<z.output<typeof retransmissionSchema>>;
export type RepairPolicyConfig = Frozen<z.output<typeof repairPolicySchema>>;
type RepairConfig = z.output<typeof repairSchema>;
/** What a source says of its packets. */
export interface NumberedConfig {
  readonly numbering: z.output<typeof numberingSchema>;
  readonly repair?: Readonly<RepairConfig> | undefined;
}

/** For the plane: null where there is neither. */
export function fecOptionsOf(
  fec: Readonly<FecConfig> | undefined,
  block: Readonly<ReedSolomonConfig> | undefined,
): FecOptions | null {
  if (fec === undefined && block === undefined) return null;
  return {
    parity: fec === undefined ? null : { columns: fec.columns, rows: fec.rows, rowParity: fec.row_fec },
    block: block === undefined ? null : { source: block.source, repair: block.repair },
    payloadType: fec?.payload_type ?? block?.payload_type ?? 96,
  };
}

/** All that a policy may choose, as a description announces it. */
export function announcedFec({ codes, payload_type: payloadType }: RepairPolicyConfig): FecOptions | null {
  const { columns, rows, ...block } = ANNOUNCED;
  const rowParity = codes.includes('rows');
  if (codes.length === 0) return null;
  return {
    parity: rowParity || codes.includes('columns') ? { columns, rows, rowParity } : null,
    block: codes.includes('block') ? block : null,
    payloadType,
  };
}

/** For the plane: null where there is none. */
export function retransmissionOptionsOf(
  config: RetransmissionConfig | undefined,
  mediaPort: number,
  dscp: number,
): RetransmissionOptions | null {
  if (config === undefined) return null;
  return {
    address: config.address,
    port: config.port ?? mediaPort + REPAIR_PORTS.retransmission,
    plain: config.form === 'plain',
    payloadType: config.payload_type,
    dscp,
    depthMs: config.depth,
    sharePercent: config.share,
    rate: config.rate,
    allow: config.allow,
    multicastAfter: config.multicast_after,
    holdMs: config.multicast_hold,
    tokenLifetimeMs: config.tokens?.lifetime ?? null,
    acquisition: acquisitionOptionsOf(config.rapid_acquisition),
  };
}

function acquisitionOptionsOf(config: Readonly<RetransmissionConfig>['rapid_acquisition']): AcquisitionOptions | null {
  if (config === undefined) return null;
  return { ratePercent: config.speed, bursts: config.bursts, rate: config.rate, overlapMs: config.overlap };
}

/** For the plane: null where there is none. `range`: what became of the URL, where it could be found. */
export function repairOptionsOf(
  config: Readonly<RepairConfig> | undefined,
  range: RangeSource | null = null,
): RepairOptions | null {
  if (config === undefined) return null;
  return {
    range,
    fec: config.fec,
    feedback: config.retransmission ?? null,
    tokens: config.tokens,
    acquisition: config.rapid_acquisition,
    playoutMs: config.playout,
    leastPlayoutMs: config.least_playout,
    ditherMs: config.dither,
  };
}
