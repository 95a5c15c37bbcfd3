/** What an operator can set of the plane and of the viewers' HTTP front. */
import { z } from 'zod';
import { addressPrefix, bytes, duration, integer, listenAddress } from '../config/units.js';
import { relaySchema } from './relay-settings.js';

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;

/** Most threads, as the plane has it. */
const MOST_LOOPS = 64;
const LOOPS = 'expected a number of 1 to 64, or a list of 1 to 64 CPUs';

const loopsSchema = z.union(
  [
    integer({ min: 1, max: MOST_LOOPS }),
    z
      .array(integer({ min: 0, max: 1023 }))
      .min(1, { error: LOOPS })
      .max(MOST_LOOPS, { error: LOOPS }),
  ],
  { error: LOOPS },
);

/** A loop by its number, where something is placed by hand. */
export const loopNumber = integer({ min: 0, max: MOST_LOOPS - 1 });

export const planeSchema = z.strictObject({
  memory: bytes({ min: MIB, max: 256 * GIB })
    .prefault('1GiB')
    .describe('Budget for all rings together; a stream that does not fit is refused.'),
  loops: loopsSchema
    .prefault(1)
    .describe('Threads that move packets: how many, 1 to 64; or a list of CPUs, a thread on each.'),
});

const pemFile = z
  .string({ error: 'expected the path of a file' })
  .min(1, { error: 'expected the path of a file' })
  .max(4096);

const certificateSchema = z.strictObject({
  certificate: pemFile.describe('PEM: the certificate of the server first, then those above it.'),
  key: pemFile.describe('PEM, without a passphrase.'),
});

const CERTIFICATES = 'expected either certificates, or one certificate and its key';

const tlsSchema = z
  .strictObject({
    listen: listenAddress,
    certificates: z
      .array(certificateSchema)
      .min(1, { error: 'expected at least one certificate' })
      .optional()
      .describe('The one for the name that a client asks for is shown, else the first.'),
    certificate: pemFile.optional().describe('Where there is one only.'),
    key: pemFile.optional(),
  })
  .transform(({ listen, certificates, certificate, key }, context) => {
    if (certificates !== undefined && certificate === undefined && key === undefined) return { listen, certificates };
    if (certificates === undefined && certificate !== undefined && key !== undefined) {
      return { listen, certificates: [{ certificate, key }] };
    }
    context.issues.push({ code: 'custom', message: CERTIFICATES, input: listen });
    return z.NEVER;
  });

const count = (most: number): z.ZodNumber => integer({ min: 0, max: most });

const limitsSchema = z.strictObject({
  connections_per_address: count(1_000_000)
    .prefault(0)
    .describe('Connections at once of one IPv4 address or IPv6 /64; further ones are answered with 429. 0: no limit.'),
  requests_per_address: count(1_000_000)
    .prefault(0)
    .describe('Requests a second of one address, over time; further ones are answered with 429. 0: no limit.'),
  burst: integer({ min: 1, max: 1_000_000 }).prefault(100).describe('Requests of one address that may come at once.'),
  requests: count(1_000_000)
    .prefault(0)
    .describe('Requests a second of all addresses; further ones are answered with 503. 0: no limit.'),
  min_rate: bytes({ min: 0, max: 128 * MIB })
    .prefault('0B')
    .describe(
      'A viewer that takes less a second than this, over stall_timeout, is disconnected; not one that follows a stream.',
    ),
  header_size: bytes({ min: 2 * KIB, max: 256 * KIB })
    .prefault('16KiB')
    .describe('Largest head of a request; longer ones are answered with 431.'),
  exempt: z
    .array(addressPrefix)
    .default([])
    .describe('Addresses, or prefixes of them, to which no limit by address or on requests applies.'),
});

const accessLogSchema = z.strictObject({
  file: z
    .string()
    .regex(/^(?:-|\/[^\0]{1,4094})$/, { error: 'expected an absolute path, or "-" for standard output' })
    .describe('Appended to; a reload opens it again, so that it can be moved first. "-" is standard output.'),
  format: z
    .enum(['combined', 'json'])
    .default('combined')
    .describe('combined as Apache and nginx write it, or JSON lines.'),
});

export const httpSchema = z.strictObject({
  listen: z.array(listenAddress).min(1, { error: 'expected at least one address' }).prefault(['0.0.0.0:8080']),
  tls: z
    .array(tlsSchema)
    .default([])
    .describe('Listeners with TLS 1.2 and 1.3; a reload reads their files again, whether or not this one changed.'),
  max_connections: integer({ min: 1, max: 1_000_000 })
    .prefault(4096)
    .describe('Connections of one listener; further ones are answered with 503.'),
  header_timeout: duration({ min: 100, max: 600_000 })
    .prefault('10s')
    .describe("From a request's first byte (or the connection) to the end of its header section."),
  idle_timeout: duration({ min: 100, max: 3_600_000 })
    .prefault('60s')
    .describe('Between two requests of a connection.'),
  stall_timeout: duration({ min: 1000, max: 3_600_000 })
    .prefault('60s')
    .describe('A viewer that takes no byte for so long is disconnected.'),
  send_buffer: bytes({ min: 16 * KIB, max: 64 * MIB })
    .prefault('512KiB')
    .describe("The kernel's buffer of one viewer; small, so that slowness shows here."),
  max_lag: duration({ min: 1000, max: 600_000 })
    .prefault('10s')
    .describe('A continuous viewer later than this jumps to the newest access point.'),
  limits: limitsSchema.prefault({}).describe('What one client, and all, may ask of one listener.'),
  relay: relaySchema
    .nullable()
    .default(null)
    .describe('Groups that viewers ask for by their addresses: /udp/239.1.1.1:5000, /rtp/[ff3e::1]:5000.'),
  access_log: accessLogSchema.nullable().default(null).describe('A line for every request that is answered.'),
});
