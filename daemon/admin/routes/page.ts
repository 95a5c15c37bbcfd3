import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { ChannelStatus } from '../../streams/status.js';
import { type Asset, loadAssets } from '../assets.js';
import type { RouteContext } from '../context.js';

/** `/` and what the status page needs, all from here: no external resource, no inline script or style. */
export async function pageRoutes(app: FastifyInstance, { source, log }: RouteContext): Promise<void> {
  const assets = await loadAssets();
  const index = assets.get('index.html');
  if (index === undefined) log.warn('the status page is not there: it was not built');
  const hide = { schema: { hide: true } };
  for (const [name, asset] of assets) {
    if (asset === index) continue;
    app.get(`/page/${name}`, hide, async (request, reply) => send(request, reply, asset));
  }
  if (index === undefined) return;
  app.get('/', hide, async (request, reply) => {
    reply.header('content-security-policy', policyFor(source.channels()));
    reply.header('referrer-policy', 'no-referrer');
    return send(request, reply, index);
  });
}

/** Everything from our own origin; media also from the viewers' HTTP front, which has a port of its own. */
function policyFor(channels: readonly ChannelStatus[]): string {
  const fronts = new Set(channels.map((channel) => new URL(channel.hls).origin));
  return [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    ['connect-src', "'self'", ...fronts].join(' '),
    "media-src 'self' blob:",
    "worker-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
}

/** RFC 9110 section 13.1.2: a browser that has this very version is told so. */
function send(request: FastifyRequest, reply: FastifyReply, asset: Asset): FastifyReply {
  reply.header('etag', asset.etag).header('cache-control', 'no-cache').type(asset.type);
  if (request.headers['if-none-match'] === asset.etag) return reply.code(304).send();
  return reply.send(asset.body);
}
