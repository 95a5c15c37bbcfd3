import type { FastifyInstance } from 'fastify';
import type { z } from 'zod';
import { type FlowConfig, type FlowReceiverConfig, flowSchema } from '../../flows/flow-schema.js';
import { gateSchema, gatesSchema, receiversSchema } from '../../flows/orders.js';
import type { FlowStatus } from '../../flows/status.js';
import { type CheckedBody, checkedBody } from '../checked-body.js';
import { asConflict } from '../conflict.js';
import type { RouteContext } from '../context.js';
import { errorResponses, type JsonSchema, ref } from '../schemas.js';

/** 10,000 receivers, or gates, with everything that can be said of them. */
const BODY_LIMIT = 4 * 2 ** 20;

const id: JsonSchema = { type: 'string', description: 'as in the configuration, or as it was created' };
const ofFlow: JsonSchema = { type: 'object', required: ['id'], properties: { id } };
const ofReceiver: JsonSchema = { type: 'object', required: ['id', 'rid'], properties: { id, rid: id } };

function object(properties: Readonly<Record<string, JsonSchema>>): JsonSchema {
  return { type: 'object', required: Object.keys(properties), properties };
}

const count: JsonSchema = { type: 'integer' };
const refused: JsonSchema = { ...ref('Error'), description: 'in conflict with what there is; nothing was changed' };

/** The schema of a route that changes something. */
function changing(
  summary: string,
  params: JsonSchema | null,
  answer: Readonly<Record<number, JsonSchema>>,
): JsonSchema {
  return { summary, ...(params === null ? {} : { params }), response: { ...answer, 409: refused, ...errorResponses } };
}

function withBody(schema: JsonSchema, { body, validatorCompiler }: CheckedBody) {
  return { schema: { ...schema, body }, validatorCompiler, bodyLimit: BODY_LIMIT };
}

/** Runs a change; what refuses it is a conflict where nothing more exact is known. */
function change<T>(run: () => T): T {
  try {
    return run();
  } catch (error) {
    throw asConflict(error);
  }
}

/** `/v1/flows…`, `/v1/gates`. */
export function flowRoutes(app: FastifyInstance, context: RouteContext): void {
  readingRoutes(app, context);
  flowChanges(app, context);
  receiverChanges(app, context);
  gateChanges(app, context);
}

function readingRoutes(app: FastifyInstance, { flows }: RouteContext): void {
  const list = (name: string, schema: string): JsonSchema => object({ [name]: { type: 'array', items: ref(schema) } });
  app.get<{ Querystring: { busiest?: string } }>(
    '/v1/flows',
    {
      schema: {
        summary: 'All flows, or those that carry most',
        querystring: {
          type: 'object',
          additionalProperties: false,
          properties: { busiest: { type: 'string', pattern: '^[1-9][0-9]{0,3}$', description: 'only so many' } },
        },
        response: { 200: list('flows', 'Flow'), ...errorResponses },
      },
    },
    async ({ query }) => ({ flows: busiest(flows.flows(), query.busiest) }),
  );
  app.get<{ Params: { id: string } }>(
    '/v1/flows/:id',
    { schema: { summary: 'One flow', params: ofFlow, response: { 200: ref('Flow'), ...errorResponses } } },
    async ({ params }) => flows.flow(params.id),
  );
  app.get<{ Params: { id: string } }>(
    '/v1/flows/:id/receivers',
    {
      schema: {
        summary: 'The receivers of a flow, wherever they listen',
        params: ofFlow,
        response: { 200: list('receivers', 'Receiver'), ...errorResponses },
      },
    },
    async ({ params }) => ({ receivers: flows.receivers(params.id) }),
  );
  app.get<{ Params: { id: string; rid: string } }>(
    '/v1/flows/:id/receivers/:rid',
    { schema: { summary: 'One receiver', params: ofReceiver, response: { 200: ref('Receiver'), ...errorResponses } } },
    async ({ params }) => flows.receiver(params.id, params.rid),
  );
}

/** Those with the highest rates, in and out together; all where no number is given. */
function busiest(flows: readonly FlowStatus[], most: string | undefined): readonly FlowStatus[] {
  if (most === undefined) return flows;
  const load = ({ rates }: FlowStatus): number => rates.bitsIn + rates.bitsOut;
  return flows.toSorted((a, b) => load(b) - load(a)).slice(0, Number(most));
}

function flowChanges(app: FastifyInstance, { flows, log }: RouteContext): void {
  app.post<{ Body: FlowConfig }>(
    '/v1/flows',
    withBody(
      changing('Begins a flow, which lasts over reloads, but not over a restart', null, { 201: ref('Flow') }),
      checkedBody(flowSchema),
    ),
    async ({ body }, reply) => {
      const made = change(() => flows.create(body));
      log.info({ flow: made.id, input: made.input, receivers: made.receivers }, 'flow created');
      return reply.code(201).send(made);
    },
  );
  app.delete<{ Params: { id: string } }>(
    '/v1/flows/:id',
    { schema: changing('Ends a flow that the API began', ofFlow, { 200: object({ flow: id, receivers: count }) }) },
    async ({ params }) => {
      const receivers = change(() => flows.remove(params.id));
      log.info({ flow: params.id, receivers }, 'flow removed');
      return { flow: params.id, receivers };
    },
  );
}

function receiverChanges(app: FastifyInstance, { flows, log }: RouteContext): void {
  app.post<{ Params: { id: string }; Body: readonly FlowReceiverConfig[] }>(
    '/v1/flows/:id/receivers',
    withBody(
      changing('Adds one receiver or a list, all or none; they last over reloads, but not over a restart', ofFlow, {
        201: object({ flow: id, added: count }),
      }),
      checkedBody(receiversSchema),
    ),
    async ({ params, body }, reply) => {
      change(() => flows.addReceivers(params.id, body));
      log.info({ flow: params.id, added: body.length }, 'receivers added');
      return reply.code(201).send({ flow: params.id, added: body.length });
    },
  );
  app.delete<{ Params: { id: string; rid: string } }>(
    '/v1/flows/:id/receivers/:rid',
    {
      schema: changing('Removes a receiver that the API added', ofReceiver, {
        200: object({ flow: id, receiver: id }),
      }),
    },
    async ({ params }) => {
      change(() => flows.removeReceiver(params.id, params.rid));
      log.info({ flow: params.id, receiver: params.rid }, 'receiver removed');
      return { flow: params.id, receiver: params.rid };
    },
  );
}

/** Not logged line by line: a floor may change many times a second. */
function gateChanges(app: FastifyInstance, { flows, log }: RouteContext): void {
  app.patch<{ Params: { id: string; rid: string }; Body: z.output<typeof gateSchema> }>(
    '/v1/flows/:id/receivers/:rid',
    withBody(changing('Moves the gate of one receiver', ofReceiver, { 200: ref('Receiver') }), checkedBody(gateSchema)),
    async ({ params, body }) => {
      change(() => flows.setGates([{ receiver: `${params.id}/${params.rid}`, ...body }]));
      return flows.receiver(params.id, params.rid);
    },
  );
  app.post<{ Body: z.output<typeof gatesSchema> }>(
    '/v1/gates',
    withBody(
      changing('Moves gates in one step: nobody sees a state in which only some have moved', null, {
        200: object({ changed: count }),
      }),
      checkedBody(gatesSchema),
    ),
    async ({ body: { changes } }) => {
      change(() => flows.setGates(changes));
      log.debug({ changed: changes.length }, 'gates moved');
      return { changed: changes.length };
    },
  );
}
