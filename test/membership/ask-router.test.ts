import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'tap';
import { z } from 'zod';
import { ROOT } from '../../daemon/cli/root.js';
import { namespaceFlags } from '../receive/namespace.js';

const SCENE = join(ROOT, 'dist', 'test', 'membership', 'ask-scene.js');
const row = z.record(z.string(), z.unknown());
const told = z.object({
  asked: z.array(row),
  steps: z.array(z.string()),
  restart: z.array(row),
  subscriber: row,
  why: z.array(z.string()),
  stays: z.boolean(),
  whyKept: z.array(z.string()),
  metered: z.string(),
  groups: z.array(row),
  trees: z.array(row),
  bsr: z.array(row),
  rps: z.array(row),
});

/** A router at d0; a host of the same kernel at d1, whose packets are taken all the same. */
const LINK = `ip link set lo up && ip link add d0 type veth peer name d1 &&
ip addr add 10.0.2.1/24 dev d0 && ip addr add 10.0.2.2/24 dev d1 && ip link set d0 up && ip link set d1 up &&
echo 1 > /proc/sys/net/ipv4/conf/all/accept_local && echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter &&
echo 0 > /proc/sys/net/ipv4/conf/d0/rp_filter && exec "$@"`;

const byGroup = (a: { readonly group?: unknown }, b: { readonly group?: unknown }): number =>
  String(a.group).localeCompare(String(b.group));

const flags = namespaceFlags();
const skip = flags === undefined ? 'no network namespace with a veth pair can be made here' : false;

test('a join is asked about, passes, is held for who comes back; what is kept and who tells rendezvous points is shown', {
  skip,
  timeout: 60_000,
}, async (t) => {
  const run = spawnSync('unshare', [flags ?? '', 'sh', '-c', LINK, 'sh', process.execPath, SCENE], {
    encoding: 'utf8',
    timeout: 50_000,
  });
  t.equal(run.status, 0, run.stderr);
  const it = told.parse(JSON.parse(run.stdout));
  const question = { subscriber: 'flat-1', interface: 'd0', host: '10.0.2.2', source: '10.0.9.9', family: 'ipv4' };
  t.same(
    it.asked
      .slice(0, 2)
      .map(({ group }) => group)
      .sort(),
    ['232.1.1.1', '232.1.1.2'],
  );
  t.match(it.asked[0], question);
  t.match(it.asked[2], { ...question, group: '232.1.1.1' }, 'taken away by order, it is asked about anew');
  t.match(it.subscriber, { authorised: 1, waiting: 1, asked: 2, refused: 1, ask_failed: 0 });
  t.match(it.why.join('\n'), /cause is at the operator.*was refused \(not booked\) \d+ s ago/s);
  t.match(it.metered, /sluice_membership_asks_total\{result="allowed"\} 1/);

  t.same(it.restart, []);
  t.same(it.steps, ['interface d0: speaks otherwise', 'membership.prejoin: 1 channels']);
  t.ok(it.stays, 'and nobody has to join anew');
  t.match(it.groups.toSorted(byGroup), [
    { group: '232.1.1.1', mode: 'held', sources: '10.0.9.9' },
    { group: '232.1.1.3', mode: 'prejoined', hosts: 0 },
    { group: '239.1.1.9', mode: 'static' },
  ]);
  t.match(it.trees.toSorted(byGroup), [
    { group: '232.1.1.1', joined: true, kept: 'held', outgoing: '' },
    { group: '232.1.1.3', joined: true, kept: 'prejoined', outgoing: '' },
  ]);
  t.match(it.whyKept.join('\n'), /held for those who come back/);

  t.match(it.bsr, [{ family: 'ipv4', bsr: '10.0.2.1', priority: 9, state: 'this router is elected' }]);
  t.match(it.rps, [
    { groups: '238.0.0.0/8', rp: '10.0.2.1', origin: 'static', bsr: null, this: true },
    { groups: '239.0.0.0/8', rp: '10.0.2.1', priority: 192, origin: 'bootstrap', bsr: '10.0.2.1', this: true },
  ]);
});
