import { DEFAULT_LIMITS, invalid, type PlaylistLimits, readLines } from './lines.js';
import { readMaster } from './master.js';
import { readMedia } from './media.js';
import type { Playlist } from './playlist.js';

/** Tags by which a master playlist is told from a media playlist (RFC 8216 section 4.3.4: never both in one). */
const MASTER_TAGS = new Set([
  'EXT-X-STREAM-INF',
  'EXT-X-I-FRAME-STREAM-INF',
  'EXT-X-MEDIA',
  'EXT-X-SESSION-DATA',
  'EXT-X-SESSION-KEY',
]);
const MEDIA_TAGS = new Set(['EXTINF', 'EXT-X-TARGETDURATION', 'EXT-X-MEDIA-SEQUENCE', 'EXT-X-ENDLIST']);

/**
 * Reads a playlist of RFC 8216. Strict where a misreading would put wrong media on the air (numbers, URIs, what belongs
 * to which segment), tolerant of the rest: unknown tags, stray white space, a byte order mark, a missing version.
 * @param bytes the playlist as fetched, decompressed
 * @param base absolute URL it came from, after redirects: relative URIs refer to it
 * @throws SluiceError PLAYLIST_INVALID, naming the line, what was expected and what came; never anything else
 */
export function parsePlaylist(bytes: Uint8Array, base: string, limits: PlaylistLimits = DEFAULT_LIMITS): Playlist {
  if (!URL.canParse(base)) throw invalid(0, 'an absolute URL to resolve its URIs with', base);
  const lines = readLines(bytes, limits);
  const master = lines.find((line) => MASTER_TAGS.has(line.tag));
  const media = lines.find((line) => MEDIA_TAGS.has(line.tag));
  if (master !== undefined && media !== undefined) {
    const later = master.number > media.number ? master : media;
    throw invalid(
      later.number,
      'tags of a master or of a media playlist, not both (RFC 8216 section 4.3.4)',
      `#${later.tag}`,
    );
  }
  return master === undefined ? readMedia(lines, base, limits) : readMaster(lines, base, limits);
}
