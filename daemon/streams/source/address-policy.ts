import { BlockList, isIP } from 'node:net';

/** Ranges that are nobody's on the Internet (IANA special-purpose registries, RFC 6890), each with its name. */
const SPECIAL: readonly (readonly [name: string, ...prefixes: string[]])[] = [
  ['loopback', '127.0.0.0/8', '::1/128'],
  ['link-local', '169.254.0.0/16', 'fe80::/10'],
  ['private', '10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7', 'fec0::/10'],
  ['shared by a provider (RFC 6598)', '100.64.0.0/10'],
  ['multicast', '224.0.0.0/4', 'ff00::/8'],
  ['unspecified', '0.0.0.0/8', '::/128'],
  ['for documentation', '192.0.2.0/24', '198.51.100.0/24', '203.0.113.0/24', '2001:db8::/32', '3fff::/20'],
  ['reserved', '192.0.0.0/24', '198.18.0.0/15', '240.0.0.0/4', '100::/64', '64:ff9b:1::/48', '2001::/32', '::/96'],
];

/** Where an IPv6 address carries an IPv4 one: the prefix, and the 16-bit group at which it begins. */
const EMBEDDING: readonly (readonly [prefix: string, group: number])[] = [
  ['::ffff:0:0/96', 6],
  ['64:ff9b::/96', 6],
  ['2002::/16', 1],
];

/** A set of addresses from `ADDRESS/LENGTH` or single addresses; IPv4 prefixes hold v4-mapped addresses, too. */
export function prefixList(prefixes: readonly string[]): BlockList {
  const list = new BlockList();
  for (const prefix of prefixes) {
    const [address = '', length] = prefix.split('/', 2);
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
    list.addSubnet(address, Number(length ?? (family === 'ipv6' ? 128 : 32)), family);
  }
  return list;
}

const RANGES = SPECIAL.map(([name, ...prefixes]) => ({
  name,
  v4: prefixList(prefixes.filter((prefix) => !prefix.includes(':'))),
  v6: prefixList(prefixes.filter((prefix) => prefix.includes(':'))),
}));
const EMBEDDED = EMBEDDING.map(([prefix, group]) => ({ list: prefixList([prefix]), group }));

/** The eight groups of a numeric IPv6 address. */
function groupsOf(address: string): readonly number[] {
  // The URL parser writes an IPv4 tail as two groups.
  const text = new URL(`http://[${address}]/`).hostname.slice(1, -1);
  const [head = '', tail] = text.split('::', 2);
  const groups = (part: string): number[] => (part === '' ? [] : part.split(':').map((g) => Number.parseInt(g, 16)));
  const [before, after] = [groups(head), tail === undefined ? [] : groups(tail)];
  return [...before, ...Array.from({ length: 8 - before.length - after.length }, () => 0), ...after];
}

/** The IPv4 address within an IPv6 one (v4-mapped, NAT64, 6to4), or null. */
function embedded(address: string): string | null {
  const found = EMBEDDED.find(({ list }) => list.check(address, 'ipv6'));
  if (found === undefined) return null;
  const [high = 0, low = 0] = groupsOf(address).slice(found.group, found.group + 2);
  return [high >> 8, high & 255, low >> 8, low & 255].join('.');
}

/**
 * Why an address is none that an upstream may send us to: `loopback`, `private` …; null for those of the Internet.
 * IPv4 addresses within IPv6 ones (v4-mapped, NAT64, 6to4) are looked at as such.
 * @param address numeric
 */
export function specialRange(address: string): string | null {
  const [bare = ''] = address.split('%', 1);
  if (isIP(bare) === 4) return RANGES.find(({ v4 }) => v4.check(bare, 'ipv4'))?.name ?? null;
  const inner = embedded(bare);
  if (inner !== null) return specialRange(inner);
  return RANGES.find(({ v6 }) => v6.check(bare, 'ipv6'))?.name ?? null;
}
