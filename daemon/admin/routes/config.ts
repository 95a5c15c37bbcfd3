import type { FastifyInstance } from 'fastify';
import { SluiceError } from '../../base/errors.js';
import type { RouteContext } from '../context.js';
import { statusOf } from '../errors.js';
import { errorResponses, ref } from '../schemas.js';

/** Whatever refuses a reload, and is not told apart more exactly: what the file wants is in conflict with what there is. */
const CONFLICT = 409;

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
        if (!(error instanceof SluiceError)) throw error;
        const status = statusOf(error.code) ?? CONFLICT;
        throw new SluiceError(error.code, error.message, { ...error.details, status }, { cause: error });
      }
    },
  );
}
