import type { FastifyInstance } from 'fastify';
import { SluiceError } from '../../base/errors.js';
import type { RouteContext } from '../context.js';
import { errorResponses, type JsonSchema, ref } from '../schemas.js';

const word: JsonSchema = { type: 'string', pattern: '^[a-z0-9][a-z0-9-]{0,62}$' };

/** `/v1/show/NOUN` and `/v1/why/NOUN/ID`: whatever the parts of the daemon offer, as `sluice show` and `sluice why` read it. */
export function tableRoutes(app: FastifyInstance, { registry }: RouteContext): void {
  app.get(
    '/v1/show',
    {
      schema: {
        summary: 'The nouns for /v1/show and /v1/why',
        response: {
          200: {
            type: 'object',
            properties: { show: { type: 'array', items: word }, why: { type: 'array', items: word } },
          },
          ...errorResponses,
        },
      },
    },
    async () => ({ show: registry.nouns(), why: registry.explained() }),
  );
  app.get<{ Params: { noun: string }; Querystring: { id?: string } }>(
    '/v1/show/:noun',
    {
      schema: {
        summary: 'A table',
        params: { type: 'object', required: ['noun'], properties: { noun: word } },
        querystring: {
          type: 'object',
          additionalProperties: false,
          properties: { id: { ...word, description: 'only what belongs to it, such as the receivers of a flow' } },
        },
        response: { 200: ref('Table'), ...errorResponses },
      },
    },
    async ({ params: { noun }, query: { id } }) => {
      if (!registry.nouns().includes(noun)) throw unknownNoun(noun, registry.nouns());
      return registry.read(noun, id);
    },
  );
  app.get<{ Params: { noun: string; '*': string } }>(
    '/v1/why/:noun/*',
    {
      schema: {
        summary: 'Why a thing is as it is',
        params: {
          type: 'object',
          required: ['noun', '*'],
          properties: { noun: word, '*': { type: 'string', maxLength: 200 } },
        },
        response: { 200: ref('Why'), ...errorResponses },
      },
    },
    async ({ params }) => {
      const { noun, '*': id } = params;
      if (!registry.explained().includes(noun)) throw unknownNoun(noun, registry.explained());
      const sentences = await registry.why(noun, id);
      if (sentences === undefined) throw new SluiceError('NOT_FOUND', `there is no ${noun} ${id}`, { noun, id });
      return { noun, id, sentences };
    },
  );
}

function unknownNoun(noun: string, known: readonly string[]): SluiceError {
  return new SluiceError('NOT_FOUND', `nothing is offered as ${noun} (expected one of ${known.join(', ')})`, {
    noun,
    known,
  });
}
