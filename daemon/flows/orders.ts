/** What is ordered of a running daemon's flows. */
import { z } from 'zod';
import { duration, id } from '../config/units.js';
import { gate, MAX_RECEIVERS, receiverSchema } from './flow-schema.js';

/** Most gates of one step. */
const MAX_GATES = 10_000;

/** `FLOW/RECEIVER`. */
export const receiverName = z
  .string({ error: 'expected FLOW/RECEIVER' })
  .regex(/^[a-z0-9][a-z0-9-]{0,62}\/[a-z0-9][a-z0-9-]{0,62}$/, { error: 'expected FLOW/RECEIVER' });

/** How much of the past a gate begins with. */
export const prebuffer = duration({ min: 0, max: 60_000 });

/** What is to become of a gate; what is absent stays. */
export const gateSchema = z.strictObject({
  gate: gate.optional(),
  source: id.optional().describe('Id of the flow that it listens to from now on; its own to go back.'),
  prebuffer: prebuffer
    .optional()
    .describe("Of the source's past, as far as its history reaches, before what comes next."),
});

/** One step across receivers. */
export const gatesSchema = z.strictObject({
  changes: z
    .array(gateSchema.extend({ receiver: receiverName }))
    .min(1, { error: 'expected at least one change' })
    .max(MAX_GATES, { error: `expected at most ${MAX_GATES} changes` }),
});

/** One receiver, or a list of them. */
export const receiversSchema = z.preprocess(
  (body) => (Array.isArray(body) ? body : [body]),
  z
    .array(receiverSchema)
    .min(1, { error: 'expected at least one receiver' })
    .max(MAX_RECEIVERS, { error: `expected at most ${MAX_RECEIVERS} receivers` }),
);
