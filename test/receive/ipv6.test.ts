import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'tap';
import { z } from 'zod';
import { ROOT } from '../../daemon/cli/root.js';
import { namespaceFlags, VETH_PAIR } from './namespace.js';

const SCENE = join(ROOT, 'dist', 'test', 'receive', 'ipv6-scene.js');
const counters = z.object({
  packets: z.number(),
  bytes: z.number(),
  rtpLost: z.number(),
  malformed: z.number(),
  continuityErrors: z.number(),
});
const told = z.object({ sent: z.number(), got: z.array(counters), bytes: z.number(), relayed: counters });

const flags = namespaceFlags();
const skip = flags === undefined ? 'no network namespace with a veth pair can be made here' : false;

test('IPv6 groups: any source, link-local scope, source-specific, and our own sender', {
  skip,
  timeout: 30_000,
}, async (t) => {
  const run = spawnSync('unshare', [flags ?? '', 'sh', '-c', VETH_PAIR, 'sh', process.execPath, SCENE], {
    encoding: 'utf8',
    timeout: 20_000,
  });
  t.equal(run.status, 0, run.stderr);
  const { sent, got, bytes, relayed } = told.parse(JSON.parse(run.stdout));
  const whole = { packets: sent, rtpLost: 0, malformed: 0, continuityErrors: 0 };
  t.match(got.slice(0, 3), [whole, whole, whole]);
  t.match(got[3], { packets: 0 }, 'a join for another source hears nothing');
  t.match(relayed, { rtpLost: 0, malformed: 0, continuityErrors: 0 });
  t.equal(
    relayed.bytes,
    bytes + 12 * relayed.packets,
    'our sender delivers every byte, each packet with its RTP header',
  );
});
