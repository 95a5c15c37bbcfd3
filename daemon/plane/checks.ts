/** What is checked before it crosses: ranges and combinations that the native side takes for granted. */
import { z } from 'zod';
import { type ErrorCode, SluiceError } from '../base/errors.js';
import { addressPrefix, ipAddress } from '../config/units.js';
import { CAPTURE_PROTOCOLS } from './contract.js';

const GIB = 2 ** 30;
const MIB = 2 ** 20;
const ms = (most: number): z.ZodNumber => z.number().int().min(0).max(most);
const port = z.number().int().min(1).max(65_535);
export const handle = z.number().int().positive();
/** Addresses here may carry a zone (`fe80::1%eth0`). */
const address = z.string().refine((text) => ipAddress.safeParse(text.split('%', 1)[0]).success, {
  error: 'expected a numeric IPv4 or IPv6 address',
});
const block = z.string().regex(/^[0-9a-f]{32}$/, { error: 'expected 32 lower-case hexadecimal digits' });
const interfaceName = z.string().min(1).max(15).nullable();

const MOST_LOOPS = 64;
const MOST_CPUS = 1023;

export const planeOptions = z.strictObject({
  memoryBytes: z.number().int().positive(),
  objectBytes: z
    .number()
    .int()
    .min(MIB)
    .default(256 * MIB),
  largestObjectBytes: z
    .number()
    .int()
    .min(1)
    .max(GIB)
    .default(64 * MIB),
  viaName: z
    .string()
    .regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}$/)
    .default('sluice'),
  loops: z
    .union([
      z.number().int().min(1).max(MOST_LOOPS),
      z.array(z.number().int().min(0).max(MOST_CPUS)).min(1).max(MOST_LOOPS),
    ])
    .default(1),
  authorities: z.string().optional(),
});

export const smoothingOptions = z.strictObject({
  thresholdPercent: z.number().int().min(1).max(1000),
  maxDelayMs: z.number().int().min(1).max(5000),
});

export const streamOptions = z.strictObject({
  name: z.string().min(1).max(200),
  ringBytes: z
    .number()
    .int()
    .min(MIB)
    .max(GIB)
    .refine((n) => (n & (n - 1)) === 0, { error: 'expected a power of two' }),
  delayMs: ms(10_000),
  spreadMs: ms(1000),
  smoothing: smoothingOptions.nullable(),
  program: z.number().int().min(1).max(65_535).nullable(),
  segmentMs: z.number().int().min(500).max(60_000),
  windowSegments: z.number().int().min(3).max(100),
  ssrc: z.number().int().min(0).max(0xffffffff),
  loop: z
    .number()
    .int()
    .min(0)
    .max(MOST_LOOPS - 1)
    .nullable(),
});

const upstreamTls = z.strictObject({ serverName: z.string().min(1).max(255), insecure: z.boolean() }).nullable();

export const upstreamOptions = z.strictObject({
  connectTimeoutMs: ms(600_000),
  tlsTimeoutMs: ms(600_000),
  headTimeoutMs: ms(600_000),
  idleTimeoutMs: ms(600_000),
});

const rangeSource = z.strictObject({
  address,
  port,
  tls: upstreamTls,
  host: z.string().min(1),
  target: z.string().startsWith('/'),
  headers: z.record(z.string(), z.string()),
});

export const upstreamRequest = rangeSource
  .extend({
    sink: z.enum(['memory', 'stream']),
    maxBytes: z.number().int().min(0),
    totalTimeoutMs: ms(600_000),
    skipBytes: z.number().int().min(0),
    discontinuity: z.boolean(),
    seal: z.strictObject({ key: block, iv: block, skipBytes: z.number().int().min(0) }).nullable(),
  })
  .refine(({ sink, seal }) => seal === null || sink === 'stream', {
    path: ['sink'],
    error: 'expected stream for a body with a seal',
  });

export const tokenRule = z.strictObject({
  realm: z.string().max(200),
  keys: z.array(z.strictObject({ id: z.string().regex(/^[\w-]{1,32}$/), secret: z.string().min(1).max(256) })),
  required: z.boolean(),
});

export const siteOptions = z.strictObject({
  prefix: z
    .string()
    .max(1024)
    .regex(/^\/([!-.0-~]+\/)*$/, { error: 'expected a path that begins and ends with /' }),
  query: z.boolean(),
  name: z.string().max(200).default(''),
  tokens: tokenRule.prefault({ realm: '', keys: [], required: true }),
});

/** Shorter than the time after which a flight without an answer is given up. */
const flightMs = ms(55_000);
const lifetimeMs = ms(86_400_000);

const freshnessRule = z.strictObject({
  honour: z.boolean(),
  otherwiseMs: lifetimeMs,
  leastMs: lifetimeMs,
  mostMs: lifetimeMs,
  staleIfErrorMs: lifetimeMs,
});

const toOrigin = z.strictObject({
  address,
  port,
  tls: upstreamTls,
  host: z.string().min(1),
  headers: z.record(z.string(), z.string()),
  timeouts: z.strictObject({
    connectTimeoutMs: flightMs,
    tlsTimeoutMs: flightMs,
    headTimeoutMs: flightMs,
    idleTimeoutMs: flightMs,
  }),
});

export const way = toOrigin.extend({
  base: z.string().startsWith('/').endsWith('/'),
  freshness: freshnessRule,
  but: z.array(z.string().min(1).max(64)).max(64),
  validMs: ms(3_600_000),
});

export const fetchOptions = toOrigin.extend({
  target: z.string().startsWith('/'),
  fill: freshnessRule.extend({ ticket: handle }).nullable(),
  maxBytes: z.number().int().min(0),
});

/** What a field may carry without ending it (RFC 9110 section 5.5). */
const fieldValue = z
  .string()
  .regex(/^[\t -~\u0080-\u00ff]*$/, { error: 'expected a field value without control characters' });
const fieldName = z.string().regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/, { error: 'expected a field name' });

export const madeObject = z.strictObject({
  status: z.number().int().min(200).max(599),
  headers: z.record(fieldName, fieldValue),
  body: z.string(),
  freshness: freshnessRule,
});

export const objectRefusal = z.strictObject({
  status: z.number().int().min(400).max(599),
  retryAfter: z.number().int().min(0).max(3600),
  message: z.string().max(1000),
});

export const relayOptions = z.strictObject({
  allow: z.array(
    z
      .strictObject({ source: addressPrefix.nullable(), address: addressPrefix, firstPort: port, lastPort: port })
      .refine(({ firstPort, lastPort }) => firstPort <= lastPort, { error: 'expected ports in ascending order' }),
  ),
  mostGroups: z.number().int().min(1).max(1000),
  waitMs: ms(600_000).min(100),
  holdMs: ms(86_400_000).min(100),
});

const numbering = z.enum(['rtp', 'rtp-extension', 'ip-option', 'field']).default('rtp');

export const inputOptions = z.strictObject({
  address,
  port,
  source: address.nullable(),
  interfaceName,
  reorderMs: ms(2000),
  numbering,
  repair: z
    .strictObject({
      fec: z.boolean(),
      feedback: z.strictObject({ address, port }).nullable(),
      tokens: z.boolean(),
      acquisition: z.boolean().default(false),
      playoutMs: ms(10_000).min(10),
      leastPlayoutMs: ms(10_000),
      ditherMs: ms(1000),
      range: rangeSource.nullable().default(null),
    })
    .nullable()
    .default(null),
});

const count = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const MIN_FILE_BYTES = 4096;

export const recordingOptions = z.strictObject({
  path: z.string().min(1),
  format: z.enum(['pcapng', 'pcap']),
  interfaceName,
  comment: z.string(),
  application: z.string(),
  snaplen: z.number().int().min(1).max(262_144),
  maxPackets: count,
  maxBytes: count.refine((n) => n === 0 || n >= MIN_FILE_BYTES, { error: `expected 0, or ${MIN_FILE_BYTES} and more` }),
  rotate: z.boolean(),
  keep: z.number().int().min(0).max(1_000_000),
});

export const receiverOptions = inputOptions.extend({
  outputFd: z.number().int().min(0).nullable(),
  recording: recordingOptions.nullable(),
});

const prefix = z.strictObject({ address, bits: z.number().int().min(0).max(128) });

export const captureOptions = z.strictObject({
  interfaceName,
  promiscuous: z.boolean(),
  filter: z.strictObject({
    groups: z.array(prefix),
    hosts: z.array(prefix),
    ports: z.array(port),
    protocols: z.array(z.enum(CAPTURE_PROTOCOLS)),
    vlans: z.array(z.number().int().min(0).max(4095)),
  }),
  recording: recordingOptions,
});

const anyPort = z.number().int().min(0).max(65_535);

export const replayOptions = z
  .strictObject({
    path: z.string().min(1),
    speed: z.number().min(0).max(1e6),
    loops: count,
    flow: z.strictObject({ source: address, sourcePort: anyPort, destination: address, port: anyPort }).nullable(),
    target: z.discriminatedUnion('kind', [
      z.strictObject({
        kind: z.literal('frames'),
        interfaceName: z.string().min(1).max(15),
        rewrite: z.boolean(),
        unicast: z
          .string()
          .regex(/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i)
          .nullable(),
      }),
      z.strictObject({
        kind: z.literal('datagrams'),
        address,
        port,
        interfaceName,
        ttl: z.number().int().min(0).max(255),
      }),
    ]),
  })
  .refine(({ flow, target }) => flow !== null || target.kind === 'frames', {
    path: ['flow'],
    error: 'expected a flow, since only datagrams are sent',
  });

const dynamicType = z.number().int().min(96).max(127);
const percent = z.number().int().min(1).max(1000);

export const fecOptions = z.strictObject({
  parity: z
    .strictObject({
      columns: z.number().int().min(1).max(100),
      rows: z.number().int().min(1).max(100),
      rowParity: z.boolean(),
    })
    .refine(({ columns, rows }) => columns * rows <= 100, { error: 'expected at most 100 packets (ST 2022-1)' })
    .nullable(),
  block: z
    .strictObject({ source: z.number().int().min(1).max(200), repair: z.number().int().min(1).max(55) })
    .nullable(),
  payloadType: dynamicType,
});

const retransmissionOptions = z.strictObject({
  address,
  port,
  plain: z.boolean(),
  payloadType: dynamicType,
  dscp: z.number().int().min(0).max(63),
  depthMs: ms(60_000).min(1),
  sharePercent: percent,
  rate: z.number().int().min(8000).max(Number.MAX_SAFE_INTEGER),
  allow: z.array(addressPrefix),
  multicastAfter: z.number().int().min(0).max(16),
  holdMs: ms(10_000).min(1),
  tokenLifetimeMs: ms(86_400_000).min(1000).multipleOf(1000).nullable(),
  acquisition: z
    .strictObject({
      ratePercent: percent.min(105),
      bursts: z.number().int().min(1).max(10_000),
      rate: z.number().int().min(8000).max(Number.MAX_SAFE_INTEGER),
      overlapMs: ms(10_000).min(100),
    })
    .nullable()
    .default(null),
});

export const senderOptions = z
  .strictObject({
    address,
    port,
    interfaceName,
    sourceAddress: address.nullable(),
    sourcePort: z.number().int().min(0).max(65_535),
    ttl: z.number().int().min(0).max(255),
    dscp: z.number().int().min(0).max(63),
    loop: z.boolean(),
    batching: z.enum(['auto', 'segment', 'sendmmsg', 'plain']),
    rtcp: z.strictObject({ cname: z.string().regex(/^[\x21-\x7e]{1,255}$/) }).nullable(),
    numbering,
    fec: fecOptions.nullable().default(null),
    retransmission: retransmissionOptions.nullable().default(null),
  })
  .refine(({ rtcp, port: to, sourcePort: from }) => rtcp === null || Math.max(to, from) < 65_535, {
    path: ['port'],
    error: 'expected a port with one above it for RTCP',
  });

export const tlsCertificate = z.strictObject({ chain: z.string().min(1), key: z.string().min(1) });

const limit = z.number().int().min(0).max(1_000_000);

const clientLimits = z.strictObject({
  connectionsPerAddress: limit,
  requestsPerAddress: limit,
  burst: limit.min(1),
  requests: limit,
  exempt: z.array(addressPrefix),
});

export const accessLogOptions = z.strictObject({
  file: z.string().min(1),
  format: z.enum(['combined', 'json']),
});

const NO_LIMITS = { connectionsPerAddress: 0, requestsPerAddress: 0, burst: 1, requests: 0, exempt: [] };

export const listenerLimits = z.strictObject({
  maxConnections: z.number().int().min(1).max(1_000_000),
  headerTimeoutMs: ms(86_400_000),
  idleTimeoutMs: ms(86_400_000),
  stallTimeoutMs: ms(86_400_000),
  sendBufferBytes: z
    .number()
    .int()
    .min(4096)
    .max(256 * MIB),
  viewerLagMs: ms(86_400_000),
  headerSizeBytes: z
    .number()
    .int()
    .min(1024)
    .max(MIB)
    .default(16 * 1024),
  minRate: z.number().int().min(0).max(GIB).default(0),
  clients: clientLimits.prefault(NO_LIMITS),
});

export const listenOptions = listenerLimits.extend({
  address,
  port: z.number().int().min(0).max(65_535),
  tls: z.array(tlsCertificate).default([]),
  fd: z.number().int().min(0).optional(),
  hold: z.boolean().default(false),
});

const path = z.string().startsWith('/').max(4096);
export const route = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('static'),
    contentType: z.string().regex(/^[!-~ ]+$/),
    body: z.string(),
    cacheControl: z.string().regex(/^[!-~ ]+$/),
  }),
  z.strictObject({ kind: z.literal('continuous'), stream: handle }),
  z.strictObject({ kind: z.literal('playlist'), stream: handle, prefix: z.string().max(4096) }),
  z.strictObject({ kind: z.literal('segments'), stream: handle }),
  z.strictObject({
    kind: z.literal('packets'),
    stream: handle,
    rate: z.number().int().min(8000).max(Number.MAX_SAFE_INTEGER),
  }),
]);
export const routePath = path;

/** The value, if it is what the schema says. @throws SluiceError with `code`, naming verb, key, what was expected and came */
export function checked<T>(schema: z.ZodType<T>, value: unknown, verb: string, code: ErrorCode = 'USAGE'): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const key = issue?.path.join('.') ?? '';
  const got = key === '' ? value : (value as Record<string, unknown>)[key];
  throw new SluiceError(code, `${verb}: ${key}: ${issue?.message ?? 'invalid'} (got ${JSON.stringify(got)})`, {
    verb,
    key,
  });
}
