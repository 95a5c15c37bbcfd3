import type { FastifyInstance } from 'fastify';
import { asConflict } from '../conflict.js';
import type { RouteContext } from '../context.js';
import { errorResponses, ref } from '../schemas.js';

/** `GET /v1/config`, `POST /v1/reload`. */
export function configRoutes(app: FastifyInstance, { reloader }: RouteContext): void {
  app.get(
    '/v1/config',
    {
      schema: {
        summary: 'The running configuration, checked, with defaults, without secrets',
        response: { 200: ref('Config'), ...errorResponses },
      },
    },
    async () => reloader.running(),
  );
  app.post<{ Body: { dry_run: boolean } | null }>(
    '/v1/reload',
    {
      schema: {
        summary: 'Reads the configuration file again and applies what has changed: all of it, or nothing',
        body: {
          type: ['object', 'null'],
          additionalProperties: false,
          properties: { dry_run: { type: 'boolean', default: false, description: 'only tell what would be done' } },
        },
        response: {
          200: ref('Reload'),
          409: { ...ref('Error'), description: 'cannot be applied to the running daemon; nothing was changed' },
          422: { ...ref('Error'), description: 'the file is bad; details.problems; nothing was changed' },
          ...errorResponses,
        },
      },
    },
    async ({ body }) => {
      try {
        return await reloader.reload({ by: 'API', dryRun: body?.dry_run ?? false });
      } catch (error) {
        throw asConflict(error);
      }
    },
  );
}
