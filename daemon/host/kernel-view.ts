import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type HostRoutes, parseIpv4Routes, parseIpv6Routes } from './routes.js';

/** IFF_ of linux/if.h. */
const UP = 0x1;
const LOOPBACK = 0x8;
const MULTICAST = 0x1000;

export interface HostInterface {
  readonly up: boolean;
  readonly loopback: boolean;
  readonly multicast: boolean;
}

/** The kernel's settings as files show them: /proc and /sys, or a copy of them. What cannot be read is undefined. */
export class KernelView {
  /** @param root the folder that holds `proc` and `sys` */
  constructor(private readonly root = '/') {}

  /** A number of `/proc/sys`; `name` with slashes, such as `net/core/rmem_max`. */
  sysctl(name: string): number | undefined {
    const text = this.#read(`proc/sys/${name}`)?.trim();
    return text !== undefined && /^-?\d+$/.test(text) ? Number(text) : undefined;
  }

  /** undefined where there is no such interface. */
  interface(name: string): HostInterface | undefined {
    const flags = Number(this.#read(`sys/class/net/${name}/flags`)?.trim());
    if (!Number.isInteger(flags)) return undefined;
    return {
      up: (flags & UP) !== 0,
      loopback: (flags & LOOPBACK) !== 0,
      multicast: (flags & MULTICAST) !== 0,
    };
  }

  routes(): HostRoutes {
    return {
      ipv4: parseIpv4Routes(this.#read('proc/net/route') ?? ''),
      ipv6: parseIpv6Routes(this.#read('proc/net/ipv6_route') ?? ''),
    };
  }

  /** Whether the kernel can forward multicast (CONFIG_IP_MROUTE). */
  multicastRouting(): boolean {
    return existsSync(join(this.root, 'proc/net/ip_mr_vif'));
  }

  clockSource(): string | undefined {
    return this.#read('sys/devices/system/clocksource/clocksource0/current_clocksource')?.trim();
  }

  /** The most descriptors that this process may have: Node raises its soft limit to it. */
  openFiles(): number | undefined {
    const match = /^Max open files\s+\S+\s+(\d+|unlimited)/m.exec(this.#read('proc/self/limits') ?? '');
    return match === null ? undefined : match[1] === 'unlimited' ? Number.MAX_SAFE_INTEGER : Number(match[1]);
  }

  #read(path: string): string | undefined {
    try {
      return readFileSync(join(this.root, path), 'utf8');
    } catch {
      return undefined;
    }
  }
}
