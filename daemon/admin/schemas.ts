import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import * as model from './model.js';

/** A JSON Schema as fastify and OpenAPI take it. */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** A reference to a shared schema by its id. */
export function ref(id: string): JsonSchema {
  return { $ref: `${id}#` };
}

/** A list under a name, so that more can be said beside it one day. */
export function listOf(name: string, items: JsonSchema): JsonSchema {
  return { type: 'object', required: [name], properties: { [name]: { type: 'array', items } } };
}

/** The JSON Schema of a zod type (draft 7, which fastify's compilers speak). */
export function schemaOf(type: z.ZodType): JsonSchema {
  const { $schema: _, ...schema } = z.toJSONSchema(type, { target: 'draft-7' }) as Record<string, unknown>;
  return schema;
}

/** Makes everything in model.ts that has an id known, so that routes and the OpenAPI document refer to it. */
export function addSharedSchemas(app: FastifyInstance): void {
  const registry = z.registry<{ id: string }>();
  for (const type of Object.values(model)) {
    const id = type instanceof z.ZodType ? type.meta()?.id : undefined;
    if (type instanceof z.ZodType && id !== undefined) registry.add(type, { id });
  }
  const { schemas } = z.toJSONSchema(registry, { target: 'draft-7', uri: (id) => `${id}#` });
  for (const [id, schema] of Object.entries(schemas)) {
    const { $schema: _, id: __, ...rest } = schema as Record<string, unknown>;
    app.addSchema({ ...rest, $id: id });
  }
}

/** Answers that any route may give besides its own. */
export const errorResponses: JsonSchema = { '4xx': ref('Error'), '5xx': ref('Error') };
