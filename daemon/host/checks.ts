/** What a machine must have, or should have, for what a configuration asks of it. */
import { isIP } from 'node:net';
import type { UdpOffload } from '../plane/offload.js';
import type { KernelView } from './kernel-view.js';
import { type HostRoutes, interfaceTowards } from './routes.js';

/** A group that is joined or sent to. */
export interface HostGroup {
  readonly stream: string;
  readonly address: string;
  /** Of a source-specific join, or null. */
  readonly source: string | null;
  readonly interfaceName: string | null;
}

/** What is asked of the machine. */
export interface HostNeeds {
  readonly joined: readonly HostGroup[];
  readonly sent: readonly HostGroup[];
  /** Whether datagrams come in at all. */
  readonly receives: boolean;
  /** Viewers' connections, over all listeners. */
  readonly connections: number;
  /** `http.send_buffer`, bytes. */
  readonly sendBuffer: number;
}

/** ok: nothing to do. advice: it works, and not as well as it could. problem: something asked for will not work. */
export type Level = 'ok' | 'advice' | 'problem';

export interface HostFinding {
  readonly check: string;
  readonly found: string;
  readonly wanted: string;
  readonly level: Level;
  /** What to set: a line for /etc/sysctl.d, or a command; null when there is nothing to do. */
  readonly set: string | null;
}

/** As UdpRxOptions::receive_buffer of native/kernel/udp_rx.h. */
const RECEIVE_BUFFER = 8 * 2 ** 20;
/** As kBacklog of native/http/server.cc. */
const BACKLOG = 4096;
const SYN_BACKLOG = 1024;
/** Descriptors besides viewers' connections: loops, listeners, logs; and per stream its sockets and its ring. */
const DESCRIPTORS_BESIDES = 256;
/** Read without a system call, or as good as that; others cost microseconds for every look at the clock. */
const GOOD_CLOCKS = /^(tsc|kvm-clock|arch_sys_counter|hyperv_clocksource\w*|xen)$/;

/** Everything that is looked at, in the order in which an operator would ask. */
export function checkHost(view: KernelView, needs: HostNeeds, offload: UdpOffload): HostFinding[] {
  const routes = view.routes();
  return [
    ...interfaceFindings(view, needs),
    ...routeFindings(routes, needs),
    ...reversePathFindings(view, routes, needs.joined),
    ...membershipFindings(view, needs.joined),
    ...bufferFindings(view, needs),
    ...connectionFindings(view, needs),
    offloadFinding('UDP segmentation (UDP_SEGMENT)', offload.segmentation, 'Linux 4.18'),
    offloadFinding('UDP coalescing (UDP_GRO)', offload.coalescing, 'Linux 5.0'),
    clockFinding(view),
    forwardingFinding(view),
  ];
}

function finding(check: string, found: string, wanted: string, level: Level, set: string | null): HostFinding {
  return { check, found, wanted, level, set: level === 'ok' ? null : set };
}

/** A sysctl that must not be below a value. */
function atLeast(view: KernelView, name: string, least: number, level: Level): HostFinding {
  const value = view.sysctl(name);
  const key = name.replaceAll('/', '.');
  const verdict = value === undefined ? 'advice' : value >= least ? 'ok' : level;
  return finding(key, value === undefined ? 'unreadable' : String(value), `>= ${least}`, verdict, `${key}=${least}`);
}

function unique<T>(items: readonly T[]): T[] {
  return [...new Set(items)];
}

function interfacesOf(groups: readonly HostGroup[]): string[] {
  return unique(groups.flatMap(({ interfaceName }) => interfaceName ?? []));
}

function interfaceFindings(view: KernelView, { joined, sent }: HostNeeds): HostFinding[] {
  return interfacesOf([...joined, ...sent]).map((name) => {
    const check = `interface ${name}`;
    const wanted = 'up, multicast';
    const there = view.interface(name);
    if (there === undefined) return finding(check, 'absent', wanted, 'problem', 'name an interface of `ip -br link`');
    const state = `${there.up ? 'up' : 'down'}${there.multicast ? ', multicast' : there.loopback ? ', loopback' : ''}`;
    if (!there.up) return finding(check, state, wanted, 'problem', `ip link set dev ${name} up`);
    const carries = there.multicast || there.loopback;
    return finding(check, state, wanted, carries ? 'ok' : 'problem', `ip link set dev ${name} multicast on`);
  });
}

/** Where the configuration names no interface, the route decides. */
function routeFindings(routes: HostRoutes, { joined, sent }: HostNeeds): HostFinding[] {
  const undecided = [...joined, ...sent].filter(({ interfaceName }) => interfaceName === null);
  return unique(undecided.map(({ address }) => address)).map((address) => {
    const towards = interfaceTowards(routes, address);
    const all = isIP(address) === 6 ? '-6 route add multicast ff00::/8' : 'route add 224.0.0.0/4';
    const set = `ip ${all} dev INTERFACE (or name the interface in the configuration)`;
    const level = towards === undefined ? 'problem' : 'ok';
    return finding(`route to ${address}`, towards ?? 'none', 'an interface', level, set);
  });
}

/** Strict reverse-path filtering (RFC 3704) drops multicast whose source is not reached by the interface it came in on. */
function reversePathFindings(view: KernelView, routes: HostRoutes, joined: readonly HostGroup[]): HostFinding[] {
  const arriving = joined
    .filter(({ address }) => isIP(address) === 4)
    .map(({ address, source, interfaceName }) => ({
      source,
      interfaceName: interfaceName ?? interfaceTowards(routes, address),
    }));
  return unique(arriving.flatMap(({ interfaceName }) => interfaceName ?? [])).map((name) => {
    const [all, own] = [view.sysctl('net/ipv4/conf/all/rp_filter'), view.sysctl(`net/ipv4/conf/${name}/rp_filter`)];
    // The larger of the two counts (Documentation/networking/ip-sysctl of the kernel).
    const value = Math.max(all ?? 0, own ?? 0);
    const sources = arriving.filter(({ interfaceName }) => interfaceName === name).map(({ source }) => source);
    const elsewhere = sources.some((source) => source !== null && interfaceTowards(routes, source) !== name);
    const level = value !== 1 ? 'ok' : elsewhere ? 'problem' : sources.includes(null) ? 'advice' : 'ok';
    // A dot in an interface's name (VLANs) would be taken for a separator: sysctl(8) takes slashes as well.
    const set = name.includes('.') ? `net/ipv4/conf/${name}/rp_filter=2` : `net.ipv4.conf.${name}.rp_filter=2`;
    const wanted = level === 'ok' ? '0, 2 (or 1 with the route there)' : '0 or 2';
    return finding(`rp_filter on ${name}`, String(value), wanted, level, set);
  });
}

/** The limits are those of one socket, and every group has a socket of its own: one of each is enough. */
function membershipFindings(view: KernelView, joined: readonly HostGroup[]): HostFinding[] {
  const families = new Set(joined.map(({ address }) => isIP(address)));
  const specific = new Set(joined.filter(({ source }) => source !== null).map(({ address }) => isIP(address)));
  return [
    ...(families.has(4) ? [atLeast(view, 'net/ipv4/igmp_max_memberships', 1, 'problem')] : []),
    ...(specific.has(4) ? [atLeast(view, 'net/ipv4/igmp_max_msf', 1, 'problem')] : []),
    ...(specific.has(6) ? [atLeast(view, 'net/ipv6/mld_max_msf', 1, 'problem')] : []),
  ];
}

function bufferFindings(view: KernelView, { receives, sendBuffer }: HostNeeds): HostFinding[] {
  return [
    ...(receives ? [atLeast(view, 'net/core/rmem_max', RECEIVE_BUFFER, 'advice')] : []),
    // The kernel doubles what is asked for: half of the buffer is asked for.
    atLeast(view, 'net/core/wmem_max', Math.ceil(sendBuffer / 2), 'advice'),
  ];
}

function connectionFindings(view: KernelView, { connections, joined, sent }: HostNeeds): HostFinding[] {
  const wanted = connections + DESCRIPTORS_BESIDES + 4 * (joined.length + sent.length);
  const limit = view.openFiles();
  const files = limit === undefined ? 'unreadable' : String(limit);
  const level = limit !== undefined && limit >= wanted ? 'ok' : 'advice';
  return [
    finding('open files (hard limit)', files, `>= ${wanted}`, level, `LimitNOFILE=${wanted} (systemctl edit sluice)`),
    atLeast(view, 'net/core/somaxconn', BACKLOG, 'advice'),
    atLeast(view, 'net/ipv4/tcp_max_syn_backlog', SYN_BACKLOG, 'advice'),
  ];
}

function offloadFinding(check: string, there: boolean, since: string): HostFinding {
  return finding(check, there ? 'yes' : 'no', 'yes', there ? 'ok' : 'advice', `a kernel of ${since} or later`);
}

function clockFinding(view: KernelView): HostFinding {
  const source = view.clockSource();
  const good = source !== undefined && GOOD_CLOCKS.test(source);
  const set = 'the kernel parameter clocksource=tsc, where `dmesg` does not call the TSC unstable';
  return finding('clock source', source ?? 'unreadable', 'tsc or the like', good ? 'ok' : 'advice', set);
}

/** For people who wonder: today's daemon sends itself and lets the kernel forward nothing. */
function forwardingFinding(view: KernelView): HostFinding {
  const forwards = view.sysctl('net/ipv4/conf/all/mc_forwarding') === 1 ? 'in use' : 'not in use';
  const found = view.multicastRouting() ? `there, ${forwards}` : 'absent';
  return finding("the kernel's multicast routing", found, 'not needed', 'ok', null);
}
