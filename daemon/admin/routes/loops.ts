import type { FastifyInstance } from 'fastify';
import type { RouteContext } from '../context.js';
import { errorResponses, listOf, ref } from '../schemas.js';

/** `/v1/loops`. */
export function loopRoutes(app: FastifyInstance, { sampler }: RouteContext): void {
  app.get(
    '/v1/loops',
    {
      schema: {
        summary: 'The loops of the plane, in their order',
        response: { 200: listOf('loops', ref('Loop')), ...errorResponses },
      },
    },
    async () => ({ loops: sampler.loops() }),
  );
}
