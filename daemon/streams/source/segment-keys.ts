import { SluiceError } from '../../base/errors.js';
import type { SegmentSeal } from '../../plane/contract.js';
import type { Key, MediaSegment } from '../../protocols/hls/playlist.js';
import { displayUrl } from '../media-url.js';

/** Keys kept at a time; an origin that changes its key goes through them one after the other. */
const MOST_KEYS = 8;
const KEY_BYTES = 16;

/** The key by which a segment can be decrypted here: AES-128 with a key file (RFC 8216 section 4.3.2.4); else null. */
export function usableKey(segment: MediaSegment): Key | null {
  return segment.keys.find(({ method, format }) => method === 'AES-128' && format === 'identity') ?? null;
}

/** The keys of a source's segments, each fetched once. */
export class SegmentKeys {
  /** URL of the key -> its hexadecimal digits, the one fetched last at the end. */
  readonly #keys = new Map<string, string>();

  /** URL of the key that must be there before the segment can be taken; null when nothing is missing. */
  missing(segment: MediaSegment): string | null {
    const url = usableKey(segment)?.url ?? null;
    return url === null || this.#keys.has(url) ? null : url;
  }

  /** How the segment is encrypted; null when it is in the clear. @param skipBytes clear bytes that are already taken */
  seal(segment: MediaSegment, skipBytes: number): SegmentSeal | null {
    const use = usableKey(segment);
    const key = use === null ? undefined : this.#keys.get(use.url);
    if (use === null || key === undefined) return null;
    // Without IV the media sequence number is the vector (section 5.2).
    return { key, iv: use.iv ?? segment.sequence.toString(16).padStart(32, '0'), skipBytes };
  }

  /** Takes a key file. @returns UPSTREAM_DECRYPT when it is none */
  add(url: string, body: Uint8Array): SluiceError | null {
    if (body.byteLength !== KEY_BYTES) return wrongKey(url, `${body.byteLength} octets`);
    this.#keys.set(url, Buffer.from(body).toString('hex'));
    const [oldest] = this.#keys.keys();
    if (oldest !== undefined && this.#keys.size > MOST_KEYS) this.#keys.delete(oldest);
    return null;
  }

  /** The segment could not be decrypted: its key is to be fetched again. */
  forget(segment: MediaSegment): void {
    this.#keys.delete(usableKey(segment)?.url ?? '');
  }
}

export function wrongKey(url: string, got: string): SluiceError {
  const says = `expected a key of ${KEY_BYTES} octets from ${displayUrl(url)}, got ${got}`;
  return new SluiceError('UPSTREAM_DECRYPT', says, { url: displayUrl(url) });
}
