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
