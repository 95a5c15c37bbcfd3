/** Playlists and manifests on their way through: whatever they name that is to be had here, is named here. */
import { SluiceError } from '../base/errors.js';
import { rewriteDash } from '../protocols/dash/rewrite.js';
import { rewriteHls } from '../protocols/hls/rewrite.js';

/** What is rewritten; everything else goes through as it comes. */
export type DocumentKind = 'hls' | 'dash';

const ENDS: readonly (readonly [end: string, kind: DocumentKind])[] = [
  ['.m3u8', 'hls'],
  ['.m3u', 'hls'],
  ['.mpd', 'dash'],
];

/** Ends of the paths of documents, in lower case. */
export const DOCUMENT_ENDS: readonly string[] = ENDS.map(([end]) => end);

/** Where a document comes from, and where things are to be had. */
export interface DocumentPlace {
  /** What was asked of the origin: viewers resolve what is relative by the path here that stands for it. */
  readonly asked: string;
  /** What answered, after redirects: what is relative in the document is relative to that. */
  readonly url: string;
  /** The path of the front that the site of the document stands at. */
  readonly prefix: string;
  /** The path under which a site gives out what is at a URL, or null. */
  readonly localUrl: (url: string) => string | null;
}

/** By the path's last segment: `.m3u8` and `.m3u` are HLS, `.mpd` is DASH. Null for everything else. */
export function documentKind(target: string): DocumentKind | null {
  const path = target.split('?', 1)[0]?.toLowerCase() ?? '';
  return ENDS.find(([end]) => path.endsWith(end))?.[1] ?? null;
}

/**
 * The document with every reference to something that a site has led to that site, and with those left whole that would
 * otherwise lead somewhere else than at the origin; nothing else is touched.
 * @throws SluiceError PLAYLIST_INVALID, MANIFEST_INVALID
 */
export function rewriteDocument(kind: DocumentKind, text: string, place: DocumentPlace): string {
  const map = mapperOf(place);
  if (kind === 'dash') return rewriteDash(text, place.url, (url, _, written) => map(url, written));
  const near = relativeTo(place);
  return rewriteHls(text, place.url, (url, _, written) => near(map(url, written)));
}

/**
 * Within the site as the way from the document: a token that stands behind the prefix is carried on by whatever is relative.
 * Not for manifests, where a reference may be relative to another one.
 */
function relativeTo({ asked, prefix, localUrl }: DocumentPlace): (path: string | null) => string | null {
  const own = localUrl(asked)?.slice(prefix.length).split('?', 1)[0] ?? '';
  const up = '../'.repeat(own.split('/').length - 1) || './';
  return (path) => (path?.startsWith(prefix) === true ? `${up}${path.slice(prefix.length)}` : path);
}

/** Whether an error says that a document cannot be read. */
export function isUnreadable(error: unknown): error is SluiceError {
  return error instanceof SluiceError && (error.code === 'PLAYLIST_INVALID' || error.code === 'MANIFEST_INVALID');
}

/** What stands in the place of a reference; null where it stays as written. */
function mapperOf({ asked, url, localUrl }: DocumentPlace): (target: string, written: string) => string | null {
  // Redirected elsewhere, what is relative no longer leads to what is beside the document here.
  const moved = folderOf(asked) !== folderOf(url);
  return (target, written) => {
    if (!moved && isBelow(written)) return null;
    return localUrl(target) ?? (isAbsolute(written) ? null : target);
  };
}

function folderOf(url: string): string {
  return new URL('.', url).href;
}

/** Has a scheme, or a host at least: leads to the same from everywhere. */
function isAbsolute(written: string): boolean {
  return /^(?:[a-z][a-z0-9+.-]*:|\/\/)/i.test(written.trim());
}

/** Relative, and without a step upwards: by the origin and by us it is what is beside the document. */
function isBelow(written: string): boolean {
  const path = written.trim().split(/[?#]/, 1)[0] ?? '';
  return !isAbsolute(path) && !path.startsWith('/') && !path.includes('{$') && !/(?:^|\/)\.\.(?:\/|$)/.test(path);
}
