import type { FastifyInstance } from 'fastify';
import { SluiceError } from '../../base/errors.js';
import { duration } from '../../config/units.js';
import type { RouteContext } from '../context.js';
import { CONTROL_CAPTURE_TRAILER } from '../model.js';
import { errorResponses, type JsonSchema } from '../schemas.js';

const DURATION = duration({ min: 100, max: 3_600_000 });
const DEFAULT_MS = 10_000;

const querystring: JsonSchema = {
  type: 'object',
  additionalProperties: false,
  properties: {
    interface: { type: 'string', maxLength: 15, description: 'of the router; all of them without it' },
    duration: { type: 'string', description: '100ms to 1h, 10s by default' },
    count: { type: 'string', pattern: '^[1-9][0-9]{0,8}$', description: 'ends after so many messages' },
  },
};

interface Query {
  readonly interface?: string;
  readonly duration?: string;
  readonly count?: string;
}

/** `/v1/capture`: messages about groups and routes as they come. */
export function captureRoutes(app: FastifyInstance, { controlCaptures, log }: RouteContext): void {
  app.get<{ Querystring: Query }>(
    '/v1/capture',
    {
      // A page of somebody else must not take the few that there may be at once.
      config: { guarded: true },
      schema: {
        summary: 'IGMP, MLD and PIM of the router, received and sent, as a pcapng that goes on until its limits',
        querystring,
        response: {
          200: { content: { 'application/x-pcapng': { schema: { type: 'string', format: 'binary' } } } },
          ...errorResponses,
        },
      },
    },
    async ({ query }, reply) => {
      const stream = controlCaptures.open({
        interface: query.interface ?? null,
        durationMs: durationOf(query.duration),
        count: Number(query.count ?? 0),
      });
      stream.once('close', () =>
        log.info(
          { interface: query.interface ?? null, ...stream.summary() },
          'a capture of control messages has ended',
        ),
      );
      reply.trailer(CONTROL_CAPTURE_TRAILER, async () => JSON.stringify(stream.summary()));
      return reply
        .type('application/x-pcapng')
        .header('content-disposition', 'attachment; filename="control.pcapng"')
        .send(stream);
    },
  );
}

function durationOf(text: string | undefined): number {
  if (text === undefined) return DEFAULT_MS;
  const parsed = DURATION.safeParse(text);
  if (parsed.success) return parsed.data;
  const says = parsed.error.issues[0]?.message ?? 'it is not valid';
  throw new SluiceError('REQUEST_INVALID', `duration: ${says}`, { issues: [{ at: '/duration', says }] });
}
