import type { FastifyInstance } from 'fastify';
import {
  type ChannelsOrder,
  channelsOrderSchema,
  type LeasesOrder,
  leasesOrderSchema,
} from '../../membership/orders.js';
import { checkedBody } from '../checked-body.js';
import type { RouteContext } from '../context.js';
import { errorResponses, type JsonSchema } from '../schemas.js';

/** 10,000 channels with their sources and leases. */
const BODY_LIMIT = 2 * 2 ** 20;

const params: JsonSchema = {
  type: 'object',
  required: ['id'],
  properties: { id: { type: 'string', description: 'of the subscriber, as in interfaces[].subscriber.id' } },
};
const answer: JsonSchema = {
  type: 'object',
  required: ['subscriber', 'channels'],
  properties: { subscriber: { type: 'string' }, channels: { type: 'integer', description: 'how many were told' } },
};

/** `/v1/subscribers/{id}/channels`. */
export function subscriberRoutes(app: FastifyInstance, { subscribers, log }: RouteContext): void {
  const route = (summary: string, type: typeof leasesOrderSchema | typeof channelsOrderSchema) => {
    const { body, validatorCompiler } = checkedBody(type);
    const schema = { summary, params, body, response: { 200: answer, ...errorResponses } };
    return { schema, validatorCompiler, bodyLimit: BODY_LIMIT };
  };
  app.post<{ Params: { id: string }; Body: LeasesOrder }>(
    '/v1/subscribers/:id/channels',
    route(
      'Allows a subscriber channels, each in the place of what was said of it before; joins that wait pass',
      leasesOrderSchema,
    ),
    async ({ params: { id }, body }) => {
      await subscribers.authorise(id, body);
      log.info({ subscriber: id, channels: body.length }, 'channels authorised');
      return { subscriber: id, channels: body.length };
    },
  );
  app.post<{ Params: { id: string }; Body: ChannelsOrder }>(
    '/v1/subscribers/:id/channels/revoke',
    route('Takes channels away from a subscriber; they end at once', channelsOrderSchema),
    async ({ params: { id }, body }) => {
      await subscribers.revoke(id, body);
      log.info({ subscriber: id, channels: body.length }, 'channels revoked');
      return { subscriber: id, channels: body.length };
    },
  );
}
