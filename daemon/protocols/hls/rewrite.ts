import { applyEdits, type Edit } from '../edits.js';
import { scanAttributes } from './attributes.js';
import { DEFAULT_LIMITS, type Line, type PlaylistLimits, readLines } from './lines.js';
import { Scope } from './scope.js';

/** What a reference in a playlist points to. */
export type HlsRole =
  | 'variant'
  | 'rendition'
  | 'iframe'
  | 'segment'
  | 'part'
  | 'map'
  | 'key'
  | 'session-key'
  | 'preload-hint'
  | 'rendition-report'
  | 'session-data'
  | 'steering'
  /** X-ASSET-URI of an interstitial: a playlist. */
  | 'asset'
  /** X-ASSET-LIST of an interstitial: JSON with the URIs of playlists. */
  | 'asset-list';

/**
 * What is to stand in the place of a reference; null leaves it as written. Only `http:` and `https:` URLs are asked for:
 * what `data:` or the scheme of a DRM system names is not fetched by HTTP.
 * @param written as it stands in the playlist, references to variables included
 */
export type MapHlsUri = (absoluteUrl: string, role: HlsRole, written: string) => string | null;

export interface HlsRewriteOptions {
  readonly limits?: PlaylistLimits;
  /** Variables of the multivariant playlist, for EXT-X-DEFINE:IMPORT. */
  readonly imports?: ReadonlyMap<string, string>;
}

/** Tag -> its attributes that are references. */
const REFERENCES: ReadonlyMap<string, ReadonlyMap<string, HlsRole>> = new Map(
  (
    [
      ['EXT-X-MEDIA', { URI: 'rendition' }],
      ['EXT-X-I-FRAME-STREAM-INF', { URI: 'iframe' }],
      ['EXT-X-PART', { URI: 'part' }],
      ['EXT-X-MAP', { URI: 'map' }],
      ['EXT-X-KEY', { URI: 'key' }],
      ['EXT-X-SESSION-KEY', { URI: 'session-key' }],
      ['EXT-X-PRELOAD-HINT', { URI: 'preload-hint' }],
      ['EXT-X-RENDITION-REPORT', { URI: 'rendition-report' }],
      ['EXT-X-SESSION-DATA', { URI: 'session-data' }],
      ['EXT-X-CONTENT-STEERING', { 'SERVER-URI': 'steering' }],
      ['EXT-X-DATERANGE', { 'X-ASSET-URI': 'asset', 'X-ASSET-LIST': 'asset-list' }],
    ] satisfies [string, Record<string, HlsRole>][]
  ).map(([tag, attributes]) => [tag, new Map(Object.entries<HlsRole>(attributes))]),
);

/** The CLASS of date ranges whose X-ASSET-… are references (RFC 8216bis appendix D); of others they are anybody's. */
const INTERSTITIAL = 'com.apple.hls.interstitial';

/** A reference as it stands in the text. */
interface Written {
  readonly value: string;
  /** An attribute without the quotes that it must have; a comma would cut it. */
  readonly bare: boolean;
  readonly at: number;
}

/**
 * Replaces the references of a playlist (RFC 8216bis) where they stand. Everything else stays as it is, character by
 * character: unknown tags, comments, blank lines, line ends, attributes and their order. Variables in references are
 * replaced before `mapUri` is asked.
 * @param text with its byte order mark, if it has one (`new TextDecoder('utf-8', { ignoreBOM: true })`)
 * @param baseUrl absolute URL that the playlist came from, after redirects
 * @throws SluiceError PLAYLIST_INVALID where a reference cannot be read, or over a limit; RangeError when `mapUri` gives
 *   what cannot stand in its place
 */
export function rewriteHls(text: string, baseUrl: string, mapUri: MapHlsUri, options: HlsRewriteOptions = {}): string {
  const limits = options.limits ?? DEFAULT_LIMITS;
  const scope = new Scope(baseUrl, limits, options.imports);
  const edits: Edit[] = [];
  let variant = false;
  for (const line of readLines(text, limits)) {
    if (line.tag === 'EXT-X-DEFINE') scope.variables.define(line);
    if (line.tag !== '') edits.push(...tagEdits(line, scope, mapUri));
    else edits.push(...editOf(line, { ...line, bare: false }, variant ? 'variant' : 'segment', scope, mapUri));
    if (line.tag === '' || line.tag === 'EXT-X-STREAM-INF') variant = line.tag !== '';
  }
  return applyEdits(text, edits);
}

function tagEdits(line: Line, scope: Scope, mapUri: MapHlsUri): Edit[] {
  const references = REFERENCES.get(line.tag);
  if (references === undefined) return [];
  const attributes = [...scanAttributes(line)];
  const isInterstitial = attributes.some(
    ({ name, value }) => name === 'CLASS' && scope.variables.apply(line, value) === INTERSTITIAL,
  );
  if (line.tag === 'EXT-X-DATERANGE' && !isInterstitial) return [];
  return attributes.flatMap((attribute) => {
    const role = references.get(attribute.name);
    return role === undefined ? [] : editOf(line, { ...attribute, bare: !attribute.quoted }, role, scope, mapUri);
  });
}

/** The edit of one reference; none where it stays as written. */
function editOf(line: Line, written: Written, role: HlsRole, scope: Scope, mapUri: MapHlsUri): Edit[] {
  const { value, bare, at } = written;
  const url = scope.url(line, scope.variables.apply(line, value));
  if (!/^https?:/.test(url)) return [];
  const mapped = mapUri(url, role, value);
  if (mapped === null || mapped === value) return [];
  if (!/^[^#"\s][^"\s]*$/.test(mapped))
    throw new RangeError(`playlist line ${line.number}: expected a URI for the ${role}, got ${JSON.stringify(mapped)}`);
  // A value of a variable may look like a reference; with variables about, the client would try to replace it.
  const uri = scope.variables.values.size === 0 ? mapped : mapped.replaceAll('{$', '%7B$');
  return [{ start: at, end: at + value.length, replacement: bare ? `"${uri}"` : uri }];
}
