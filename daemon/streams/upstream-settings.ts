/** What an operator can set of the connections to upstreams. */
import { isIP } from 'node:net';
import { z } from 'zod';
import { integer } from '../config/units.js';

const HOST = /^(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]{0,62})(?:\.[a-z0-9_][a-z0-9_-]{0,62})*$/i;

/** A host name, or a numeric address without brackets. */
function isHost(text: string): boolean {
  return isIP(text) !== 0 || (HOST.test(text) && !/^[\d.]+$/.test(text));
}

function isPrefix(text: string): boolean {
  const match = /^([0-9a-f:.]+)\/(\d{1,3})$/i.exec(text);
  const family = isIP(match?.[1] ?? '');
  return family !== 0 && Number(match?.[2]) <= (family === 4 ? 32 : 128);
}

const host = z.string().refine(isHost, { error: 'expected a host name or a numeric address' });
const hostOrPrefix = z.string().refine((text) => isHost(text) || isPrefix(text), {
  error: 'expected a host name, a numeric address or a prefix, such as origin.internal or 10.1.0.0/16',
});

const tlsSchema = z
  .strictObject({
    ca_file: z
      .string()
      .min(1, { error: 'expected the name of a file' })
      .optional()
      .describe('PEM file with authorities that are trusted beside those that Node brings.'),
    ca_only: z.boolean().default(false).describe('Trusts the authorities of ca_file alone.'),
    insecure: z
      .array(host)
      .max(64)
      .default([])
      .describe('Hosts whose certificates are not looked at: anybody on the way can give other media.'),
  })
  .refine((value) => !value.ca_only || value.ca_file !== undefined, {
    path: ['ca_only'],
    error: 'expected ca_file beside it: nobody would be trusted',
  });

/** `upstream:` of the configuration. */
export const upstreamSchema = z.strictObject({
  allow: z
    .array(hostOrPrefix)
    .max(256)
    .default([])
    .describe(
      'Hosts, addresses and prefixes that redirects and playlists may lead to though they are loopback, link-local, private or otherwise special. Hosts of configured URLs may be led to in any case.',
    ),
  redirects: integer({ min: 0, max: 20 }).default(5).describe('Most redirects of one request.'),
  allow_downgrade: z.boolean().default(false).describe('Whether a redirect may lead from https:// to http://.'),
  tls: tlsSchema.prefault({}).describe('How the servers of https:// URLs are known.'),
});

export type UpstreamSettings = Readonly<z.output<typeof upstreamSchema>>;
