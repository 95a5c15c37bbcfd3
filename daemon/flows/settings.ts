/** What an operator can set of flows. */
import { z } from 'zod';
import { findConflicts } from './conflicts.js';
import { flowSchema } from './flow-schema.js';

/** `flows:` of the configuration. */
export const flowsSchema = z
  .array(flowSchema)
  .default([])
  .superRefine((flows, context) => {
    for (const { path, message } of findConflicts(flows))
      context.addIssue({ code: 'custom', path: [...path], message });
  });
