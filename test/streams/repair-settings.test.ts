import { test } from 'tap';
import {
  repairOptionsOf,
  repairSchema,
  retransmissionOptionsOf,
  retransmissionSchema,
} from '../../daemon/streams/repair-settings.js';

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
