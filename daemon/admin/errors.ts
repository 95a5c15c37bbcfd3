import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { type ErrorCode, SluiceError } from '../base/errors.js';

/** An error as the API answers it; errorAnswer in model.ts is its schema. */
export interface ErrorBody {
  readonly code: ErrorCode;
  readonly message: string;
  readonly details: Readonly<Record<string, unknown>>;
}

const STATUS: Partial<Record<ErrorCode, number>> = {
  NOT_FOUND: 404,
  METHOD_NOT_ALLOWED: 405,
  REQUEST_INVALID: 400,
  REQUEST_REFUSED: 403,
  USAGE: 404,
  CONFIG_INVALID: 422,
  CONFIG_UNREADABLE: 422,
  INTERNAL: 500,
};

/** The status that a code always has; undefined where the route decides, else 500. */
export function statusOf(code: ErrorCode): number | undefined {
  return STATUS[code];
}

/** The answer to any thrown value: our own errors as they are, fastify's refusals as REQUEST_INVALID, the rest as INTERNAL. */
export function answerOf(error: unknown): { readonly status: number; readonly body: ErrorBody } {
  if (error instanceof SluiceError) {
    const { status = STATUS[error.code] ?? 500, ...details } = error.details;
    return { status: Number(status), body: { code: error.code, message: error.message, details } };
  }
  const { statusCode, message, validation } = error as Partial<FastifyError>;
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) {
    const details =
      validation === undefined
        ? {}
        : { issues: validation.map(({ instancePath, message: says }) => ({ at: instancePath, says })) };
    return {
      status: statusCode,
      body: { code: 'REQUEST_INVALID', message: message ?? 'the request is not valid', details },
    };
  }
  return {
    status: 500,
    body: { code: 'INTERNAL', message: 'the daemon failed to answer; its log has the reason', details: {} },
  };
}

/** Fastify's error handler: answers, and logs what is our own fault. */
export function handleError(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const { status, body } = answerOf(error);
  if (status >= 500)
    request.log.error({ err: error, method: request.method, url: request.url }, 'admin request failed');
  if (status === 413 || status === 408) reply.header('connection', 'close');
  return reply.code(status).send(body);
}
