/** Runs in a network namespace of its own (see ipv6.test.ts): viewers of IPv6 groups on a veth pair, told as one JSON line. */
import { readFileSync } from 'node:fs';
import { createLogger } from '../../daemon/base/log.js';
import { startDaemon } from '../../daemon/main.js';
import { parseSettings } from '../../daemon/settings.js';
import { until } from '../streams/edge.js';
import { LiveGroup } from './groups.js';
import { RawViewer } from './viewer.js';

const relay = { allow: ['ff15::/16', 'fd00::1@ff35::/16'], interface: 'd0', hold: '300ms' };
const settings = { admin: { listen: '127.0.0.1:0', socket: null }, http: { listen: ['127.0.0.1:0'], relay } };
const daemon = await startDaemon(parseSettings(JSON.stringify(settings), 'scene.yaml'), {
  log: createLogger({ level: 'error' }),
  version: '1.2.3',
});

/** The groups that are joined on the interface, those of the neighbour discovery aside. */
function joined(): string[] {
  const lines = readFileSync('/proc/net/igmp6', 'utf8').trim().split('\n');
  const groups = lines.map((line) => line.trim().split(/\s+/)).filter(([, name]) => name === 'd0');
  return groups
    .map(([, , group = '']) => group)
    .filter((group) => /^ff[13]5/.test(group))
    .toSorted();
}

const lives = [
  await LiveGroup.open({ address: 'ff15::1:1', port: 5000 }, true, 'fd00::1', '::%d0'),
  await LiveGroup.open({ address: 'ff35::8000:1', port: 5001 }, false, 'fd00::1', '::%d0'),
];
const targets = ['[ff15::1:1]:5000', '[FF15:0::1:1]:5000', '[fd00::1]@[ff35::8000:1]:5001', '[ff35::8000:1]:5001'];
const viewers = targets.map((target) => new RawViewer(`${daemon.viewersUrl}/udp/${target.replace('@', '%40')}`));
await until('all are answered', () => viewers.every(({ beginsWell, status }) => beginsWell || status >= 400));
const during = joined();
for (const viewer of viewers) viewer.close();
await until('the groups are left', () => joined().length === 0);
process.stdout.write(`${JSON.stringify({ statuses: viewers.map(({ status }) => status), during })}\n`);
for (const live of lives) live.end();
await daemon.close();
