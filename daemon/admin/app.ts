import swagger from '@fastify/swagger';
import websocket from '@fastify/websocket';
import { type FastifyBaseLogger, type FastifyInstance, fastify, LogController } from 'fastify';
import type { RouteContext } from './context.js';
import { handleError } from './errors.js';
import { refuseForeign, type Transport } from './guard.js';
import { refuseUnknown } from './not-found.js';
import { captureRoutes } from './routes/capture.js';
import { channelRoutes } from './routes/channels.js';
import { configRoutes } from './routes/config.js';
import { controlRoutes } from './routes/control.js';
import { flowRoutes } from './routes/flows.js';
import { healthRoutes } from './routes/health.js';
import { type LiveSocket, liveRoute } from './routes/live.js';
import { loopRoutes } from './routes/loops.js';
import { pageRoutes } from './routes/page.js';
import { siteRoutes } from './routes/sites.js';
import { subscriberRoutes } from './routes/subscribers.js';
import { tableRoutes } from './routes/tables.js';
import { addSharedSchemas } from './schemas.js';

/** Largest request body of most routes, bytes; those that take lists have limits of their own. */
const BODY_LIMIT = 16 * 1024;
/** Open admin connections in all, per listener. */
const MAX_CONNECTIONS = 256;

/** The admin application for one listener. Not listening yet. */
export async function buildApp(context: RouteContext, transport: Transport): Promise<FastifyInstance> {
  // Typed as fastify's own, or every instance type would carry pino's.
  const loggerInstance: FastifyBaseLogger = context.log;
  const app = fastify({
    loggerInstance,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: BODY_LIMIT,
    requestTimeout: 10_000,
    keepAliveTimeout: 30_000,
    forceCloseConnections: true,
    return503OnClosing: false,
    routerOptions: { maxParamLength: 200 },
    ajv: { customOptions: { removeAdditional: false, coerceTypes: false, useDefaults: true, allErrors: false } },
    frameworkErrors: (error, request, reply) => void handleError(error, request, reply),
  });
  app.server.maxConnections = MAX_CONNECTIONS;
  app.setErrorHandler(handleError);
  app.addHook('onSend', async (_request, reply) => {
    reply.header('x-content-type-options', 'nosniff');
    reply.header('cross-origin-resource-policy', 'same-origin');
    if (!reply.hasHeader('cache-control')) reply.header('cache-control', 'no-store');
  });
  refuseUnknown(app);
  // A page of another origin may send text/plain without asking first; JSON it may not.
  app.removeContentTypeParser('text/plain');
  await app.register(websocket, { options: { maxPayload: 1024, perMessageDeflate: false }, preClose: endWebsockets });
  // After the plugin's own hook, which is what makes the socket of a refused upgrade be closed.
  app.addHook('onRequest', async (request) => refuseForeign(request, transport));
  addSharedSchemas(app);
  await app.register(swagger, openapi(context.version));
  await app.register(async (scope) => {
    healthRoutes(scope, context);
    channelRoutes(scope, context);
    tableRoutes(scope, context);
    configRoutes(scope, context);
    controlRoutes(scope, context);
    siteRoutes(scope, context);
    flowRoutes(scope, context);
    subscriberRoutes(scope, context);
    captureRoutes(scope, context);
    loopRoutes(scope, context);
    liveRoute(scope, context);
  });
  await app.register(async (scope) => pageRoutes(scope, context));
  return app;
}

/** Ends the websockets at once: a client that is gone would hold up the end for the 30 s that ws waits for its answer. */
function endWebsockets(this: FastifyInstance, done: () => void): void {
  for (const client of this.websocketServer.clients as ReadonlySet<LiveSocket>) {
    client.close(1001, 'the daemon ends');
    client.terminate();
  }
  this.websocketServer.close(done);
}

function openapi(version: string): Parameters<typeof swagger>[1] & object {
  return {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Sluice admin API',
        version,
        description: 'State and control of one Sluice daemon. Errors are {code, message, details}; codes are stable.',
      },
    },
    refResolver: {
      buildLocalReference: ({ $id }, _base, _fragment, index) => (typeof $id === 'string' ? $id : `schema-${index}`),
    },
  };
}
