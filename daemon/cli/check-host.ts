import { readFileSync } from 'node:fs';
import type { Logger } from '../base/log.js';
import { isMulticast } from '../config/units.js';
import { checkHost, type HostFinding, type HostGroup, type HostNeeds } from '../host/checks.js';
import { KernelView } from '../host/kernel-view.js';
import { udpOffload } from '../plane/offload.js';
import { httpSchema } from '../plane/settings.js';
import { loadSettings, type Settings } from '../settings.js';
import { type ChannelConfig, locationsOf } from '../streams/settings.js';
import { EXIT_FAILED } from './exit.js';
import { formatTable, print, printJson } from './output.js';

type Rendition = ChannelConfig['renditions'][number];

/** What a configuration asks of the machine. */
export function needsOf({ channels, http }: Pick<Settings, 'channels' | 'http'>): HostNeeds {
  const renditions = channels.flatMap(({ id, renditions }) =>
    renditions.map((rendition) => ({ stream: `${id}/${rendition.id}`, rendition })),
  );
  const datagrams = renditions.flatMap(({ stream, rendition }) => datagramsOf(stream, rendition));
  return {
    joined: datagrams.filter(({ address }) => isMulticast(address)),
    sent: renditions.flatMap(({ stream, rendition }) => sentOf(stream, rendition)),
    receives: datagrams.length > 0,
    connections: http.max_connections * http.listen.length,
    sendBuffer: http.send_buffer,
  };
}

function datagramsOf(stream: string, rendition: Rendition): HostGroup[] {
  return locationsOf(rendition).flatMap((location) =>
    location.kind === 'http'
      ? []
      : [{ stream, address: location.address, source: location.source, interfaceName: location.interfaceName }],
  );
}

function sentOf(stream: string, { multicast }: Rendition): HostGroup[] {
  if (multicast === undefined) return [];
  return [{ stream, address: multicast.address, source: null, interfaceName: multicast.interface ?? null }];
}

/** Without a configuration: what every daemon with the defaults needs, and what datagram sources would. */
function generalNeeds(): HostNeeds {
  return { ...needsOf({ channels: [], http: httpSchema.parse({}) }), receives: true };
}

function inspect(needs: HostNeeds): HostFinding[] {
  return checkHost(new KernelView(), needs, udpOffload());
}

/** `sluice check --host`: a table of what was found, what is wanted and what to set; exit code 1 with a problem. */
export async function checkThisHost(file: string | undefined, json: boolean): Promise<void> {
  const findings = inspect(file === undefined ? generalNeeds() : needsOf(await loadSettings(file)));
  const ok = findings.every(({ level }) => level !== 'problem');
  const rows = findings.map((one) => ({ ...one }));
  if (json)
    printJson({ ok, file: file ?? null, host: readFileSync('/proc/sys/kernel/hostname', 'utf8').trim(), checks: rows });
  else print(formatTable({ columns: ['check', 'found', 'wanted', 'level', 'set'], rows }));
  if (!ok) process.exitCode = EXIT_FAILED;
}

/** At the start of the daemon: one line for each thing that is not as it should be. */
export function logHost(settings: Settings, log: Logger): void {
  for (const { check, found, wanted, level, set } of inspect(needsOf(settings))) {
    if (level === 'ok') continue;
    log.warn(
      { check, found, wanted, set },
      `host ${level}: ${check} is ${found}, wanted ${wanted}; set ${set ?? 'nothing'}`,
    );
  }
}
