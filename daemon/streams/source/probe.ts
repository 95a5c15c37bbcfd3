import { isMulticast } from '../../config/units.js';
import type { PlaneApi } from '../../plane/contract.js';
import type { MediaLocation } from '../media-url.js';

/**
 * Tries to join the groups of a source beside what runs, and leaves them again. Addresses of our own are not tried: one
 * socket alone can have them, and that may be the one that is being replaced.
 * @throws SluiceError INTERFACE_UNKNOWN, ADDRESS_INVALID, SYSTEM_CALL: the group cannot be joined as it is written
 */
export function probeGroups(plane: PlaneApi, locations: readonly MediaLocation[]): void {
  for (const location of locations) {
    if (location.kind === 'http' || !isMulticast(location.address)) continue;
    const { address, port, source, interfaceName } = location;
    plane.removeReceiver(
      plane.addReceiver({ address, port, source, interfaceName, reorderMs: 0, outputFd: null, recording: null }),
    );
  }
}
