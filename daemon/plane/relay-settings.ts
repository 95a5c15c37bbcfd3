/** What an operator can set of groups that viewers ask for by their addresses. */
import { BlockList, isIP } from 'node:net';
import { z } from 'zod';
import { addressPrefix, bytes, duration, integer, interfaceName, isMulticast } from '../config/units.js';
import type { RelayRule } from './contract-relay.js';

const MIB = 2 ** 20;
const LAST_PORT = 65_535;

const FORMS = 'expected [SOURCE@]ADDRESS[/LENGTH][:PORT[-PORT]], such as 239.0.0.0/8 or "[ff3e::/32]:5000-5999"';
const WHAT =
  'expected groups (a prefix within 224.0.0.0/4 or ff00::/8), or one unicast address of this machine with its ports';

/** An address or a prefix, in brackets where it is of IPv6 and a port follows. */
const ADDRESS = /^(?:\[([0-9a-f:.]+(?:\/\d{1,3})?)\]|([0-9.]+(?:\/\d{1,3})?)):(\d{1,5})(?:-(\d{1,5}))?$/i;

/** What stands for other addresses: the wildcards, broadcast, IPv4 addresses in IPv6 ones (RFC 4291 section 2.5.5.2). */
const NO_ADDRESS = { 4: new BlockList(), 6: new BlockList() };
NO_ADDRESS[4].addSubnet('0.0.0.0', 8, 'ipv4');
NO_ADDRESS[4].addAddress('255.255.255.255', 'ipv4');
NO_ADDRESS[6].addAddress('::', 'ipv6');
NO_ADDRESS[6].addSubnet('::ffff:0:0', 96, 'ipv6');

interface Prefix {
  readonly text: string;
  readonly address: string;
  readonly family: number;
  readonly bits: number;
  /** No more than one address. */
  readonly single: boolean;
}

function prefixOf(text: string): Prefix | undefined {
  if (!addressPrefix.safeParse(text).success) return undefined;
  const [address = '', length] = text.split('/', 2);
  const family = isIP(address);
  const most = family === 6 ? 128 : 32;
  const bits = Number(length ?? most);
  return { text, address, family, bits, single: bits === most };
}

/** Groups and nothing else. */
function holdsGroups({ address, family, bits }: Prefix): boolean {
  return isMulticast(address) && bits >= (family === 6 ? 8 : 4);
}

function isOneUnicast({ address, family, single }: Prefix): boolean {
  const standsForOthers = family === 6 ? NO_ADDRESS[6].check(address, 'ipv6') : NO_ADDRESS[4].check(address, 'ipv4');
  return single && !isMulticast(address) && !standsForOthers;
}

/** Reads one line of the list as an operator writes it; a text says what was expected. */
export function parseRelayRule(text: string): RelayRule | string {
  const [last = '', ...before] = text.split('@').reverse();
  if (before.length > 1) return FORMS;
  const [, bracketed, plain, first, end] = ADDRESS.exec(last) ?? [];
  const prefix = prefixOf(bracketed ?? plain ?? unbracketed(last));
  const source = before[0] === undefined ? null : prefixOf(unbracketed(before[0]));
  if (prefix === undefined || source === undefined) return FORMS;
  const firstPort = Number(first ?? 1);
  const lastPort = Number(end ?? first ?? LAST_PORT);
  if (firstPort < 1 || lastPort > LAST_PORT || firstPort > lastPort) return 'expected ports of 1 to 65535, ascending';
  const groups = holdsGroups(prefix);
  if (!groups && (!isOneUnicast(prefix) || first === undefined)) return WHAT;
  if (source !== null && (!groups || source.family !== prefix.family || isMulticast(source.address)))
    return 'expected a unicast source of the same family before "@", and groups behind it (RFC 4607)';
  return { source: source?.text ?? null, address: prefix.text, firstPort, lastPort };
}

function unbracketed(text: string): string {
  return /^\[(.*)\]$/.exec(text)?.[1] ?? text;
}

const rule = z
  .string({ error: FORMS })
  .max(200, { error: FORMS })
  .transform((text, context): RelayRule => {
    const parsed = parseRelayRule(text);
    if (typeof parsed !== 'string') return parsed;
    context.issues.push({ code: 'custom', message: parsed, input: text });
    return z.NEVER;
  });

/** `http.relay:` of the configuration. */
export const relaySchema = z.strictObject({
  allow: z
    .array(rule)
    .min(1, { error: 'expected at least one address' })
    .max(1000)
    .describe(
      'What viewers may ask for: 239.0.0.0/8, "[ff3e::/32]:5000-5999", 10.1.2.3@232.0.0.0/8. A unicast address of this machine must stand by itself, with its ports.',
    ),
  interface: interfaceName.optional().describe('Where groups are joined; the route decides when absent.'),
  max_groups: integer({ min: 1, max: 1000 })
    .default(100)
    .describe('Groups at once; the one that nobody has watched for the longest time gives way.'),
  hold: duration({ min: 100, max: 3_600_000 })
    .default(5000)
    .describe('A group is kept for so long after its last viewer has gone, so that zapping back is instant.'),
  wait: duration({ min: 100, max: 60_000 })
    .default(5000)
    .describe('A group that gives nothing for so long is left: who waits gets 504, who watches is disconnected.'),
  delay: duration({ min: 0, max: 4000 })
    .default(50)
    .describe('Least time between arrival and departure; half of it is waited for RTP packets that are missing.'),
  ring: bytes({ min: MIB, max: 1024 * MIB })
    .refine((value) => (value & (value - 1)) === 0, { error: 'expected a power of two of 1MiB to 1GiB' })
    .default(4 * MIB)
    .describe('Buffer of one group, a power of two, of plane.memory.'),
});

export type RelaySettings = Readonly<z.output<typeof relaySchema>>;
