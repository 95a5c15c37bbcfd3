import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import { Skip } from './report.js';

/** The Debian package of each program that a scenario may need. */
const PACKAGES: Readonly<Record<string, string>> = {
  ip: 'iproute2',
  nft: 'nftables',
  ethtool: 'ethtool',
  smcrouted: 'smcroute',
  smcroutectl: 'smcroute',
  vtysh: 'frr',
  igmpproxy: 'igmpproxy',
  strace: 'strace',
  tcpdump: 'tcpdump',
  tshark: 'tshark',
  ffmpeg: 'ffmpeg',
  'gst-launch-1.0': 'gstreamer1.0-tools',
  cvlc: 'vlc-bin',
  ping: 'iputils-ping',
  'g++': 'g++',
  mmdebstrap: 'mmdebstrap',
  lintian: 'lintian',
  'dpkg-deb': 'dpkg',
  unshare: 'util-linux',
  nsenter: 'util-linux',
};

/** Where a program is, or undefined. */
export function which(program: string): string | undefined {
  const folders = `${process.env['PATH'] ?? ''}:/usr/local/sbin:/usr/sbin:/sbin`.split(':');
  return folders.map((folder) => join(folder, program)).find(isExecutable);
}

/** Whether there is such a program. */
export function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Skips the step unless all these programs are there. */
export function need(...programs: string[]): void {
  const missing = programs.filter((program) => which(program) === undefined);
  if (missing.length === 0) return;
  const packages = [...new Set(missing.map((program) => PACKAGES[program] ?? program))];
  throw new Skip(`${missing.join(', ')} not found; install ${packages.join(' ')}`);
}
