/** The kernel's main routing tables as /proc/net shows them, without a netlink socket or a program. */
import { isIP } from 'node:net';

/** One route that can be used. */
export interface HostRoute {
  readonly destination: bigint;
  /** Bits of the prefix. */
  readonly length: number;
  readonly metric: number;
  readonly interfaceName: string;
}

export interface HostRoutes {
  readonly ipv4: readonly HostRoute[];
  readonly ipv6: readonly HostRoute[];
}

/** RTF_UP and RTF_REJECT of linux/route.h. */
const UP = 0x1;
const REJECT = 0x200;

function usable(flags: number): boolean {
  return (flags & UP) !== 0 && (flags & REJECT) === 0;
}

/** `/proc/net/route`: addresses are hexadecimal, in the byte order of the machine (little-endian everywhere we run). */
export function parseIpv4Routes(text: string): HostRoute[] {
  return text
    .split('\n')
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter((words) => words.length >= 8 && usable(Number.parseInt(words[3] ?? '0', 16)))
    .map(([interfaceName = '', destination = '0', , , , , metric = '0', mask = '0']) => ({
      destination: swapped(destination),
      length: swapped(mask).toString(2).replaceAll('0', '').length,
      metric: Number(metric),
      interfaceName,
    }));
}

/** `/proc/net/ipv6_route`: destination, prefix length, …, metric, …, flags, interface. */
export function parseIpv6Routes(text: string): HostRoute[] {
  return text
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter((words) => words.length >= 10 && usable(Number.parseInt(words[8] ?? '0', 16)))
    .map(([destination = '0', length = '0', , , , metric = '0', , , , interfaceName = '']) => ({
      destination: BigInt(`0x${destination}`),
      length: Number.parseInt(length, 16),
      metric: Number.parseInt(metric, 16),
      interfaceName,
    }));
}

function swapped(hex: string): bigint {
  return BigInt(`0x${Buffer.from(hex, 'hex').reverse().toString('hex')}`);
}

/** A numeric address as one number. */
export function addressNumber(address: string): bigint {
  if (isIP(address) === 4) return address.split('.').reduce((sum, part) => sum * 256n + BigInt(part), 0n);
  // The URL parser writes every form of an IPv6 address in one way, without dots.
  const [head = '', tail] = new URL(`tcp://[${address}]`).hostname.slice(1, -1).split('::');
  const words = (part: string): string[] => part.split(':').filter((word) => word !== '');
  const [left, right] = [words(head), words(tail ?? '')];
  const middle = Array.from({ length: 8 - left.length - right.length }, () => '0');
  return [...left, ...middle, ...right].reduce((sum, word) => sum * 65_536n + BigInt(`0x${word}`), 0n);
}

/** The interface by which the main table sends to an address, or undefined without a route. */
export function interfaceTowards(routes: HostRoutes, address: string): string | undefined {
  const v6 = isIP(address) === 6;
  const [table, bits] = v6 ? [routes.ipv6, 128] : [routes.ipv4, 32];
  const number = addressNumber(address);
  const matching = table.filter(({ destination, length }) => {
    const shift = BigInt(bits - length);
    return number >> shift === destination >> shift;
  });
  return matching.toSorted((a, b) => b.length - a.length || a.metric - b.metric)[0]?.interfaceName;
}
