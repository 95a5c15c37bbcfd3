import { writeFileSync } from 'node:fs';
import type { Host } from '../lib/host.js';
import { poll } from '../lib/poll.js';
import type { Child } from '../lib/process.js';
import { need } from '../lib/tools.js';

export interface StaticRoute {
  readonly from: string;
  readonly source: string;
  /** Group or groups with a prefix length. */
  readonly group: string;
  readonly to: string;
}

/** A join of the router's own. */
export interface StaticJoin {
  readonly on: string;
  readonly group: string;
  readonly source: string;
}

/** smcrouted with static multicast routes; resolves when the kernel has them. */
export async function startSmcroute(
  router: Host,
  routes: readonly StaticRoute[],
  joins: readonly StaticJoin[] = [],
): Promise<Child> {
  need('smcrouted');
  const { lab, name } = router;
  const devices = [...new Set(routes.flatMap(({ from, to }) => [from, to]))];
  const lines = [
    ...devices.map((device) => `phyint ${device} enable`),
    ...joins.map(({ on, source, group }) => `mgroup from ${on} source ${source} group ${group}`),
    ...routes.map(({ from, source, group, to }) => `mroute from ${from} source ${source} group ${group} to ${to}`),
  ];
  const file = lab.file(`${name}-smcroute.conf`);
  writeFileSync(file, `${lines.join('\n')}\n`);
  const own = ['-i', name, '-P', lab.file(`${name}-smcroute.pid`), '-u', lab.file(`${name}-smcroute.sock`)];
  const child = await router.spawn('smcrouted', ['smcrouted', '-n', '-N', '-l', 'info', '-f', file, ...own]);
  const installed = async (): Promise<boolean> => {
    if (!child.running) throw new Error(`smcrouted ended: ${child.tail()}`);
    const { stdout } = await router.must(['ip', 'mroute', 'show']);
    return routes.every(({ group }) => stdout.includes(group));
  };
  await poll(installed, 10_000, () => `smcrouted's routes: ${child.tail()}`, 100);
  return child;
}
