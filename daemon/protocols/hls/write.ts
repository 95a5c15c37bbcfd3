/** One rendition as our master playlist lists it. */
export interface ListedVariant {
  /** Relative or absolute; written as it is. */
  readonly uri: string;
  /** Peak, bits a second; at least 1. */
  readonly bandwidth: number;
  readonly averageBandwidth: number | null;
  readonly resolution: { readonly width: number; readonly height: number } | null;
  readonly codecs: string | null;
}

/**
 * A master playlist (RFC 8216 section 4.3.4). The variants keep their order: players begin with the first.
 * The values must be free of quotes and line ends, as the configuration's types ensure.
 */
export function writeMasterPlaylist(variants: readonly ListedVariant[]): string {
  const lines = ['#EXTM3U', '#EXT-X-VERSION:3'];
  for (const variant of variants) lines.push(`#EXT-X-STREAM-INF:${attributesOf(variant).join(',')}`, variant.uri);
  return `${lines.join('\n')}\n`;
}

function attributesOf(variant: ListedVariant): string[] {
  const attributes = [`BANDWIDTH=${Math.max(1, Math.round(variant.bandwidth))}`];
  if (variant.averageBandwidth !== null)
    attributes.push(`AVERAGE-BANDWIDTH=${Math.max(1, Math.round(variant.averageBandwidth))}`);
  if (variant.resolution !== null)
    attributes.push(`RESOLUTION=${variant.resolution.width}x${variant.resolution.height}`);
  if (variant.codecs !== null) attributes.push(`CODECS="${variant.codecs}"`);
  return attributes;
}
