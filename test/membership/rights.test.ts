import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'tap';
import { ROOT } from '../../daemon/cli/root.js';
import { namespaceFlags } from '../receive/namespace.js';

const SCENE = join(ROOT, 'dist', 'test', 'membership', 'rights-scene.js');

/** A router at d0; a host of the same kernel at d1, whose packets are taken all the same. */
const LINK = `ip link set lo up && ip link add d0 type veth peer name d1 &&
ip addr add 10.0.2.1/24 dev d0 && ip addr add 10.0.2.2/24 dev d1 && ip link set d0 up && ip link set d1 up &&
echo 1 > /proc/sys/net/ipv4/conf/all/accept_local && echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter &&
echo 0 > /proc/sys/net/ipv4/conf/d0/rp_filter && exec "$@"`;

const flags = namespaceFlags();
const skip = flags === undefined ? 'no network namespace with a veth pair can be made here' : false;

test('rights outlive a kill, and a reload cuts nothing that stays, and asks for what is new', {
  skip,
  timeout: 90_000,
}, async (t) => {
  const play = (...args: string[]) =>
    spawnSync('unshare', [flags ?? '', 'sh', '-c', LINK, 'sh', process.execPath, SCENE, ...args], {
      encoding: 'utf8',
      timeout: 80_000,
    });
  const folder = t.testdir();
  const killed = play(folder, 'killed');
  t.equal(killed.signal ?? killed.status, 'SIGKILL', killed.stderr);

  const run = play(folder);
  t.equal(run.status, 0, run.stderr);
  const rights = 'interface d0: other rights of its subscriber';
  t.match(JSON.parse(run.stdout), {
    afterKill: { leased: true, others: 0 },
    opened: [rights],
    closed: [rights],
    stays: { leased: true, fixed: true, later: false },
    spoken: ['interface d0: speaks otherwise'],
    staysToo: { leased: true, fixed: true, authorised: 3 },
    pim: { passive: false },
    renamed: [rights, 'the leases of flat-1 end'],
    other: { leased: false, fixed: true, authorised: 1 },
    revoked: true,
    metered:
      /sluice_membership_interface_refusals_total\{family="ipv4"\} 0.*sluice_membership_not_joined\{family="ipv4"\} 0/s,
    left: { version: 1, leases: [] },
  });
});
