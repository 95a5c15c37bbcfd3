import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Host } from '../lib/host.js';
import { must } from '../lib/process.js';
import { Capture } from './capture.js';

/** IGMP, MLD, which has an option before it, and PIM. */
const CONTROL = 'igmp or (ip6 and ip6[6] = 0) or proto 103 or ip6 proto 103';
/** Packets kept of each capture. */
const MOST = 200;
const PCAP_HEADER = 24;

/**
 * Records the control messages of a device meanwhile, for the tests of the codecs, where the variable `SLUICE_LAB_SEEDS` names a
 * folder for them: `control-NAME.pcap`.
 */
export async function recorded<T>(host: Host, device: string, name: string, play: () => Promise<T>): Promise<T> {
  const folder = process.env['SLUICE_LAB_SEEDS'];
  if (folder === undefined) return play();
  const plain = name.toLowerCase().replace(/[^a-z0-9]+/g, '-');
  const capture = await Capture.start(host, device, CONTROL, `control-${plain}`);
  try {
    return await play();
  } finally {
    await capture.stop();
    const kept = join(folder, `control-${plain}.pcap`);
    const isEmpty = readFileSync(capture.file).length <= PCAP_HEADER;
    if (!isEmpty) await must(['editcap', '-F', 'pcap', '-r', capture.file, kept, `1-${MOST}`]);
  }
}
