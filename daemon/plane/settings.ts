/** What an operator can set of the plane and of the viewers' HTTP front. */
import { z } from 'zod';
import { bytes, duration, integer, listenAddress } from '../config/units.js';

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;

export const planeSchema = z.strictObject({
  memory: bytes({ min: MIB, max: 256 * GIB })
    .prefault('1GiB')
    .describe('Budget for all rings together; a stream that does not fit is refused.'),
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
});
