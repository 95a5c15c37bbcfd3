import { DEFAULT_LIMITS, decodePlaylist, invalid, type PlaylistLimits, readLines } from './lines.js';
import { MasterReader } from './master.js';
import { MediaReader } from './media.js';
import type { Playlist } from './playlist.js';
import { Scope } from './scope.js';

/** Tags by which a master playlist is told from a media playlist (RFC 8216bis section 4.1: never both in one). */
const MASTER_TAGS = new Set([
  'EXT-X-STREAM-INF',
  'EXT-X-I-FRAME-STREAM-INF',
  'EXT-X-MEDIA',
  'EXT-X-SESSION-DATA',
  'EXT-X-SESSION-KEY',
  'EXT-X-CONTENT-STEERING',
]);
const MEDIA_TAGS = new Set([
  'EXTINF',
  'EXT-X-TARGETDURATION',
  'EXT-X-MEDIA-SEQUENCE',
  'EXT-X-ENDLIST',
  'EXT-X-PART',
  'EXT-X-SKIP',
]);

/**
 * Reads a playlist of RFC 8216bis. Strict where a misreading would put wrong media on the air (numbers, URIs, what belongs
 * to which segment), tolerant of the rest: unknown tags, stray white space, a byte order mark, a missing version.
 * @param bytes the playlist as fetched, decompressed
 * @param base absolute URL it came from, after redirects: relative URIs refer to it
 * @param imports variables of the multivariant playlist that named it, for EXT-X-DEFINE:IMPORT
 * @throws SluiceError PLAYLIST_INVALID, naming the line, what was expected and what came; never anything else
 */
export function parsePlaylist(
  bytes: Uint8Array,
  base: string,
  limits: PlaylistLimits = DEFAULT_LIMITS,
  imports?: ReadonlyMap<string, string>,
): Playlist {
  const scope = new Scope(base, limits, imports);
  const lines = readLines(decodePlaylist(bytes, limits), limits);
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
  return master === undefined ? new MediaReader(scope).read(lines) : new MasterReader(scope).read(lines);
}
