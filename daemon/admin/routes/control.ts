import type { FastifyInstance } from 'fastify';
import type { RouteContext } from '../context.js';
import { errorResponses } from '../schemas.js';

/** `POST /v1/stop`. */
export function controlRoutes(app: FastifyInstance, { log, onStop }: RouteContext): void {
  app.post<{ Body: { withdraw: boolean } | null }>(
    '/v1/stop',
    {
      schema: {
        summary: 'Stops the daemon; forwarding stays for a restart unless it is withdrawn',
        body: {
          type: ['object', 'null'],
          additionalProperties: false,
          properties: { withdraw: { type: 'boolean', default: false, description: 'also take the forwarding away' } },
        },
        response: {
          202: {
            type: 'object',
            required: ['stopping', 'withdraw'],
            properties: { stopping: { type: 'boolean' }, withdraw: { type: 'boolean' } },
          },
          ...errorResponses,
        },
      },
    },
    async ({ body }, reply) => {
      const withdraw = body?.withdraw ?? false;
      log.info({ withdraw }, 'stop requested');
      // After the answer has gone, or the caller would see its connection cut instead of the answer.
      reply.raw.once('close', () => onStop(withdraw));
      return reply.code(202).send({ stopping: true, withdraw });
    },
  );
}
