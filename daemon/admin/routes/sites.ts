import type { FastifyInstance } from 'fastify';
import type { RouteContext } from '../context.js';
import { errorResponses, ref } from '../schemas.js';

/** `POST /v1/sites/{id}/purge`. */
export function siteRoutes(app: FastifyInstance, { sites, log }: RouteContext): void {
  app.post<{ Params: { id: string }; Body: { path: string } | null }>(
    '/v1/sites/:id/purge',
    {
      schema: {
        summary: 'Forgets what a site has of a path and of all that begins with it; viewers who are being served go on',
        params: {
          type: 'object',
          required: ['id'],
          properties: { id: { type: 'string', description: 'as in the configuration' } },
        },
        body: {
          type: ['object', 'null'],
          additionalProperties: false,
          properties: {
            path: {
              type: 'string',
              maxLength: 4096,
              default: '',
              description: 'as viewers ask for it, or what stands behind the prefix; everything when absent',
            },
          },
        },
        response: { 200: ref('Purge'), ...errorResponses },
      },
    },
    async ({ params: { id }, body }) => {
      const path = body?.path ?? '';
      const purged = sites.purge(id, path);
      log.info({ site: id, path, purged }, 'purged');
      return { site: id, path, purged };
    },
  );
}
