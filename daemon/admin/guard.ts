import type { FastifyRequest } from 'fastify';
import { SluiceError } from '../base/errors.js';
import { isLoopback } from './settings.js';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** It changes nothing, but is not to be had by pages of others all the same. */
    readonly guarded?: boolean;
  }
}

/** Where a request came in. A browser cannot reach a Unix socket, so that the checks against browsers fall away there. */
export type Transport = 'tcp' | 'unix';

/** The host of a Host field, without port and brackets; undefined when it is not one (RFC 9110 section 7.2). */
export function hostOf(field: string | undefined): string | undefined {
  const match = /^(?:\[([0-9a-fA-F:]+)\]|([A-Za-z0-9.-]+))(?::\d{1,5})?$/.exec(field ?? '');
  return (match?.[1] ?? match?.[2])?.toLowerCase();
}

/** Whether a host names this machine's loopback whatever the resolver says (RFC 6761 section 6.3). */
export function isLoopbackHost(host: string | undefined): boolean {
  return host !== undefined && (host === 'localhost' || host.endsWith('.localhost') || isLoopback(host));
}

/**
 * Refuses what a web page of somebody else makes a browser send to us. Throws REQUEST_REFUSED.
 * Host must be a loopback name, or a name under an attacker's control could be rebound to 127.0.0.1 and read the answers;
 * Origin must be our own for everything that changes something or opens a websocket (which CORS does not cover).
 */
export function refuseForeign(request: FastifyRequest, transport: Transport): void {
  if (transport === 'unix') return;
  const { host, origin } = request.headers;
  if (!isLoopbackHost(hostOf(host))) {
    throw new SluiceError(
      'REQUEST_REFUSED',
      `the Host field must name the loopback (expected localhost or 127.0.0.1, got ${host ?? 'none'})`,
      {
        field: 'host',
        status: 421,
      },
    );
  }
  const { guarded = false } = request.routeOptions.config;
  const changes = guarded || (request.method !== 'GET' && request.method !== 'HEAD');
  if (!changes && request.headers.upgrade === undefined) return;
  if (origin !== undefined && origin !== `http://${host}`) {
    throw new SluiceError(
      'REQUEST_REFUSED',
      `requests from other web origins are refused (expected http://${host}, got ${origin})`,
      {
        field: 'origin',
        status: 403,
      },
    );
  }
  const site = request.headers['sec-fetch-site'];
  if (site !== undefined && site !== 'same-origin' && site !== 'none') {
    throw new SluiceError('REQUEST_REFUSED', `requests from other sites are refused (Sec-Fetch-Site is ${site})`, {
      field: 'sec-fetch-site',
      status: 403,
    });
  }
}
