import type { IncomingMessage, ServerResponse } from 'node:http';
import { gzipSync } from 'node:zlib';

/** Fields of every answer: browsers of any page may look. */
const COMMON = { 'access-control-allow-origin': '*' };

export interface Body {
  readonly type: string;
  readonly cacheControl: string;
}

/** A playlist or other text; compressed where the client takes gzip (RFC 9110 section 12.5.3). */
export function answerText(request: IncomingMessage, response: ServerResponse, body: Body, text: string): void {
  const gzip = acceptsGzip(request.headers['accept-encoding'] ?? '');
  const bytes = gzip ? gzipSync(text) : Buffer.from(text);
  response.writeHead(200, {
    ...COMMON,
    ...fields(body),
    vary: 'accept-encoding',
    'content-length': bytes.length,
    ...(gzip ? { 'content-encoding': 'gzip' } : {}),
  });
  response.end(request.method === 'HEAD' ? undefined : bytes);
}

/** Bytes, or the part that `Range: bytes=FIRST-[LAST]` asks for (RFC 9110 section 14.2). */
export function answerBytes(request: IncomingMessage, response: ServerResponse, body: Body, bytes: Uint8Array): void {
  const match = /^bytes=(\d{1,12})-(\d{0,12})$/.exec(request.headers.range ?? '');
  const first = Number(match?.[1] ?? 0);
  const last = Math.min(bytes.length - 1, match?.[2] ? Number(match[2]) : bytes.length - 1);
  if (match !== null && (first >= bytes.length || last < first)) {
    answerStatus(response, 416, { 'content-range': `bytes */${bytes.length}` });
    return;
  }
  response.writeHead(match === null ? 200 : 206, {
    ...COMMON,
    ...fields(body),
    'accept-ranges': 'bytes',
    'content-length': last + 1 - first,
    ...(match === null ? {} : { 'content-range': `bytes ${first}-${last}/${bytes.length}` }),
  });
  response.end(request.method === 'HEAD' ? undefined : bytes.subarray(first, last + 1));
}

/** The head of an answer without end; the connection is closed with it. */
export function answerEndless(response: ServerResponse, body: Body): void {
  response.shouldKeepAlive = false;
  response.writeHead(200, { ...COMMON, ...fields(body) });
  response.flushHeaders();
}

/** A status without more to say. */
export function answerStatus(response: ServerResponse, status: number, extra: Record<string, string> = {}): void {
  const text = `${status}\n`;
  response.writeHead(status, { ...COMMON, 'content-type': 'text/plain', 'content-length': text.length, ...extra });
  response.end(response.req.method === 'HEAD' ? undefined : text);
}

function fields({ type, cacheControl }: Body): Record<string, string> {
  return { 'content-type': type, 'cache-control': cacheControl };
}

function acceptsGzip(field: string): boolean {
  return field.split(',').some((part) => /^\s*(gzip|\*)\s*(;\s*q=(0\.0*[1-9]\d*|1(\.0*)?))?\s*$/i.test(part));
}
