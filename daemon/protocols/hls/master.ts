import { type Attributes, integerAttribute, isYes, requireAttribute, resolutionAttribute } from './attributes.js';
import { readKey } from './keys.js';
import { invalid, type Line } from './lines.js';
import type { ContentSteering, Key, MasterPlaylist, Rendition, SessionData, StreamInfo, Variant } from './playlist.js';
import type { Scope } from './scope.js';

/** Reads a multivariant playlist line by line (RFC 8216bis section 4.4.6). Variants stand in the playlist's order. */
export class MasterReader {
  readonly #scope: Scope;
  readonly #variants: Omit<Variant, 'separateAudio'>[] = [];
  readonly #iFrameVariants: StreamInfo[] = [];
  readonly #renditions: Rendition[] = [];
  readonly #sessionKeys: Key[] = [];
  readonly #sessionData: SessionData[] = [];
  #steering: ContentSteering | null = null;
  /** An EXT-X-STREAM-INF whose URI has not come yet. */
  #pending: { readonly line: Line; readonly attributes: Attributes } | null = null;

  constructor(scope: Scope) {
    this.#scope = scope;
  }

  read(lines: readonly Line[]): MasterPlaylist {
    for (const line of lines) {
      if (line.tag === '') this.#readVariant(line);
      else if (!this.#scope.readCommonTag(line)) this.#readTag(line);
    }
    if (this.#pending !== null)
      throw invalid(this.#pending.line.number, 'a URI in the line after EXT-X-STREAM-INF', '');
    const { version, independentSegments, start, variables } = this.#scope;
    const muxed = this.#groupsWithoutUri();
    return {
      kind: 'master',
      version,
      independentSegments,
      start,
      variables: variables.values,
      variants: this.#variants.map((variant) => ({
        ...variant,
        separateAudio: muxed.get(variant.groups.audio ?? '') === false,
      })),
      iFrameVariants: this.#iFrameVariants,
      renditions: this.#renditions,
      sessionKeys: this.#sessionKeys,
      sessionData: this.#sessionData,
      steering: this.#steering,
    };
  }

  /** AUDIO group -> whether one of its renditions is in the variant's own segments (no URI, section 4.4.6.2.1). */
  #groupsWithoutUri(): ReadonlyMap<string, boolean> {
    const groups = new Map<string, boolean>();
    for (const { type, groupId, url } of this.#renditions)
      if (type === 'AUDIO') groups.set(groupId, groups.get(groupId) === true || url === null);
    return groups;
  }

  #readTag(line: Line): void {
    const scope = this.#scope;
    switch (line.tag) {
      case 'EXT-X-STREAM-INF':
        this.#pending = { line, attributes: scope.attributes(line) };
        break;
      case 'EXT-X-I-FRAME-STREAM-INF':
        scope.add(this.#iFrameVariants, readIFrameVariant(line, scope), line, 'I-frame variants');
        break;
      case 'EXT-X-MEDIA':
        scope.add(this.#renditions, readRendition(line, scope), line, 'renditions');
        break;
      case 'EXT-X-SESSION-KEY': {
        const key = readKey(line, scope);
        if (key === null) throw invalid(line.number, 'a METHOD other than NONE in EXT-X-SESSION-KEY', line.value);
        scope.add(this.#sessionKeys, key, line, 'session keys');
        break;
      }
      case 'EXT-X-SESSION-DATA':
        scope.add(this.#sessionData, readSessionData(line, scope), line, 'pieces of session data');
        break;
      case 'EXT-X-CONTENT-STEERING':
        this.#steering = readSteering(line, scope);
        break;
      default:
    }
  }

  #readVariant(line: Line): void {
    if (this.#pending === null) throw invalid(line.number, 'EXT-X-STREAM-INF before the URI of a variant', line.value);
    const { line: tag, attributes } = this.#pending;
    this.#pending = null;
    const variant = {
      ...readStreamInfo(tag, attributes, this.#scope.lineUrl(line)),
      groups: {
        audio: attributes.get('AUDIO') ?? null,
        video: attributes.get('VIDEO') ?? null,
        subtitles: attributes.get('SUBTITLES') ?? null,
        closedCaptions: attributes.get('CLOSED-CAPTIONS') ?? null,
      },
    };
    this.#scope.add(this.#variants, variant, line, 'variants');
  }
}

function readStreamInfo(line: Line, attributes: Attributes, url: string): StreamInfo {
  requireAttribute(line, attributes, 'BANDWIDTH');
  return {
    url,
    bandwidth: integerAttribute(line, attributes, 'BANDWIDTH') ?? 0,
    averageBandwidth: integerAttribute(line, attributes, 'AVERAGE-BANDWIDTH'),
    resolution: resolutionAttribute(attributes, 'RESOLUTION'),
    codecs: attributes.get('CODECS') ?? null,
    pathwayId: attributes.get('PATHWAY-ID') ?? '.',
  };
}

function readIFrameVariant(line: Line, scope: Scope): StreamInfo {
  const attributes = scope.attributes(line);
  return readStreamInfo(line, attributes, scope.requiredUrl(line, attributes));
}

function readRendition(line: Line, scope: Scope): Rendition {
  const attributes = scope.attributes(line);
  return {
    type: requireAttribute(line, attributes, 'TYPE'),
    groupId: requireAttribute(line, attributes, 'GROUP-ID'),
    name: attributes.get('NAME') ?? '',
    language: attributes.get('LANGUAGE') ?? null,
    isDefault: isYes(attributes, 'DEFAULT'),
    autoselect: isYes(attributes, 'AUTOSELECT'),
    forced: isYes(attributes, 'FORCED'),
    url: scope.optionalUrl(line, attributes),
  };
}

function readSessionData(line: Line, scope: Scope): SessionData {
  const attributes = scope.attributes(line);
  return {
    id: requireAttribute(line, attributes, 'DATA-ID'),
    value: attributes.get('VALUE') ?? null,
    url: scope.optionalUrl(line, attributes),
    language: attributes.get('LANGUAGE') ?? null,
  };
}

function readSteering(line: Line, scope: Scope): ContentSteering {
  const attributes = scope.attributes(line);
  return {
    serverUrl: scope.requiredUrl(line, attributes, 'SERVER-URI'),
    pathwayId: attributes.get('PATHWAY-ID') ?? null,
  };
}
