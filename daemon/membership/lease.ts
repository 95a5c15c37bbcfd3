import { duration } from '../config/units.js';

/** How long a channel may be had, in milliseconds. */
export const leaseDuration = duration({ min: 1000, max: 30 * 86_400_000 });
