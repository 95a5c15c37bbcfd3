import assert from 'node:assert/strict';
import { buildApp } from '../../../daemon/admin/app.js';
import { Sampler } from '../../../daemon/admin/sampler.js';
import { ERROR_CODES } from '../../../daemon/base/errors.js';
import { PlannedSource, plannedContext, TWO_CHANNELS } from '../../admin/fixture.js';
import { type FuzzTarget, textOf } from '../lib/target.js';

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const;
const stops: boolean[] = [];
const context = plannedContext(new PlannedSource(TWO_CHANNELS), [], stops);
const app = await buildApp({ ...context, sampler: new Sampler(context) }, 'tcp');

/** Requests to the admin API, as text: method and target, headers, an empty line, the body. */
export const target: FuzzTarget = {
  name: 'admin',
  tokens: [
    '/v1/stop',
    '/v1/channels/',
    '/v1/viewers',
    '?limit=',
    'content-length: 5\n',
    'content-type: application/json\n',
    'host: localhost\n',
    'origin: null\n',
    '{"withdraw":',
    '{"__proto__":{"withdraw":true}}',
    '%2e%2e/',
    '%ff',
  ],
  async check(document) {
    const request = requestOf(textOf(document));
    const stopped = stops.length;
    const answer = await app.inject(request);
    assert.ok(answer.statusCode < 500 || answer.statusCode === 503, `${answer.statusCode}: ${answer.body}`);
    assert.equal(stops.length > stopped, answer.statusCode === 202, 'stopped exactly when it says so');
    if (answer.statusCode < 400 || answer.statusCode === 503 || answer.body === '') return;
    const { code, message } = answer.json<{ code: string; message: string }>();
    assert.ok(ERROR_CODES.some((known) => known === code) && code !== 'INTERNAL' && message !== '', answer.body);
  },
};

function requestOf(text: string): {
  method: (typeof METHODS)[number];
  url: string;
  headers: Record<string, string>;
  payload: string;
} {
  const [head = '', ...rest] = text.split('\n\n');
  const [first = '', ...fields] = head.split('\n');
  const [verb = '', path = ''] = first.split(' ');
  const headers = fields.map((field) => field.split(': ')).map(([name = '', ...value]) => [name, value.join(': ')]);
  return {
    method: METHODS.find((method) => method === verb) ?? 'GET',
    url: `/${path.replace(/^\/+/, '')}`,
    headers: Object.fromEntries(headers.filter(([name]) => /^[!#$%&'*+.^_`|~\w-]+$/.test(name ?? ''))),
    payload: rest.join('\n\n'),
  };
}
