/** One entry of a play list for IPTV players. */
export interface ListEntry {
  /** Stable id (`tvg-id`). */
  readonly id: string;
  /** What people see. */
  readonly name: string;
  /** Absolute URL. */
  readonly url: string;
}

/**
 * An extended M3U play list (no standard; the form that VLC, Kodi and set-top boxes read). What would break a line or an
 * attribute is taken out of the names.
 */
export function writeM3u(entries: readonly ListEntry[]): string {
  const lines = ['#EXTM3U'];
  for (const entry of entries) {
    const name = entry.name.replace(/[\p{Cc}\u2028\u2029]/gu, ' ').trim();
    const attribute = (text: string): string => text.replaceAll('"', "'");
    lines.push(`#EXTINF:-1 tvg-id="${attribute(entry.id)}" tvg-name="${attribute(name)}",${name}`, entry.url);
  }
  return `${lines.join('\n')}\n`;
}
