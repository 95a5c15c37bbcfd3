import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'tap';
import { ROOT } from '../../daemon/cli/root.js';
import { namespaceFlags, VETH_PAIR } from '../receive/namespace.js';

const SCENE = join(ROOT, 'dist', 'test', 'relay', 'ipv6-scene.js');
const flags = namespaceFlags();
const skip = flags === undefined ? 'no network namespace with a veth pair can be made here' : false;

test('IPv6 groups are joined, shared however they are written, and left', { skip, timeout: 120_000 }, async (t) => {
  const run = spawnSync('unshare', [flags ?? '', 'sh', '-c', VETH_PAIR, 'sh', process.execPath, SCENE], {
    encoding: 'utf8',
    timeout: 100_000,
  });
  t.equal(run.status, 0, run.stderr);
  t.same(JSON.parse(run.stdout), {
    statuses: [200, 200, 200, 403],
    during: ['ff150000000000000000000000010001', 'ff350000000000000000000080000001'],
  });
});
