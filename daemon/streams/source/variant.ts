import { SluiceError } from '../../base/errors.js';
import type { MasterPlaylist, Variant } from '../../protocols/hls/playlist.js';

/**
 * The variant to take of a master playlist: the highest at or below `maxBandwidth`, else the lowest; the highest of all when
 * there is no maximum. Variants whose audio is in a playlist of its own are passed over: one connection carries one of them.
 * @param maxBandwidth bits a second, or null
 * @throws SluiceError SOURCE_UNSUPPORTED when no variant can be used
 */
export function chooseVariant(master: MasterPlaylist, maxBandwidth: number | null): Variant {
  const usable = master.variants.filter((variant) => !variant.separateAudio).sort((a, b) => a.bandwidth - b.bandwidth);
  const lowest = usable[0];
  if (lowest === undefined) {
    const why =
      master.variants.length === 0 ? 'it lists no variant' : 'every variant has its audio in a playlist of its own';
    throw new SluiceError('SOURCE_UNSUPPORTED', `the master playlist cannot be used: ${why}`, {
      variants: master.variants.length,
    });
  }
  return usable.filter((variant) => maxBandwidth === null || variant.bandwidth <= maxBandwidth).at(-1) ?? lowest;
}
