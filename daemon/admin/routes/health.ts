import type { FastifyInstance } from 'fastify';
import type { FlowStatus } from '../../flows/status.js';
import type { ChannelStatus } from '../../streams/status.js';
import type { RouteContext } from '../context.js';
import type { Readiness } from '../model.js';
import { errorResponses, ref } from '../schemas.js';

/**
 * Ready means that every channel can be watched: at least one of its renditions flows; and that every flow is set up, whether or
 * not anybody sends. Renditions that do not flow are named in any case. One dead rendition does not take the daemon out of service,
 * a dead channel does.
 */
export function readinessOf(
  channels: readonly ChannelStatus[],
  flows: readonly Pick<FlowStatus, 'id' | 'state' | 'reason'>[] = [],
): Readiness {
  const failed = flows
    .filter(({ state }) => state === 'failed')
    .map(({ id, state, reason }) => ({ stream: id, state, reason: reason ?? 'not set up' }));
  const renditions = channels
    .flatMap((channel) => channel.renditions)
    .filter((rendition) => rendition.state !== 'flowing')
    .map(({ stream, state, reason }) => ({ stream, state, reason: reason ?? 'no media yet' }));
  const ready = channels.every((channel) => channel.state !== 'down') && failed.length === 0;
  return { ready, reasons: [...renditions, ...failed] };
}

/** `/healthz`, `/readyz`, `/metrics`, `/openapi.json`. */
export function healthRoutes(app: FastifyInstance, { metrics, source, flows }: RouteContext): void {
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
        summary: 'Every channel has a rendition that flows, every flow is set up; what is not so is named',
        response: { 200: ref('Readiness'), 503: ref('Readiness'), ...errorResponses },
      },
    },
    async (_request, reply) => {
      const readiness = readinessOf(source.channels(), flows.flows());
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
