/**
 * Runs in a network namespace of its own (see rights.test.ts): a host at d1, a router at d0, and what becomes of rights when the daemon is
 * killed, told anew, and given another configuration. The argument is the folder for its state.
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { join } from 'node:path';
import { pino } from 'pino';
import { systemClock } from '../../daemon/base/clock.js';
import { Metrics } from '../../daemon/base/metrics.js';
import { Registry } from '../../daemon/base/registry.js';
import { LeaseBook, leaseFileSchema } from '../../daemon/membership/lease-book.js';
import { MembershipService } from '../../daemon/membership/service.js';
import { openControlCapture } from '../../daemon/plane/control-capture.js';
import { createRouter } from '../../daemon/plane/router.js';
import { parseSettings, type Settings } from '../../daemon/settings.js';
import { StateFile } from '../../daemon/store/state-file.js';

const [, , folder = '', killed] = process.argv;
const LEASED = { group: '239.1.1.1', source: null };
const FIXED = { group: '239.1.1.2', source: null };
const LATER = { group: '239.1.1.3', source: null };

const settings = (subscriber: string, hosts = '', more = ''): Settings =>
  parseSettings(
    `
interfaces: [{ name: d0, hosts: {${hosts}}, subscriber: ${subscriber}${more} }]
membership: { families: [ipv4], upstream: pim, keeper: none }
`,
    'scene.yaml',
  );
const log = pino({ level: 'silent' });
const file = new StateFile(join(folder, 'leases.json'), leaseFileSchema);
let now = settings('{ id: flat-1, hold: 0s }');
const metrics = new Metrics();
const service = new MembershipService(now, {
  registry: new Registry(),
  metrics,
  clock: systemClock,
  log,
  createRouter,
  openControlCapture,
  service: null,
  leases: new LeaseBook({ clock: systemClock, log, file }),
  ensureKeeper: () => Promise.resolve(),
});
await service.start();
const { router } = service;
if (router === null) throw new Error('no router');
const groupOf = ({ group }: { readonly group: string }) => router.groups(4).find((one) => one.group === group);
const admission = () => router.interfaces(4)[0]?.admission;

async function until(holds: () => boolean): Promise<void> {
  for (const end = Date.now() + 20_000; !holds(); ) {
    if (Date.now() > end) throw new Error(`it does not come about: ${holds.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

async function reload(next: Settings): Promise<string[]> {
  const { steps, restart = [] } = service.plan(now, next);
  for (const step of steps) await step.commit?.();
  now = next;
  return [...steps.map(({ says }) => says), ...restart.map(({ key }) => key)];
}

/** The group is the one that was there at this time, not one that has begun anew. */
function isSince(channel: { readonly group: string }, at: number): boolean {
  return (groupOf(channel)?.ageMs ?? 0) >= performance.now() - at;
}

await until(() => router.interfaces(4)[0]?.up === true);
if (killed === 'killed') {
  await service.authorise('flat-1', [{ ...LEASED, leaseMs: 3_600_000 }]);
  process.kill(process.pid, 'SIGKILL');
}

const host = createSocket({ type: 'udp4', reuseAddr: true });
host.bind(5000);
await once(host, 'listening');
for (const { group } of [LEASED, FIXED, LATER]) host.addMembership(group, '10.0.2.2');
await until(() => groupOf(LEASED) !== undefined && admission()?.denied['not-authorised'] !== 0);
const afterKill = { leased: groupOf(LEASED) !== undefined, others: router.groups(4).length - 1 };
const since = performance.now();

// Newly authorised after a denial: the host is asked, and says it again.
const opened = await reload(settings('{ id: flat-1, open: true }'));
await until(() => groupOf(FIXED) !== undefined && groupOf(LATER) !== undefined);
const fixedSince = performance.now();

const closed = await reload(settings('{ id: flat-1, hold: 0s, authorised: [{ group: 239.1.1.2 }] }'));
const stays = {
  leased: isSince(LEASED, since),
  fixed: isSince(FIXED, fixedSince),
  later: groupOf(LATER) !== undefined,
};
await service.authorise('flat-1', [{ ...LATER, leaseMs: null }]);
await until(() => groupOf(LATER) !== undefined);

const spoken = await reload(
  settings('{ id: flat-1, hold: 0s, authorised: [{ group: 239.1.1.2 }] }', 'query_interval: 60s', ', pim: {}'),
);
const staysToo = {
  leased: isSince(LEASED, since),
  fixed: isSince(FIXED, fixedSince),
  authorised: admission()?.authorised,
};
const pim = router.interfaces(4)[0]?.pim;

const renamed = await reload(
  settings('{ id: flat-2, hold: 0s, authorised: [{ group: 239.1.1.2 }] }', 'query_interval: 60s', ', pim: {}'),
);
const other = {
  leased: groupOf(LEASED) !== undefined,
  fixed: isSince(FIXED, fixedSince),
  authorised: admission()?.authorised,
};
await service.revoke('flat-2', [FIXED]);
const revoked = groupOf(FIXED) === undefined;
const metered = await metrics.text();
host.close();
service.stop(true);
process.stdout.write(
  JSON.stringify({
    afterKill,
    opened,
    closed,
    stays,
    spoken,
    staysToo,
    pim,
    renamed,
    other,
    revoked,
    metered,
    left: await file.read(),
  }),
);
