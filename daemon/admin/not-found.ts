import type { FastifyInstance } from 'fastify';
import { SluiceError } from '../base/errors.js';

interface Known {
  readonly pattern: RegExp;
  readonly methods: Set<string>;
}

/**
 * Answers what no route takes: 404, or 405 with Allow where the path exists for other methods (RFC 9110 section 15.5.6).
 * To be called before the first route is added.
 */
export function refuseUnknown(app: FastifyInstance): void {
  const known = new Map<string, Known>();
  app.addHook('onRoute', ({ url, method }) => {
    const entry = known.get(url) ?? { pattern: patternOf(url), methods: new Set<string>() };
    for (const one of [method].flat()) entry.methods.add(one);
    known.set(url, entry);
  });
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?', 1)[0] ?? '';
    const match = [...known.values()].find(({ pattern }) => pattern.test(path));
    if (match === undefined) throw new SluiceError('NOT_FOUND', `there is nothing at ${path}`, { path });
    const allow = [...match.methods].sort();
    reply.header('allow', allow.join(', '));
    throw new SluiceError('METHOD_NOT_ALLOWED', `${path} takes ${allow.join(', ')}, not ${request.method}`, {
      path,
      allow,
    });
  });
}

/** `/v1/channels/:id` or `/v1/why/:noun/*` as an expression. */
function patternOf(url: string): RegExp {
  return new RegExp(
    `^${url
      .replace(/[.]/g, '\\.')
      .replace(/:[a-z]+/gi, '[^/]+')
      .replace('*', '.+')}$`,
  );
}
