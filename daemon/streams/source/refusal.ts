import { SluiceError } from '../../base/errors.js';
import type { MediaSegment } from '../../protocols/hls/playlist.js';
import { usableKey } from './segment-keys.js';

/**
 * Why segments cannot be taken: encrypted in a way that is not decrypted here, or not MPEG-TS; null when they can.
 * @param url of the playlist, as it may be shown
 */
export function refusalOf(segments: readonly MediaSegment[], url: string): SluiceError | null {
  const encrypted = segments.find((segment) => segment.keys.length > 0 && usableKey(segment) === null);
  if (encrypted !== undefined) {
    const { sequence, keys } = encrypted;
    const [key] = keys;
    const kind = `METHOD=${key?.method}, KEYFORMAT="${key?.format}"`;
    const says = `segment ${sequence} is encrypted (EXT-X-KEY ${kind}): expected METHOD=AES-128 with a key file, or no encryption`;
    return new SluiceError('SOURCE_ENCRYPTED', says, { method: key?.method, url });
  }
  const mapped = segments.find((segment) => segment.map !== null);
  if (mapped === undefined) return null;
  const says = `segment ${mapped.sequence} has an initialisation section (EXT-X-MAP, fragmented MP4): expected MPEG-TS`;
  return new SluiceError('SOURCE_UNSUPPORTED', says, { map: mapped.map?.url, url });
}
