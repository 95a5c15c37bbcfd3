import type { FastifyInstance } from 'fastify';
import type { ChannelStatus } from '../../streams/status.js';
import type { RouteContext } from '../context.js';
import type { Readiness } from '../model.js';
import { errorResponses, ref } from '../schemas.js';

/**
 * Ready means that every channel can be watched: at least one of its renditions flows. Renditions that do not flow are
 * named in any case. One dead rendition does not take the daemon out of service, a dead channel does.
 */
export function readinessOf(channels: readonly ChannelStatus[]): Readiness {
  const reasons = channels
    .flatMap((channel) => channel.renditions)
    .filter((rendition) => rendition.state !== 'flowing')
    .map(({ stream, state, reason }) => ({ stream, state, reason: reason ?? 'no media yet' }));
  return { ready: channels.every((channel) => channel.state !== 'down'), reasons };
}

/** `/healthz`, `/readyz`, `/metrics`, `/openapi.json`. */
export function healthRoutes(app: FastifyInstance, { metrics, source }: RouteContext): void {
  app.get(
    '/healthz',
    {
      schema: {
        summary: 'The daemon is alive',
        response: {
          200: { type: 'object', properties: { status: { type: 'string', const: 'ok' } } },
          ...errorResponses,
        },
      },
    },
    async () => ({ status: 'ok' }),
  );
  app.get(
    '/readyz',
    {
      schema: {
        summary: 'Every channel has a rendition that flows; what does not flow is named',
        response: { 200: ref('Readiness'), 503: ref('Readiness'), ...errorResponses },
      },
    },
    async (_request, reply) => {
      const readiness = readinessOf(source.channels());
      return reply.code(readiness.ready ? 200 : 503).send(readiness);
    },
  );
  app.get(
    '/metrics',
    {
      schema: {
        summary: 'Prometheus text exposition',
        produces: ['text/plain'],
        response: { 200: { type: 'string' }, ...errorResponses },
      },
    },
    async (_request, reply) => reply.type(metrics.contentType).send(await metrics.text()),
  );
  app.get(
    '/openapi.json',
    { schema: { summary: 'This document', response: { 200: { type: 'object', additionalProperties: true } } } },
    async () => app.swagger(),
  );
}
