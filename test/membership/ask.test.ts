import type { ServerResponse } from 'node:http';
import { pino } from 'pino';
import { type Test, test } from 'tap';
import { ManualClock } from '../../daemon/base/clock.js';
import { SluiceError } from '../../daemon/base/errors.js';
import { Asking } from '../../daemon/membership/ask.js';
import { httpOperator, type Question } from '../../daemon/membership/operator.js';
import { type AskConfig, membershipSchema } from '../../daemon/membership/settings.js';
import { OperatorServer } from './operator-server.js';

const QUESTION: Question = {
  subscriber: 'flat-1',
  interface: 'eth1',
  host: '10.0.2.2',
  group: '232.1.1.1',
  source: '10.0.0.1',
};
const CHANNEL = { group: QUESTION.group, source: QUESTION.source };

function says(answer: unknown, status = 200): (response: ServerResponse) => void {
  return (response) => response.writeHead(status).end(typeof answer === 'string' ? answer : JSON.stringify(answer));
}

function settings(url: string, more: object = {}): AskConfig {
  const { ask } = membershipSchema.parse({ ask: { url, ...more } });
  if (ask === undefined) throw new Error('no ask');
  return ask;
}

async function serve(t: Test, answer: (response: ServerResponse, body: unknown) => void) {
  const server = new OperatorServer(answer);
  t.teardown(() => server.close());
  return { server, url: await server.listen() };
}

async function until(holds: () => boolean): Promise<void> {
  for (const end = Date.now() + 10_000; !holds(); ) {
    if (Date.now() > end) throw new Error('it does not come about');
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

test('the operator is asked in JSON, with the secret, and its answer is taken', async (t) => {
  const { server, url } = await serve(t, says({ allow: true, lease: '90s', more: 'of its own' }));
  const operator = httpOperator(settings(url, { secret: 'a-secret' }));
  t.teardown(() => operator.close());
  t.same(await operator.ask(QUESTION), { allow: true, lease: 90_000 });
  t.same(server.asked[0]?.body, { ...QUESTION, family: 'ipv4' });
  t.match(server.asked[0]?.headers, { authorization: 'Bearer a-secret', 'content-type': 'application/json' });
  await operator.ask({ ...QUESTION, host: null, group: 'ff3e::1', source: null });
  t.match(server.asked[1]?.body, { host: null, source: null, family: 'ipv6' });
});

test('what is no answer is a failure that says why; 403 and 404 refuse', async (t) => {
  const failures: readonly [(response: ServerResponse) => void, RegExp][] = [
    [says('no', 500), /status 500/],
    [says({ allow: true }, 302), /status 302/],
    [says('{"allow":'), /not JSON/],
    [says({ allow: 'yes' }), /not as it should be.*allow/s],
    [says({ allow: true, lease: 'long' }), /not as it should be.*lease/s],
    [says({ allow: true, reason: 'x'.repeat(20_000) }), /larger than 16384 bytes/],
    [() => {}, /no answer within 200 ms/],
    [(response) => void response.writeHead(200).write('{"allow"'), /no answer within 200 ms/],
    [(response) => response.destroy(), /socket hang up/],
  ];
  for (const [answer, why] of failures) {
    const { url } = await serve(t, answer);
    const operator = httpOperator(settings(url, { timeout: '200ms' }));
    const error = await operator.ask(QUESTION).then(
      () => null,
      (reason: unknown) => reason,
    );
    operator.close();
    t.ok(error instanceof SluiceError && error.code === 'ASK_FAILED', String(why));
    t.match((error as Error).message, why);
  }
  for (const status of [403, 404]) {
    const { url } = await serve(t, says('', status));
    const operator = httpOperator(settings(url));
    t.same(await operator.ask(QUESTION), { allow: false, reason: `status ${status}` });
    operator.close();
  }
});

/** Questions to a real server; what follows is noted. */
async function bed(t: Test, answer: (response: ServerResponse, body: unknown) => void, more: object = {}) {
  const { server, url } = await serve(t, answer);
  const clock = new ManualClock();
  const acts: unknown[] = [];
  const wanted = new Set<string>();
  const config = settings(url, more);
  const asking = new Asking(config, httpOperator(config), {
    clock,
    log: pino({ level: 'silent' }),
    acts: {
      authorise: (subscriber, leases) => acts.push(['authorise', subscriber, ...leases]),
      revoke: (subscriber, channels) => acts.push(['revoke', subscriber, ...channels]),
      wanted: () => (subscriber) => wanted.has(subscriber),
    },
  });
  t.teardown(() => asking.close());
  return { server, clock, acts, wanted, asking, idle: () => until(() => asking.waiting === 0) };
}

test('one question for many joins of one channel; the answer authorises it', async (t) => {
  const { server, asking, acts, idle } = await bed(t, says({ allow: true }));
  for (let host = 0; host < 100; host++) asking.held({ ...QUESTION, host: `10.0.2.${host}` });
  t.match(asking.about('232.1.1.1'), [{ state: 'waiting' }]);
  await idle();
  t.equal(server.asked.length, 1);
  t.same(acts, [['authorise', 'flat-1', { ...CHANNEL, leaseMs: 3_600_000 }]]);
  t.match(asking.about('232.1.1.1'), [{ state: 'allowed' }]);
  asking.held({ ...QUESTION, subscriber: 'flat-2' });
  asking.held({ ...QUESTION, source: null });
  await idle();
  t.equal(server.asked.length, 3, 'another subscriber, and another channel, are questions of their own');
});

test('a storm of joins that are refused is no storm of questions', async (t) => {
  const { server, asking, acts, clock, idle } = await bed(t, says({ allow: false, reason: 'not booked' }));
  asking.held(QUESTION);
  await idle();
  for (let i = 0; i < 1000; i++) asking.held(QUESTION);
  t.equal(server.asked.length, 1);
  t.same(asking.totals('flat-1'), { allowed: 0, refused: 1, failed: 0, known: 1000, dropped: 0 });
  t.match(asking.about('232.1.1.1'), [{ state: 'refused', says: 'not booked' }]);
  await clock.advance(10_000);
  asking.held(QUESTION);
  await idle();
  t.equal(server.asked.length, 2, 'later it is asked again');
  t.same(acts, []);
});

test('so many questions at a time, so many wait, and the rest is dropped', async (t) => {
  const waiting: ServerResponse[] = [];
  const { server, asking, idle } = await bed(t, (response) => waiting.push(response), {
    max_in_flight: 3,
    max_queued: 5,
    timeout: '60s',
  });
  for (let i = 1; i <= 20; i++) asking.held({ ...QUESTION, group: `232.1.2.${i}` });
  await until(() => waiting.length === 3);
  t.equal(asking.waiting, 8);
  t.equal(asking.totals().dropped, 12);
  for (let answered = 0; answered < 8; answered++) {
    await until(() => waiting.length > 0);
    const next = waiting.shift();
    if (next !== undefined) says({ allow: true })(next);
  }
  await idle();
  t.equal(server.asked.length, 8);
  t.equal(server.most, 3);
  t.equal(asking.totals('flat-1').allowed, 8);
  t.equal(asking.totals('flat-9').allowed, 0);
});

test('a lease that ends is asked about again before, as long as somebody wants the channel', async (t) => {
  let answer: unknown = { allow: true, lease: '100s' };
  const it = await bed(t, (response) => says(answer)(response));
  it.asking.held(QUESTION);
  await it.idle();
  it.wanted.add('flat-1');
  await it.clock.advance(74_000);
  t.equal(it.server.asked.length, 1);
  await it.clock.advance(1500);
  await it.idle();
  t.equal(it.server.asked.length, 2);
  t.equal(it.acts.length, 2, 'and goes on');
  answer = '';
  await it.clock.advance(76_000);
  await it.idle();
  t.equal(it.asking.totals().failed, 1);
  answer = { allow: false };
  await it.clock.advance(14_000);
  await it.idle();
  t.same(it.acts.at(-1), ['revoke', 'flat-1', CHANNEL], 'refused now: it ends at once');
  const asked = it.server.asked.length;
  await it.clock.advance(300_000);
  t.equal(it.server.asked.length, asked);

  answer = { allow: true, lease: '100s' };
  it.asking.held(QUESTION);
  await it.idle();
  it.wanted.clear();
  await it.clock.advance(300_000);
  t.equal(it.server.asked.length, asked + 1, 'nobody wants it: it lapses');
  it.asking.held(QUESTION);
  await it.idle();
  it.wanted.add('flat-1');
  it.asking.forget('flat-1', [CHANNEL]);
  await it.clock.advance(300_000);
  t.equal(it.server.asked.length, asked + 2, 'somebody else has decided');
});

test('an order that comes between question and answer holds', async (t) => {
  const waiting: ServerResponse[] = [];
  const it = await bed(t, (response) => waiting.push(response), { max_in_flight: 1, timeout: '60s' });
  it.asking.held(QUESTION);
  it.asking.held({ ...QUESTION, source: null });
  await until(() => waiting.length === 1);
  it.asking.forget('flat-1', [CHANNEL, { ...CHANNEL, source: null }]);
  t.equal(it.asking.waiting, 1, 'what is not asked yet never is');
  const first = waiting.shift();
  if (first !== undefined) says({ allow: true })(first);
  await it.idle();
  t.same(it.acts, []);
  t.same(it.asking.about(QUESTION.group), []);
  it.asking.held(QUESTION);
  await until(() => waiting.length === 1);
  const second = waiting.shift();
  if (second !== undefined) says({ allow: true })(second);
  await it.idle();
  t.equal(it.acts.length, 1);
});

test('another system may be named meanwhile; what was closed acts no more', async (t) => {
  const stuck = await bed(t, () => {}, { timeout: '60s' });
  const { server, url } = await serve(t, says({ allow: true }));
  stuck.asking.held(QUESTION);
  await until(() => stuck.server.asked.length === 1);
  const config = settings(url);
  stuck.asking.configure(config, httpOperator(config));
  await stuck.idle();
  t.equal(stuck.asking.totals().failed, 1);
  stuck.asking.held(QUESTION);
  await stuck.idle();
  t.equal(server.asked.length, 1);
  t.equal(stuck.acts.length, 1);
  stuck.asking.held({ ...QUESTION, source: null });
  stuck.asking.close();
  await until(() => stuck.server.open === 0);
  t.equal(stuck.acts.length, 1);
});
