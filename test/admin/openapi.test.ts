import t from 'tap';
import { ask, json } from './client.js';
import { startHarness } from './fixture.js';

interface Document {
  readonly openapi: string;
  readonly paths: Readonly<
    Record<string, Readonly<Record<string, { summary?: string; responses: Record<string, unknown> }>>>
  >;
  readonly components: { readonly schemas: Readonly<Record<string, unknown>> };
}

t.test('every route is described, with the schema of its answer and of errors', async (t) => {
  const { admin, close } = await startHarness();
  t.teardown(close);
  const answer = await ask(`${admin.url}/openapi.json`);
  const document = json<Document>(answer);
  t.equal(document.openapi, '3.1.0');
  t.same(Object.keys(document.paths).sort(), [
    '/healthz',
    '/metrics',
    '/openapi.json',
    '/readyz',
    '/v1/capture',
    '/v1/channels',
    '/v1/channels/{id}',
    '/v1/channels/{id}/why',
    '/v1/config',
    '/v1/flows',
    '/v1/flows/{id}',
    '/v1/flows/{id}/receivers',
    '/v1/flows/{id}/receivers/{rid}',
    '/v1/gates',
    '/v1/history',
    '/v1/loops',
    '/v1/reload',
    '/v1/show',
    '/v1/show/{noun}',
    '/v1/sites/{id}/purge',
    '/v1/status',
    '/v1/stop',
    '/v1/subscribers/{id}/channels',
    '/v1/subscribers/{id}/channels/revoke',
    '/v1/viewers',
    '/v1/why/{noun}/{*}',
  ]);
  for (const [path, methods] of Object.entries(document.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      t.ok(operation.summary, `${method} ${path} has a summary`);
      t.ok(
        Object.keys(operation.responses).some((status) => status.startsWith('2')),
        `${method} ${path} has an answer`,
      );
    }
  }
  const references = [...answer.text.matchAll(/"\$ref":"([^"]+)"/g)].map((match) => match[1] ?? '');
  t.ok(references.length > 10);
  for (const reference of new Set(references)) {
    t.match(reference, /^#\/components\/schemas\//);
    t.ok(document.components.schemas[reference.slice('#/components/schemas/'.length)], reference);
  }
});
