/** What the admin API is told about subscribers. */
import { z } from 'zod';
import type { MulticastChannel, MulticastLease } from '../plane/contract-router.js';
import { leaseDuration } from './lease.js';
import { channelShape, ONE_FAMILY, sameFamily } from './settings.js';

const LIMIT = 10_000;
const EXPECTED = { error: `expected a list of 1 to ${LIMIT} channels` };

/** Channels to be taken away. */
export const channelsOrderSchema = z
  .array(
    z
      .strictObject(channelShape)
      .refine(({ group, source }) => sameFamily(group, source), ONE_FAMILY)
      .transform(({ group, source }): MulticastChannel => ({ group, source: source ?? null })),
    EXPECTED,
  )
  .min(1, EXPECTED)
  .max(LIMIT, EXPECTED);

/** Channels to be allowed, each with its lease. */
export const leasesOrderSchema = z
  .array(
    z
      .strictObject({
        ...channelShape,
        lease: leaseDuration.optional().describe('How long; for good when absent.'),
      })
      .refine(({ group, source }) => sameFamily(group, source), ONE_FAMILY)
      .transform(
        ({ group, source, lease }): MulticastLease => ({ group, source: source ?? null, leaseMs: lease ?? null }),
      ),
    EXPECTED,
  )
  .min(1, EXPECTED)
  .max(LIMIT, EXPECTED);

export type ChannelsOrder = z.output<typeof channelsOrderSchema>;
export type LeasesOrder = z.output<typeof leasesOrderSchema>;
