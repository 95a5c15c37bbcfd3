// Flows by the admin API: what it takes, what it refuses and how. What becomes of packets: test/flows.
import t from 'tap';
import type { ErrorBody } from '../../daemon/admin/errors.js';
import type { FlowStatus, ReceiverStatus } from '../../daemon/flows/status.js';
import { FLOW_COUNTERS } from '../../daemon/plane/contract.js';
import { type Answer, ask, json } from './client.js';
import { startHarness } from './fixture.js';

const live = {
  id: 'live',
  input: 'rtp://239.1.1.9:5004',
  receivers: [{ id: 'one', to: '192.0.2.9:6000', dscp: 'EF' }],
};

function sendJson(url: string, method: string, body?: unknown): Promise<Answer> {
  const headers = body === undefined ? {} : { 'content-type': 'application/json' };
  return ask(url, { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
}

t.test('a flow by the API: created, seen, given receivers, ended', async (t) => {
  const { admin, close } = await startHarness();
  t.teardown(close);
  const url = `${admin.url}/v1/flows`;
  const made = await sendJson(url, 'POST', live);
  t.equal(made.status, 201);
  t.match(json(made), { id: 'live', origin: 'api', state: 'silent', receivers: 1, receiversOpen: 1 });
  const { flows } = json<{ flows: FlowStatus[] }>(await ask(url));
  t.same(
    flows.map(({ id, origin }) => [id, origin]),
    [
      ['studio-a', 'file'],
      ['live', 'api'],
    ],
  );
  t.equal(Object.keys(flows[0]?.counters ?? {}).length, FLOW_COUNTERS.length, 'the schema drops no counter');
  t.match(json(await ask(`${url}?busiest=1`)), { flows: [{ id: 'studio-a' }] });
  t.equal((await ask(`${url}?busiest=none`)).status, 400);
  t.match(json(await ask(`${url}/live`)), { input: 'rtp://239.1.1.9:5004', port: { packets: 0 } });

  const added = await sendJson(`${url}/live/receivers`, 'POST', {
    id: 'two',
    to: '[2001:db8::9]:6000',
    gate: 'closed',
  });
  t.match([added.status, json(added)], [201, { flow: 'live', added: 1 }]);
  const many = Array.from({ length: 9998 }, (_, n) => ({ id: `n${n}`, to: `10.0.${n >> 8}.${n & 255}:6000` }));
  t.match(json(await sendJson(`${url}/live/receivers`, 'POST', many)), { added: 9998 });
  const { receivers } = json<{ receivers: ReceiverStatus[] }>(await ask(`${url}/live/receivers`));
  t.equal(receivers.length, 10_000);
  t.match(receivers.slice(0, 2), [
    { id: 'one', dscp: 'EF' },
    { id: 'two', to: '[2001:db8::9]:6000', gate: 'closed' },
  ]);
  t.match(json(await sendJson(`${url}/live/receivers`, 'POST', { id: 'x', to: '192.0.2.1:1' })), {
    code: 'REQUEST_INVALID',
    message: /at most 10000/,
  });
  t.match(json(await sendJson(`${url}/live/receivers/n5`, 'DELETE')), { flow: 'live', receiver: 'n5' });
  t.match(json(await sendJson(`${url}/live`, 'DELETE')), { flow: 'live', receivers: 9999 });
  t.equal((await ask(`${url}/live`)).status, 404);
});

t.test('gates, one by one and in one step', async (t) => {
  const { admin, close } = await startHarness();
  t.teardown(close);
  const url = `${admin.url}/v1/flows`;
  await sendJson(url, 'POST', live);
  const one = await sendJson(`${url}/studio-a/receivers/r6000`, 'PATCH', { gate: 'closed' });
  t.match([one.status, json(one)], [200, { id: 'r6000', gate: 'closed', source: 'studio-a' }]);
  const order = { gate: 'open', source: 'live', prebuffer: '500ms' };
  t.match(json(await sendJson(`${url}/studio-a/receivers/r6000`, 'PATCH', order)), { gate: 'open', source: 'live' });
  const changes = [
    { receiver: 'studio-a/r6000', source: 'studio-a' },
    { receiver: 'live/one', gate: 'closed' },
  ];
  t.match(json(await sendJson(`${admin.url}/v1/gates`, 'POST', { changes })), { changed: 2 });
  t.match(json(await ask(`${url}/studio-a/receivers/r6000`)), { gate: 'open', source: 'studio-a' });
  t.match(json(await ask(`${url}/live/receivers/one`)), { gate: 'closed' });
});

t.test('what is refused, with status, code and place', async (t) => {
  const { admin, close } = await startHarness();
  t.teardown(close);
  const flows = '/v1/flows';
  const receivers = '/v1/flows/studio-a/receivers';
  const refused: [string, string, unknown, number, string, RegExp][] = [
    [flows, 'POST', { ...live, id: 'studio-a' }, 409, 'ID_TAKEN', /no other flow/],
    [flows, 'POST', { ...live, input: 'rtp://239.1.1.1:5004' }, 409, 'MATCH_TAKEN', /than flow studio-a/],
    [flows, 'POST', { ...live, receivers: [{ id: 'r', to: '239.1.1.9:5004' }] }, 409, 'FLOW_CYCLE', /lead back/],
    [flows, 'POST', { ...live, input: 'rtp://example:1' }, 400, 'REQUEST_INVALID', /^body\/input: expected rtp:/],
    [flows, 'POST', { ...live, recievers: [] }, 400, 'REQUEST_INVALID', /recievers/],
    [flows, 'POST', { id: 'live' }, 400, 'REQUEST_INVALID', /exactly one/],
    [flows, 'POST', [live], 400, 'REQUEST_INVALID', /object/],
    [`${flows}/studio-a`, 'DELETE', undefined, 409, 'IN_FILE', /configuration file/],
    [`${flows}/nobody`, 'DELETE', undefined, 404, 'NOT_FOUND', /no flow nobody/],
    [receivers, 'POST', { id: 'r6000', to: '192.0.2.9:1' }, 409, 'ID_TAKEN', /no other receiver/],
    [receivers, 'POST', { id: 'x', to: '192.0.2.7:6000' }, 400, 'REQUEST_INVALID', /twice/],
    [receivers, 'POST', [], 400, 'REQUEST_INVALID', /at least one/],
    [receivers, 'POST', [{ id: 'x', to: '192.0.2.9:1' }, { id: 'y' }], 400, 'REQUEST_INVALID', /^body\/1\/to: /],
    [`${receivers}/r6000`, 'DELETE', undefined, 409, 'IN_FILE', /configuration file/],
    [`${receivers}/nobody`, 'DELETE', undefined, 404, 'NOT_FOUND', /no receiver nobody/],
    [`${receivers}/nobody`, 'PATCH', { gate: 'open' }, 404, 'NOT_FOUND', /no receiver studio-a\/nobody/],
    [`${receivers}/r6000`, 'PATCH', { gate: 'ajar' }, 400, 'REQUEST_INVALID', /open or closed/],
    [`${receivers}/r6000`, 'PATCH', { source: 'nobody' }, 404, 'NOT_FOUND', /no flow nobody/],
    ['/v1/gates', 'POST', { changes: [] }, 400, 'REQUEST_INVALID', /at least one change/],
    ['/v1/gates', 'POST', { changes: [{ receiver: 'x' }] }, 400, 'REQUEST_INVALID', /FLOW\/RECEIVER/],
    ['/v1/gates', 'POST', undefined, 400, 'REQUEST_INVALID', /./],
  ];
  for (const [path, method, body, status, code, message] of refused) {
    const answer = await sendJson(`${admin.url}${path}`, method, body);
    t.match([answer.status, json<ErrorBody>(answer)], [status, { code, message }], `${method} ${path} ${code}`);
  }
  const { details } = json<ErrorBody>(await sendJson(`${admin.url}${receivers}`, 'POST', [{ id: 'x' }]));
  t.match(details, { issues: [{ at: '/0/to', says: /ADDRESS:PORT/ }] });
  t.match(json(await ask(`${admin.url}${flows}/studio-a`)), { receivers: 2, receiversOpen: 2 }, 'nothing was changed');
  t.match(await sendJson(`${admin.url}${flows}`, 'PUT', live), { status: 405, headers: { allow: 'GET, HEAD, POST' } });
});

t.test('a page of somebody else changes nothing', async (t) => {
  const { admin, close } = await startHarness();
  t.teardown(close);
  const headers = { 'content-type': 'application/json', origin: 'http://evil.example' };
  for (const [method, path] of [
    ['POST', '/v1/flows'],
    ['DELETE', '/v1/flows/studio-a'],
    ['PATCH', '/v1/flows/studio-a/receivers/r6000'],
    ['POST', '/v1/gates'],
  ] as const) {
    const body = method === 'DELETE' ? {} : { body: '{}' };
    t.equal((await ask(`${admin.url}${path}`, { method, headers, ...body })).status, 403, `${method} ${path}`);
  }
  const plain = await ask(`${admin.url}/v1/gates`, {
    method: 'POST',
    headers: { 'content-type': 'text/plain' },
    body: '{}',
  });
  t.equal(plain.status, 415);
});
