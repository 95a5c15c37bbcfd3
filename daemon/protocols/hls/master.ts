import {
  type Attributes,
  integerAttribute,
  readAttributes,
  requireAttribute,
  resolutionAttribute,
} from './attributes.js';
import { invalid, type Line, type PlaylistLimits, readInteger, resolveUri } from './lines.js';
import type { MasterPlaylist, Variant } from './playlist.js';

type PendingVariant = Omit<Variant, 'separateAudio'> & { readonly audioGroup: string | null };

/** Reads the lines of a master playlist (RFC 8216 section 4.3.4). Variants stand in the playlist's order. */
export function readMaster(lines: readonly Line[], base: string, limits: PlaylistLimits): MasterPlaylist {
  const variants: PendingVariant[] = [];
  /** AUDIO group -> whether one of its renditions is in the variant's own segments (no URI, section 4.3.4.1). */
  const groups = new Map<string, boolean>();
  let version = 1;
  let pending: { line: Line; attributes: Attributes } | null = null;
  for (const line of lines) {
    if (line.tag === '') {
      if (pending === null) throw invalid(line.number, 'EXT-X-STREAM-INF before the URI of a variant', line.value);
      if (variants.length >= limits.maxEntries)
        throw invalid(line.number, `at most ${limits.maxEntries} variants`, 'one more');
      variants.push(readVariant(pending.line, pending.attributes, resolveUri(line, line.value, base)));
      pending = null;
    } else if (line.tag === 'EXT-X-STREAM-INF') pending = { line, attributes: readAttributes(line) };
    else if (line.tag === 'EXT-X-VERSION') version = readInteger(line);
    else if (line.tag === 'EXT-X-MEDIA') readMediaTag(line, groups);
  }
  if (pending !== null) throw invalid(pending.line.number, 'a URI in the line after EXT-X-STREAM-INF', '');
  return {
    kind: 'master',
    version,
    variants: variants.map(({ audioGroup, ...variant }) => ({
      ...variant,
      separateAudio: groups.get(audioGroup ?? '') === false,
    })),
  };
}

function readMediaTag(line: Line, groups: Map<string, boolean>): void {
  const attributes = readAttributes(line);
  if (requireAttribute(line, attributes, 'TYPE') !== 'AUDIO') return;
  const group = requireAttribute(line, attributes, 'GROUP-ID');
  groups.set(group, groups.get(group) === true || !attributes.has('URI'));
}

function readVariant(line: Line, attributes: Attributes, url: string): PendingVariant {
  requireAttribute(line, attributes, 'BANDWIDTH');
  return {
    url,
    bandwidth: integerAttribute(line, attributes, 'BANDWIDTH') ?? 0,
    averageBandwidth: integerAttribute(line, attributes, 'AVERAGE-BANDWIDTH'),
    resolution: resolutionAttribute(attributes, 'RESOLUTION'),
    codecs: attributes.get('CODECS') ?? null,
    audioGroup: attributes.get('AUDIO') ?? null,
  };
}
