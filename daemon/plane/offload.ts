import { loadAddon, type UdpOffload } from './addon.js';

export type { UdpOffload };

/** What the kernel here can do for batches of datagrams. @throws SluiceError ADDON_MISSING */
export function udpOffload(): UdpOffload {
  return loadAddon().udpOffload();
}
