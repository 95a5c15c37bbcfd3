/**
 * Runs in a network namespace of its own (see ask-router.test.ts): a host at d1 joins what only the operator's system knows to be
 * allowed, at a router at d0; told as one JSON line.
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { pino } from 'pino';
import { systemClock } from '../../daemon/base/clock.js';
import { Metrics } from '../../daemon/base/metrics.js';
import { Registry } from '../../daemon/base/registry.js';
import { LeaseBook } from '../../daemon/membership/lease-book.js';
import { MembershipService } from '../../daemon/membership/service.js';
import { openControlCapture } from '../../daemon/plane/control-capture.js';
import { createRouter } from '../../daemon/plane/router.js';
import { parseSettings } from '../../daemon/settings.js';
import { OperatorServer } from './operator-server.js';

const ALLOWED = '232.1.1.1';
const REFUSED = '232.1.1.2';
const SOURCE = '10.0.9.9';

const operator = new OperatorServer((response, body) => {
  const allow = (body as { group: string }).group === ALLOWED;
  response.end(JSON.stringify(allow ? { allow, lease: '1h' } : { allow, reason: 'not booked' }));
});
const url = await operator.listen();
const settings = (prejoin: string, hosts = '') =>
  parseSettings(
    `
interfaces: [{ name: d0, hosts: {${hosts}}, subscriber: { id: flat-1, hold: 30s } }]
membership:
  families: [ipv4]
  upstream: pim
  keeper: none
  leave_hold: 30s
  ask: { url: "${url}" }
  candidate_rp: [{ address: 10.0.2.1, groups: [239.0.0.0/8] }]
  candidate_bsr: [{ address: 10.0.2.1, priority: 9 }]
  rendezvous_points: [{ address: 10.0.2.1, groups: 238.0.0.0/8 }]
  prejoin: [${prejoin}]
`,
    'scene.yaml',
  );
const first = settings('');
const registry = new Registry();
const metrics = new Metrics();
const service = new MembershipService(first, {
  registry,
  metrics,
  clock: systemClock,
  log: pino({ level: 'silent' }),
  createRouter,
  openControlCapture,
  service: null,
  leases: new LeaseBook({ clock: systemClock, log: pino({ level: 'silent' }), file: null }),
  ensureKeeper: () => Promise.resolve(),
});
await service.start();
const { router } = service;
if (router === null) throw new Error('no router');

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 20_000; !(await holds()); ) {
    if (Date.now() > end) throw new Error(`it does not come about: ${(await registry.why('group', ALLOWED))?.join()}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const host = createSocket({ type: 'udp4', reuseAddr: true });
host.bind(5000);
await once(host, 'listening');
const has = (group: string) => router.groups(4).some((one) => one.group === group);
await until(() => router.interfaces(4)[0]?.up === true);
host.addSourceSpecificMembership(SOURCE, ALLOWED, '10.0.2.2');
host.addSourceSpecificMembership(SOURCE, REFUSED, '10.0.2.2');
await until(() => has(ALLOWED) && operator.asked.length === 2);

const rows = async (noun: string) => (await registry.read(noun)).rows;
await until(async () => (await rows('subscribers'))[0]?.['refused'] === 1);
const [subscriber] = await rows('subscribers');
const why = await registry.why('group', REFUSED);
const metered = await metrics.text();

const next = settings(
  `{ group: 232.1.1.3, source: ${SOURCE} }`,
  ` query_interval: 60s, static: [{ group: 239.1.1.9 }] `,
);
const { steps, restart } = service.plan(first, next);
for (const step of steps) await step.commit?.();
const stays = has(ALLOWED) && has('239.1.1.9');
host.dropSourceSpecificMembership(SOURCE, ALLOWED, '10.0.2.2');
await until(() => !has(ALLOWED) && router.kept(4).length === 2);
const groups = await rows('groups');
const trees = await rows('trees');
const whyKept = await registry.why('group', ALLOWED);

// A bootstrap router waits for others first (RFC 5059 section 5), and then for candidates.
await until(() => router.rps(4)?.rps.length === 2);
const bsr = await rows('bsr');
const rps = await rows('rps');

await service.revoke('flat-1', [{ group: ALLOWED, source: SOURCE }]);
host.addSourceSpecificMembership(SOURCE, ALLOWED, '10.0.2.2');
await until(() => operator.asked.length === 3);
host.close();
service.stop(true);
operator.close();
process.stdout.write(
  JSON.stringify({
    asked: operator.asked.map(({ body }) => body),
    steps: steps.map(({ says }) => says),
    ...{ subscriber, why, metered, restart, groups, trees, stays, whyKept, bsr, rps },
  }),
);
