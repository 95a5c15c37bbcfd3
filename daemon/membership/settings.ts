/** What an operator can set of group membership and multicast routing. */
import { BlockList, isIP } from 'node:net';
import { z } from 'zod';
import {
  addressPrefix,
  duration,
  id,
  integer,
  interfaceName,
  ipAddress,
  isMulticast,
  multicastAddress,
} from '../config/units.js';
import { leaseDuration } from './lease.js';

const KEEPER_SOCKET = 'expected an absolute path, or @ and a name of letters, digits, dots and hyphens';
const SECOND = 1000;
const HOUR = 3_600_000;

/** Prefixes within 224.0.0.0/4 or ff00::/8. */
const groupPrefix = addressPrefix.refine(
  (text) => {
    const [address = '', bits] = text.split('/', 2);
    return isMulticast(address) && Number(bits ?? 128) >= (isIP(address) === 6 ? 8 : 4);
  },
  { error: 'expected groups: a prefix within 224.0.0.0/4 or ff00::/8' },
);

export const sameFamily = (a: string, b: string | undefined): boolean =>
  b === undefined || a.includes(':') === b.includes(':');
export const ONE_FAMILY = { error: 'expected addresses of one family' };

export const channelShape = {
  group: multicastAddress.describe('The group.'),
  source: ipAddress.optional().describe('Only of this source (SSM); of any when absent.'),
};

/** A group, of one source or of any. */
export const channelSchema = z
  .strictObject(channelShape)
  .refine(({ group, source }) => sameFamily(group, source), ONE_FAMILY);

const rangeSchema = z
  .strictObject({
    groups: groupPrefix.describe('Groups that hosts may ask for.'),
    sources: addressPrefix.optional().describe('Only of these sources; of any, or of none named, when absent.'),
  })
  .refine(({ groups, sources }) => sameFamily(groups, sources), ONE_FAMILY);

const hostsSchema = z
  .strictObject({
    igmp: integer({ min: 1, max: 3 })
      .default(3)
      .describe('Version of the queries. Hosts of older versions are served in any case.'),
    mld: integer({ min: 1, max: 2 }).default(2).describe('The same of MLD.'),
    robustness: integer({ min: 1, max: 7 }).default(2).describe('How many lost packets less one are borne.'),
    query_interval: duration({ min: SECOND, max: HOUR })
      .default(125 * SECOND)
      .describe('Between general queries.'),
    query_response: duration({ min: 100, max: 3174 * SECOND })
      .default(10 * SECOND)
      .describe('Within what time hosts answer them.'),
    last_member_interval: duration({ min: 100, max: 25 * SECOND })
      .default(SECOND)
      .describe('Between the queries that a leave leads to, and within what time they are answered.'),
    last_member_count: integer({ min: 1, max: 7 }).default(2).describe('How many such queries.'),
    immediate_leave: z
      .enum(['off', 'tracked', 'always'])
      .default('tracked')
      .describe(
        'A group ends with its last member at once: tracked where every host is known, always whoever else may be there.',
      ),
    lenient: z.boolean().default(false).describe('Messages without the router alert option count, too.'),
    forward: z
      .enum(['querier', 'always'])
      .default('querier')
      .describe(
        'Without PIM only the querier of a link forwards there (RFC 4605), so that of two routers one does; always: where a switch asks.',
      ),
    static: z.array(channelSchema).max(10_000).default([]).describe('Forwarded whether hosts ask for it or not.'),
  })
  .refine((hosts) => hosts.query_response < hosts.query_interval, {
    error: 'expected a query_response below query_interval',
    path: ['query_response'],
  });

const subscriberSchema = z.strictObject({
  id: id.describe('Who is behind this interface; a copy sent there reaches everybody on it.'),
  open: z.boolean().default(false).describe('Everything allowed may be received; else only what is authorised.'),
  allow: z.array(rangeSchema).max(1000).default([]).describe('What may be asked for at all; everything when empty.'),
  authorised: z
    .array(channelSchema)
    .max(10_000)
    .default([])
    .describe('Authorised for good; leases come by the admin API.'),
  max_groups: integer({ min: 0, max: 1_000_000 }).default(0).describe('At a time; 0: no limit.'),
  joins_per_second: integer({ min: 0, max: 1_000_000 }).default(0).describe('New ones; 0: no limit.'),
  burst: integer({ min: 0, max: 1_000_000 }).default(0).describe('New ones at once; 0: as many as in a second.'),
  hold: duration({ min: 0, max: 60 * SECOND })
    .default(2 * SECOND)
    .describe('A join waits so long to be authorised; then it is dropped.'),
  max_held: integer({ min: 0, max: 100_000 }).default(64).describe('Joins that wait at a time.'),
});

const pimInterfaceSchema = z.strictObject({
  dr_priority: integer({ min: 0, max: 4_294_967_295 }).default(1).describe('The highest is the designated router.'),
  hello_interval: duration({ min: SECOND, max: 18_724 * SECOND }).default(30 * SECOND),
  join_interval: duration({ min: SECOND, max: 18_724 * SECOND }).default(60 * SECOND),
  propagation_delay: duration({ min: 0, max: 32_767 }).default(500).describe('Of LAN prune delay.'),
  override_interval: duration({ min: 0, max: 32_767 }).default(2500).describe('Of LAN prune delay.'),
  bootstrap: z
    .boolean()
    .default(true)
    .describe("Bootstrap messages come and go there; not at the border of the bootstrap router's domain."),
});

const interfaceSchema = z.strictObject({
  name: interfaceName.describe('Network device; it may come later.'),
  hosts: hostsSchema
    .nullable()
    .default(null)
    .describe('Hosts there are asked what they want (IGMP and MLD); `{}` with the defaults.'),
  pim: pimInterfaceSchema.nullable().default(null).describe('PIM is spoken there; `{}` with the defaults.'),
  subscriber: subscriberSchema
    .nullable()
    .default(null)
    .describe('Who may receive what there; everything for everybody when absent.'),
});

/** `interfaces:` of the configuration. */
export const interfacesSchema = z
  .array(interfaceSchema)
  .max(1000)
  .default([])
  .superRefine((interfaces, context) => {
    const twice = (of: (one: InterfaceConfig) => string | undefined, path: string[], what: string): void => {
      const seen = new Set<string>();
      for (const [at, one] of interfaces.entries()) {
        const value = of(one);
        if (value === undefined) continue;
        if (seen.has(value))
          context.addIssue({
            code: 'custom',
            path: [at, ...path],
            message: `expected ${what} of its own, got ${value}`,
          });
        seen.add(value);
      }
    };
    twice(({ name }) => name, ['name'], 'a name');
    twice(({ subscriber }) => subscriber?.id, ['subscriber', 'id'], 'an id');
  });

export type InterfaceConfig = Readonly<z.output<typeof interfaceSchema>>;

const rpSchema = z
  .strictObject({
    address: ipAddress.describe('Of the rendezvous point.'),
    groups: groupPrefix.describe('The groups that it is for.'),
  })
  .refine(({ address, groups }) => sameFamily(address, groups), ONE_FAMILY);

const ASK_URL = 'expected an http:// or https:// URL without user information, such as https://aaa.example/joins';

const askSchema = z.strictObject({
  url: z
    .string({ error: ASK_URL })
    .max(4096)
    .transform((text, context): URL => {
      const url = URL.canParse(text) ? new URL(text) : undefined;
      if (url !== undefined && ['http:', 'https:'].includes(url.protocol) && url.hostname !== '' && url.username === '')
        return url;
      context.issues.push({ code: 'custom', message: ASK_URL, input: text });
      return z.NEVER;
    })
    .describe('Each join that waits is POSTed there.'),
  secret: z
    .string({ error: 'expected a text' })
    .regex(/^[!-~]{1,1024}$/, { error: 'expected 1 to 1024 printable characters without spaces' })
    .optional()
    .describe('Sent as "Authorization: Bearer SECRET".'),
  timeout: duration({ min: 10, max: 60 * SECOND })
    .default(SECOND)
    .describe('Until the whole answer is there; below the hold of subscribers, or nobody is let in by it at once.'),
  max_in_flight: integer({ min: 1, max: 1000 }).default(32).describe('Questions, and connections, at a time.'),
  max_queued: integer({ min: 1, max: 100_000 }).default(1000).describe('More that wait; beyond, they are dropped.'),
  lease: leaseDuration.default(HOUR).describe('How long an answer that does not say holds.'),
  refusal: duration({ min: 0, max: HOUR })
    .default(10 * SECOND)
    .describe('For so long what was refused is not asked about again.'),
});

export type AskConfig = Readonly<z.output<typeof askSchema>>;

/** Groups that PIM has no shared tree for: these, or of each family without any those of RFC 4607. */
function sourceSpecific(prefixes: readonly string[]): BlockList {
  const all = [
    ...prefixes,
    ...(prefixes.some((one) => !one.includes(':')) ? [] : ['232.0.0.0/8']),
    ...(prefixes.some((one) => one.includes(':')) ? [] : Array.from('0123456789abcdef', (scope) => `ff3${scope}::/32`)),
  ];
  const list = new BlockList();
  for (const one of all) {
    const [address = '', bits] = one.split('/', 2);
    const isLong = address.includes(':');
    list.addSubnet(address, Number(bits ?? (isLong ? 128 : 32)), isLong ? 'ipv6' : 'ipv4');
  }
  return list;
}

/** One of each family at most. */
const onePerFamily = (list: readonly { readonly address: string }[]): boolean =>
  new Set(list.map(({ address }) => address.includes(':'))).size === list.length;
const ONE_PER_FAMILY = { error: 'expected one of each family at most' };

const bsrSchema = z
  .strictObject({
    address: ipAddress.describe('Of this router, which all of the domain reach; of its loopback, for example.'),
    priority: integer({ min: 0, max: 255 }).default(64).describe('The highest is elected.'),
    hash_mask_length: integer({ min: 0, max: 128 })
      .optional()
      .describe('Groups that are alike so far have the same rendezvous point; 30 of IPv4, 126 of IPv6 when absent.'),
    interval: duration({ min: 10 * SECOND, max: HOUR })
      .default(60 * SECOND)
      .describe('Between its messages, once elected.'),
  })
  .refine(({ address, hash_mask_length: bits }) => address.includes(':') || (bits ?? 0) <= 32, {
    error: 'expected 0 to 32 for IPv4',
    path: ['hash_mask_length'],
  });

const candidateRpSchema = z
  .strictObject({
    address: ipAddress.describe('Of this router, which all of the domain reach; of its loopback, for example.'),
    groups: z
      .array(groupPrefix)
      .min(1, { error: 'expected at least one prefix of groups' })
      .max(100)
      .describe('What it would serve.'),
    priority: integer({ min: 0, max: 255 }).default(192).describe('The lowest serves.'),
    interval: duration({ min: SECOND, max: HOUR })
      .default(60 * SECOND)
      .describe('Between its offers; each is good for 2.5 times as long.'),
  })
  .refine(({ address, groups }) => groups.every((one) => sameFamily(address, one)), ONE_FAMILY);

/** `membership:` of the configuration. */
export const membershipSchema = z
  .strictObject({
    families: z
      .array(z.enum(['ipv4', 'ipv6']))
      .min(1)
      .default(['ipv4', 'ipv6'])
      .describe('Which are routed.'),
    upstream: z
      .enum(['none', 'proxy', 'pim'])
      .default('none')
      .describe(
        'How what hosts want is asked for above: not at all (sources are on our links), as one host would (RFC 4605), or by PIM.',
      ),
    proxy_interface: interfaceName.optional().describe('Of upstream: proxy: towards the querier above.'),
    rendezvous_points: z.array(rpSchema).max(1000).default([]).describe('Static ones.'),
    candidate_bsr: z
      .array(bsrSchema)
      .refine(onePerFamily, ONE_PER_FAMILY)
      .default([])
      .describe(
        'This router would be the bootstrap router, who tells all of the domain the rendezvous points (RFC 5059).',
      ),
    candidate_rp: z
      .array(candidateRpSchema)
      .refine(onePerFamily, ONE_PER_FAMILY)
      .default([])
      .describe('This router offers the bootstrap router to be a rendezvous point.'),
    ssm: z
      .array(groupPrefix)
      .max(100)
      .default([])
      .describe('Source-specific groups; 232.0.0.0/8 and ff3x::/32 when empty.'),
    spt_switch: z.boolean().default(true).describe("A source's own tree is joined with its first packet; else never."),
    leave_hold: duration({ min: 0, max: HOUR })
      .default(0)
      .describe('A group that nobody wants any more stays joined above for so long, for those who come back.'),
    prejoin: z
      .array(channelSchema)
      .max(10_000)
      .default([])
      .describe('Joined above before anybody asks, so that it is there at once.'),
    ask: askSchema
      .optional()
      .describe("Joins that are not authorised are asked about: at the operator's own system, while they wait."),
    table: integer({ min: 0, max: 99_999_999 })
      .default(0)
      .describe("Multicast routing table; 0 is the kernel's own, another lives beside another routing daemon."),
    max_routes: integer({ min: 1, max: 1_000_000 }).default(100_000),
    idle: duration({ min: SECOND, max: HOUR })
      .default(60 * SECOND)
      .describe('Routes that lead nowhere go when no packets have come for so long.'),
    keeper: z
      .enum(['auto', 'process', 'none'])
      .default('auto')
      .describe(
        'Who keeps forwarding alive over a restart: the service manager where there is one, else a small process; none: it ends with the daemon.',
      ),
    keeper_socket: z
      .string({ error: KEEPER_SOCKET })
      .regex(/^(@[\w.-]{1,90}|\/[^\0]{1,100})$/, { error: KEEPER_SOCKET })
      .default('@sluice-keeper')
      .describe('Where that process listens; a name with @ is of the network namespace.'),
    restart_grace: duration({ min: 0, max: HOUR })
      .default(130 * SECOND)
      .describe('After a restart what was forwarded goes on for so long without having been asked for again.'),
  })
  .refine(({ upstream, proxy_interface }) => upstream !== 'proxy' || proxy_interface !== undefined, {
    error: 'expected the interface towards the querier above, because of upstream: proxy',
    path: ['proxy_interface'],
  })
  .refine(({ upstream, prejoin }) => upstream !== 'none' || prejoin.length === 0, {
    error: 'expected upstream: pim or proxy beside it: with none there is nobody above to join at',
    path: ['prejoin'],
  })
  .superRefine(({ upstream, prejoin, ssm }, context) => {
    if (upstream !== 'pim') return;
    const specific = sourceSpecific(ssm);
    for (const [at, { group, source }] of prejoin.entries())
      if (source === undefined && specific.check(group, isIP(group) === 6 ? 'ipv6' : 'ipv4'))
        context.addIssue({
          code: 'custom',
          path: ['prejoin', at],
          message: `expected a source beside it: ${group} is source-specific`,
        });
  })
  .superRefine(({ upstream, candidate_bsr, candidate_rp }, context) => {
    for (const [key, list] of Object.entries({ candidate_bsr, candidate_rp }))
      if (upstream !== 'pim' && list.length > 0)
        context.addIssue({ code: 'custom', path: [key], message: 'expected upstream: pim beside it' });
  });

export type MembershipConfig = Readonly<z.output<typeof membershipSchema>>;
export type ChannelConfig = Readonly<z.output<typeof channelSchema>>;
