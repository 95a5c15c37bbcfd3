import { type Attributes, isYes, readAttributes, requireAttribute } from './attributes.js';
import { invalid, type Line, type PlaylistLimits, readInteger, resolveUri } from './lines.js';
import type { StartPoint } from './playlist.js';
import { Variables } from './variables.js';

/** What holds for a whole playlist while it is read, and the tags that both kinds have (RFC 8216bis section 4.4.2). */
export class Scope {
  readonly limits: PlaylistLimits;
  readonly variables: Variables;
  readonly #base: string;
  version = 1;
  independentSegments = false;
  start: StartPoint | null = null;

  /**
   * @param base absolute URL of the playlist
   * @param imports variables of its multivariant playlist
   */
  constructor(base: string, limits: PlaylistLimits, imports?: ReadonlyMap<string, string>) {
    if (!URL.canParse(base)) throw invalid(0, 'an absolute URL to resolve its URIs with', base);
    this.limits = limits;
    this.#base = base;
    this.variables = new Variables(base, limits, imports);
  }

  /** The attributes of a tag, references to variables replaced. */
  attributes(line: Line): Attributes {
    return readAttributes(line, this.variables);
  }

  /** The absolute URL of a line that is a URI. */
  lineUrl(line: Line): string {
    return this.url(line, this.variables.apply(line, line.value));
  }

  /** The absolute URL of a URI whose references to variables are replaced. */
  url(line: Line, uri: string): string {
    return resolveUri(line, uri, this.#base);
  }

  /** The absolute URL of the attribute `URI`, which must be there. */
  requiredUrl(line: Line, attributes: Attributes, name = 'URI'): string {
    return this.url(line, requireAttribute(line, attributes, name));
  }

  /** The absolute URL of the attribute `URI`, or null. */
  optionalUrl(line: Line, attributes: Attributes): string | null {
    return attributes.has('URI') ? this.requiredUrl(line, attributes) : null;
  }

  /** Adds to a list of the playlist. @throws SluiceError PLAYLIST_INVALID when it is full */
  add<T>(list: T[], item: T, line: Line, what: string): void {
    const { maxEntries } = this.limits;
    if (list.length >= maxEntries) throw invalid(line.number, `at most ${maxEntries} ${what}`, 'one more');
    list.push(item);
  }

  /** Takes a tag that both kinds of playlist have; false when it is none. */
  readCommonTag(line: Line): boolean {
    switch (line.tag) {
      case 'EXT-X-VERSION':
        this.version = readInteger(line);
        return true;
      case 'EXT-X-INDEPENDENT-SEGMENTS':
        this.independentSegments = true;
        return true;
      case 'EXT-X-DEFINE':
        this.variables.define(line);
        return true;
      case 'EXT-X-START':
        this.start = readStart(line, this.attributes(line));
        return true;
      default:
        return false;
    }
  }
}

function readStart(line: Line, attributes: Attributes): StartPoint {
  const text = requireAttribute(line, attributes, 'TIME-OFFSET');
  if (!/^[+-]?\d{1,9}(\.\d*)?$/.test(text)) throw invalid(line.number, 'seconds for TIME-OFFSET in EXT-X-START', text);
  return { offsetMs: Number(text) * 1000, precise: isYes(attributes, 'PRECISE') };
}
