import type { FastifySchemaCompiler } from 'fastify';
import { z } from 'zod';
import type { JsonSchema } from './schemas.js';

/** A body as the types of the configuration take it: the handler gets what they make of it. */
export interface CheckedBody {
  /** For the OpenAPI document. */
  readonly body: JsonSchema;
  readonly validatorCompiler: FastifySchemaCompiler<unknown>;
}

/**
 * Checks a route's body by a zod type instead of its JSON Schema, so that the API takes what a file takes and says the same about it.
 * Parameters of such a route are not checked: an id that is not one is unknown.
 */
export function checkedBody(type: z.ZodType): CheckedBody {
  const { $schema: _, ...body } = z.toJSONSchema(type, {
    target: 'draft-7',
    io: 'input',
    unrepresentable: 'any',
    reused: 'inline',
  }) as Record<string, unknown>;
  return {
    body,
    validatorCompiler: ({ httpPart }) => (httpPart === 'body' ? (data) => check(type, data) : () => true),
  };
}

function check(type: z.ZodType, data: unknown): { value: unknown } | { error: Error } {
  const result = type.safeParse(data);
  if (result.success) return { value: result.data };
  const issues = result.error.issues.map(({ path, message }) => ({ instancePath: `/${path.join('/')}`, message }));
  const [first] = issues;
  const error = new Error(`body${first?.instancePath ?? ''}: ${first?.message ?? 'it is not valid'}`);
  return { error: Object.assign(error, { validation: issues }) };
}
