import type { FastifyInstance } from 'fastify';
import { SluiceError } from '../../base/errors.js';
import type { RouteContext } from '../context.js';
import { historyPoint } from '../model.js';
import { errorResponses, type JsonSchema, listOf, ref, schemaOf } from '../schemas.js';

const idParams: JsonSchema = {
  type: 'object',
  required: ['id'],
  properties: { id: { type: 'string', minLength: 1, maxLength: 127 } },
};

function unknownChannel(id: string, known: readonly string[]): SluiceError {
  return new SluiceError('NOT_FOUND', `there is no channel ${id} (expected one of ${known.join(', ')})`, { id, known });
}

/** `/v1/status`, `/v1/history`, `/v1/channels…`, `/v1/viewers`. */
export function channelRoutes(app: FastifyInstance, { source, sampler }: RouteContext): void {
  const ids = (): string[] => source.channels().map((channel) => channel.id);
  app.get(
    '/v1/status',
    {
      schema: {
        summary: 'The daemon as a whole, at most a second old',
        response: { 200: ref('Status'), ...errorResponses },
      },
    },
    async () => sampler.snapshot.status,
  );
  app.get(
    '/v1/history',
    {
      schema: {
        summary: 'Rates of the last five minutes, one point a second, oldest first',
        response: { 200: listOf('history', schemaOf(historyPoint)), ...errorResponses },
      },
    },
    async () => ({ history: sampler.history }),
  );
  app.get(
    '/v1/channels',
    { schema: { summary: 'All channels', response: { 200: listOf('channels', ref('Channel')), ...errorResponses } } },
    async () => ({ channels: source.channels() }),
  );
  app.get<{ Params: { id: string } }>(
    '/v1/channels/:id',
    { schema: { summary: 'One channel', params: idParams, response: { 200: ref('Channel'), ...errorResponses } } },
    async ({ params: { id } }) => {
      const channel = source.channels().find((one) => one.id === id);
      if (channel === undefined) throw unknownChannel(id, ids());
      return channel;
    },
  );
  app.get<{ Params: { id: string } }>(
    '/v1/channels/:id/why',
    {
      schema: {
        summary: 'Why the channel is as it is',
        params: idParams,
        response: { 200: ref('ChannelWhy'), ...errorResponses },
      },
    },
    async ({ params: { id } }) => {
      const answer = source.why(id);
      if (answer === undefined) throw unknownChannel(id, ids());
      return answer;
    },
  );
  app.get(
    '/v1/viewers',
    {
      schema: {
        summary: 'Connected continuous viewers',
        response: { 200: listOf('viewers', ref('Viewer')), ...errorResponses },
      },
    },
    async () => ({ viewers: await source.viewers() }),
  );
}
