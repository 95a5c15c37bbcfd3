import { z } from 'zod';
import { folderPath } from '../config/units.js';

/** `store:` of the configuration. */
export const storeSchema = z.strictObject({
  folder: folderPath
    .optional()
    .describe(
      "Where that is; the service manager's state folder (STATE_DIRECTORY) when absent, and nothing outlives the process without one.",
    ),
});
