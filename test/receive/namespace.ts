import { spawnSync } from 'node:child_process';

/** For `sh -c`, before a program's own words: a veth pair whose one end, d0, is fd00::1. */
export const VETH_PAIR =
  'ip link set lo up && ip link add d0 type veth peer name d1 && ip addr add fd00::1/64 dev d0 nodad && ip link set d0 up && ip link set d1 up && exec "$@"';

/** The flags with which this user may make a network namespace, or undefined. */
export function namespaceFlags(): string | undefined {
  const pair = ['ip', 'link', 'add', 'd0', 'type', 'veth', 'peer', 'name', 'd1'];
  return ['-n', '-Urn'].find((flags) => spawnSync('unshare', [flags, ...pair]).status === 0);
}
