/**
 * Runs in a network namespace of its own (see keeper.test.ts): a program of another user stands where the keeper would; then it is
 * gone, and a daemon and the one after it go on with the same routes. Told as one JSON line.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { pino } from 'pino';
import { systemClock } from '../../daemon/base/clock.js';
import { describeError, SluiceError } from '../../daemon/base/errors.js';
import { Metrics } from '../../daemon/base/metrics.js';
import { Registry } from '../../daemon/base/registry.js';
import { LeaseBook } from '../../daemon/membership/lease-book.js';
import { MembershipService } from '../../daemon/membership/service.js';
import { openControlCapture } from '../../daemon/plane/control-capture.js';
import { ensureKeeper } from '../../daemon/plane/keeper.js';
import { createRouter } from '../../daemon/plane/router.js';
import { parseSettings } from '../../daemon/settings.js';

const NOBODY = 65_534;
const [program = ''] = process.argv.slice(2);
const PATH = '@sluice-keeper';

const settings = parseSettings(
  `
interfaces: [{ name: d0, hosts: {} }]
membership: { families: [ipv4], restart_grace: 1s }
`,
  'scene.yaml',
);

/** A daemon's life: what it says, shows and measures. */
async function live(withdraw = false) {
  const [lines, registry, metrics] = [[] as string[], new Registry(), new Metrics()];
  const log = pino({ level: 'info' }, { write: (line: string) => void lines.push(line) });
  const service = new MembershipService(settings, {
    ...{ registry, metrics, log, createRouter, ensureKeeper, openControlCapture },
    clock: systemClock,
    service: null,
    leases: new LeaseBook({ clock: systemClock, log, file: null }),
  });
  await service.start();
  const said = (text: string) => lines.some((line) => line.includes(text));
  while (!said('interface d0 is up')) await new Promise((resolve) => setTimeout(resolve, 5));
  const [routers, metered] = [(await registry.read('routers')).rows, await metrics.text()];
  service.stop(withdraw);
  return {
    routers,
    notKept: /sluice_membership_not_kept\{family="ipv4"\} (\d+)/.exec(metered)?.[1],
    resumed: said('of before the restart goes on'),
    warned: said('a restart will interrupt forwarding'),
  };
}

const squatter = spawn(program, [PATH, '8', '60'], { uid: NOBODY, gid: NOBODY, stdio: ['ignore', 'pipe', 'inherit'] });
await once(squatter.stdout, 'data');
const code = await ensureKeeper(PATH, 60_000).then(
  () => 'none',
  (error: unknown) => (error instanceof SluiceError ? error.code : describeError(error)),
);
const foreign = await live();
squatter.kill('SIGKILL');
await once(squatter, 'exit');
const first = await live();
const second = await live(true);
const third = await live(true);
process.stdout.write(JSON.stringify({ code, foreign, first, second, third }));
