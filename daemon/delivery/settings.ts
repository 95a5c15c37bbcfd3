/** What an operator can set of the sites: prefixes of the viewers' front that are fetched from an HTTP origin. */
import { z } from 'zod';
import { bytes, duration, id } from '../config/units.js';

const MIB = 2 ** 20;
const DAY = 86_400_000;

const cacheSchema = z.strictObject({
  honour: z.boolean().default(true).describe("Whether the origin's Cache-Control and Expires count."),
  documents: duration({ min: 0, max: DAY })
    .default(1000)
    .describe('How long playlists and manifests are fresh where the origin does not say.'),
  media: duration({ min: 0, max: DAY })
    .default(60_000)
    .describe('How long everything else is fresh where the origin does not say.'),
  missing: duration({ min: 0, max: DAY })
    .default(1000)
    .describe('How long an answer 404 or 410 counts: spares the origin those who ask too early.'),
  min: duration({ min: 0, max: DAY }).default(0).describe('Least time of freshness, whatever the origin says.'),
  max: duration({ min: 0, max: DAY }).default(3_600_000).describe('Most time of freshness, whatever the origin says.'),
  stale_if_error: duration({ min: 0, max: DAY })
    .default(0)
    .describe('For so long after that an object is still given out when the origin fails (RFC 5861).'),
});

/** Below the time after which the plane gives up a flight. */
const phase = duration({ min: 100, max: 55_000 });

const timeoutsSchema = z.strictObject({
  connect: phase.default(5000).describe('Until a connection is there.'),
  head: phase
    .default(20_000)
    .describe("From the request to the end of the answer's head; playlist reloads that block wait here (RFC 8216bis)."),
  idle: phase.default(10_000).describe('Between two pieces of a body.'),
});

const originSchema = z
  .string({ error: 'expected a URL' })
  .max(4096)
  .transform((text, context): URL => {
    const expected = originFault(text);
    if (expected === undefined) return new URL(text);
    context.issues.push({ code: 'custom', message: expected, input: text });
    return z.NEVER;
  });

/** What was expected of an origin's URL, or undefined when it is right. */
function originFault(text: string): string | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !['http:', 'https:'].includes(url.protocol) || url.hostname === '') {
    return 'expected an http:// or https:// URL, such as http://origin.example/live/';
  }
  if (url.search !== '' || url.hash !== '') return 'expected a URL without query and fragment';
  return url.pathname.endsWith('/')
    ? undefined
    : 'expected a URL that ends in "/": what viewers ask for is put behind it';
}

const prefixSchema = z
  .string()
  .max(1024)
  .regex(/^\/([!-.0-~]+\/)*$/, { error: 'expected a path that begins and ends with "/", such as /live/' });

const headersSchema = z
  .record(
    z.string().regex(/^[a-z0-9!#$%&'*+.^_`|~-]+$/, { error: 'expected a field name in lower case' }),
    z.string().regex(/^[\t -~]*$/, { error: 'expected a field value in printable ASCII' }),
  )
  .describe('Further request fields for the origin.');

const tokensSchema = z.strictObject({
  keys: z
    .array(
      z.strictObject({
        id: z.string().regex(/^[A-Za-z0-9_-]{1,32}$/, { error: 'expected 1 to 32 letters, digits, "-" or "_"' }),
        secret: z
          .string({ error: 'expected a text' })
          .min(16, { error: 'expected at least 16 characters' })
          .max(256, { error: 'expected at most 256 characters' }),
      }),
    )
    .min(1, { error: 'expected at least one key' })
    .max(16, { error: 'expected at most 16 keys' })
    .refine((keys) => new Set(keys.map((key) => key.id)).size === keys.length, {
      error: 'expected ids that are all different',
    })
    .describe('Any of them may have signed; several while one takes the place of another.'),
  required: z.boolean().default(true).describe('Whether a request without a token is refused.'),
});

const siteSchema = z
  .strictObject({
    id,
    prefix: prefixSchema.optional().describe('Path of the viewers\' front; "/ID/" when absent.'),
    origin: originSchema.describe('URL that takes the place of the prefix; ends in "/".'),
    query: z.boolean().default(true).describe("Whether the query is part of an object's name, and sent to the origin."),
    headers: headersSchema.default({}),
    timeouts: timeoutsSchema.prefault({}),
    cache: cacheSchema.prefault({}),
    tokens: tokensSchema.optional().describe('Only who has a signed URL (sluice sign) is served.'),
  })
  .transform(({ prefix, ...site }) => ({ ...site, prefix: prefix ?? `/${site.id}/` }));

export const sitesSchema = z
  .array(siteSchema)
  .default([])
  .superRefine((sites, context) => {
    for (const key of ['id', 'prefix'] as const) {
      sites.forEach((site, at) => {
        if (!sites.slice(0, at).some((other) => other[key] === site[key])) return;
        const message = `expected ${key === 'id' ? 'an id' : 'a prefix'} that no other site has`;
        context.addIssue({ code: 'custom', path: [at, key], message, input: site[key] });
      });
    }
  });

/** Budget and bounds of the objects of all sites. */
export const objectsSchema = z.strictObject({
  memory: bytes({ min: MIB, max: 64 * 1024 * MIB })
    .prefault('256MiB')
    .describe('Budget for the objects of all sites; those least used give way, those being read never.'),
  largest: bytes({ min: 1, max: 1024 * MIB })
    .prefault('64MiB')
    .describe('Largest object that is taken.'),
});

export type SiteSettings = z.output<typeof sitesSchema>[number];
