import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { z } from 'zod';
import { ROOT } from '../../daemon/cli/root.js';
import { programBesideAddon } from '../../daemon/plane/addon.js';
import { temporaryFolder } from '../cli/lib/program.js';

const SCENE = join(ROOT, 'dist', 'test', 'membership', 'keeper-scene.js');
const LINK = `ip link set lo up && ip link add d0 type veth peer name d1 && ip addr add 10.0.2.1/24 dev d0 &&
ip link set d0 up && ip link set d1 up && exec "$@"`;

const life = z.object({
  routers: z.array(z.record(z.string(), z.unknown())),
  notKept: z.string(),
  resumed: z.boolean(),
  warned: z.boolean(),
});
const told = z.object({ code: z.string(), foreign: life, first: life, second: life, third: life });

const root = process.geteuid?.() === 0 && spawnSync('unshare', ['-n', 'ip', 'link']).status === 0;

test('a keeper of another user is given nothing, which is said and shown; ours hands over', {
  skip: root ? false : 'only root has another user at hand',
  timeout: 60_000,
}, (t) => {
  const folder = temporaryFolder(t);
  const program = join(folder, 'keeper');
  copyFileSync(programBesideAddon('sluice-keeper'), program);
  for (const path of [folder, program]) chmodSync(path, 0o755);
  const run = spawnSync('unshare', ['-n', 'sh', '-c', LINK, 'sh', process.execPath, SCENE, program], {
    encoding: 'utf8',
    timeout: 50_000,
  });
  t.equal(run.status, 0, run.stderr);
  const it = told.parse(JSON.parse(run.stdout));
  t.equal(it.code, 'KEEPER_FOREIGN');
  const row = { family: 'ipv4', table: 0, upstream: 'none', keeper: '@sluice-keeper' };
  t.match(it.foreign, { resumed: false, warned: true, notKept: '1' });
  t.match(it.foreign.routers, [{ ...row, not_kept: 1, problem: /^KEEPER_FOREIGN: @sluice-keeper: .* user 65534 / }]);
  t.match(it.first, { resumed: false, warned: false, notKept: '0' });
  t.match(it.first.routers, [{ ...row, not_kept: 0, problem: null }]);
  t.match(it.second, { resumed: true, warned: false, notKept: '0' });
  t.match(it.third, { resumed: false, warned: false, notKept: '0' }, 'what was taken away is not handed over');
  t.end();
});
