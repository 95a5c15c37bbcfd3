import { z } from 'zod';
import { duration, percent } from './units.js';

const off = z
  .literal('off')
  .transform(() => null)
  .describe('Packets leave when they are due.');

const on = z.strictObject({
  threshold: percent({ min: 1, max: 1000 })
    .default(20)
    .describe('Deviation of 100 ms from the mean of four seconds above which packets are paced.'),
  max_delay: duration({ min: 1, max: 5000 }).default(200).describe('Bound of the delay that pacing adds.'),
});

/** `smoothing:` of whatever is sent: how, or null where it is `off`. */
export const smoothingSchema = z.union([off, on], { error: 'expected off, or threshold and max_delay' });

export type SmoothingConfig = Readonly<z.output<typeof smoothingSchema>>;

/** As the plane takes it. */
export function smoothingOptions(
  config: SmoothingConfig,
): { readonly thresholdPercent: number; readonly maxDelayMs: number } | null {
  return config === null ? null : { thresholdPercent: config.threshold, maxDelayMs: config.max_delay };
}
