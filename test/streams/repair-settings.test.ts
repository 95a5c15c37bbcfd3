import { test } from 'tap';
import {
  announcedFec,
  repairOptionsOf,
  repairPolicySchema,
  repairSchema,
  retransmissionOptionsOf,
  retransmissionSchema,
} from '../../daemon/streams/repair-settings.js';
import { channelsSchema } from '../../daemon/streams/settings.js';

const ADDRESS = '192.0.2.1';

/** What is wrong, as `path: sentence`. */
function problems(schema: typeof retransmissionSchema | typeof repairSchema, value: unknown): string[] {
  const { error } = schema.safeParse(value);
  return (error?.issues ?? []).map(({ path, message }) => `${path.join('.')}: ${message}`);
}

test('a retransmission server answers somebody: who is allowed, or who shows a token', async (t) => {
  t.match(problems(retransmissionSchema, { address: ADDRESS }), [/^allow: expected at least one prefix.* or tokens/]);
  t.match(problems(retransmissionSchema, { address: ADDRESS, allow: [] }), [/^allow: /]);
  const allowed = retransmissionSchema.parse({ address: ADDRESS, allow: ['192.0.2.0/24'] });
  t.match(retransmissionOptionsOf(allowed, 5000, 0), { port: 5008, allow: ['192.0.2.0/24'], tokenLifetimeMs: null });
  const anybody = retransmissionSchema.parse({ address: ADDRESS, tokens: {} });
  t.match(retransmissionOptionsOf(anybody, 5000, 0), { allow: [], tokenLifetimeMs: 3_600_000 });
});

test('after three have asked for a packet all get it, after none where it is 0', async (t) => {
  const server = { address: ADDRESS, tokens: {} };
  t.match(retransmissionOptionsOf(retransmissionSchema.parse(server), 5000, 0), { multicastAfter: 3, holdMs: 100 });
  const never = retransmissionSchema.parse({ ...server, multicast_after: 0, multicast_hold: '1s' });
  t.match(retransmissionOptionsOf(never, 5000, 0), { multicastAfter: 0, holdMs: 1000 });
  t.match(problems(retransmissionSchema, { ...server, multicast_after: 17 }), [/^multicast_after: /]);
});

test('a policy takes the place of codes, and needs those that report', async (t) => {
  const retransmission = { address: ADDRESS, allow: ['192.0.2.0/24'] };
  const of = (more: object): string[] => {
    const multicast = { address: '239.1.1.1', port: 5000, repair_policy: {}, ...more };
    const renditions = [{ id: 'main', url: 'udp://239.9.9.9:9000', multicast }];
    const { error } = channelsSchema.safeParse([{ id: 'news', renditions }]);
    return (error?.issues ?? []).map(({ path, message }) => `${path.slice(3).join('.')}: ${message}`);
  };
  t.strictSame(of({ retransmission }), []);
  t.match(of({}), [/^multicast.repair_policy: expected retransmission/]);
  t.match(of({ retransmission, fec: {} }), [/^multicast.repair_policy: expected neither/]);
  t.match(of({ retransmission, reed_solomon: {} }), [/^multicast.repair_policy: expected neither/]);
  t.match(of({ retransmission, repair_policy: { residual: 2 } }), [/^multicast.repair_policy.residual: /]);
  t.match(of({ retransmission, repair_policy: { codes: ['none'] } }), [/^multicast.repair_policy.codes.0: /]);
});

test('a description announces all that a policy may choose', async (t) => {
  const announced = (codes?: string[]): ReturnType<typeof announcedFec> =>
    announcedFec(repairPolicySchema.parse({ codes }));
  t.match(announced(), { parity: { rowParity: true }, block: { source: 185, repair: 54 }, payloadType: 96 });
  t.match(announced(['columns']), { parity: { rowParity: false }, block: null });
  t.match(announced(['block']), { parity: null });
  t.equal(announced([]), null);
});

test('tokens are good for whole seconds, one to a day', async (t) => {
  const of = (lifetime: string): string[] => problems(retransmissionSchema, { address: ADDRESS, tokens: { lifetime } });
  t.strictSame([of('1s'), of('24h')], [[], []]);
  for (const wrong of ['999ms', '1500ms', '25h']) t.match(of(wrong), [/^tokens.lifetime: expected/], wrong);
});

test('a receiver gets a token where it asks for packets', async (t) => {
  t.match(problems(repairSchema, { tokens: true }), [/^tokens: expected retransmission/]);
  const both = repairSchema.parse({ tokens: true, retransmission: '192.0.2.1:5008' });
  t.match(repairOptionsOf(both), { tokens: true, feedback: { address: ADDRESS, port: 5008 } });
  t.match(repairOptionsOf(repairSchema.parse({})), { tokens: false, feedback: null });
});

test('what is left is fetched from an HTTP URL, when its way is known', async (t) => {
  for (const wrong of ['192.0.2.1:8080', 'rtp://239.1.1.1:5000', 'http://192.0.2.1/a#b', 'file:///a'])
    t.match(problems(repairSchema, { range: wrong }), [/^range: expected an http/], wrong);
  const config = repairSchema.parse({ range: 'http://192.0.2.1:8080/live/news/main.rtp' });
  const way = {
    address: ADDRESS,
    port: 8080,
    tls: null,
    host: '192.0.2.1:8080',
    target: '/live/news/main.rtp',
    headers: {},
  };
  t.match(repairOptionsOf(config, way), { range: way });
  t.match(repairOptionsOf(config), { range: null });
});
