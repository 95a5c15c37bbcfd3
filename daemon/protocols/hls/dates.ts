import { type Attributes, isYes, requireAttribute } from './attributes.js';
import { invalid, type Line } from './lines.js';
import type { DateRange } from './playlist.js';

/** ISO 8601 as section 4.4.4.6 shows it; an offset may lack its colon, and UTC is taken where it is missing. */
const DATE = /^(\d{4}-\d{2}-\d{2})[T ](\d{2}:\d{2}(?::\d{2}(?:[.,]\d{1,9})?)?)(?:(Z)|([+-]\d{2}):?(\d{2})?)?$/i;

/** A date and time in milliseconds since 1970. @throws SluiceError PLAYLIST_INVALID */
export function readDate(line: Line, text: string): number {
  const match = DATE.exec(text);
  const zone = match?.[4] === undefined ? 'Z' : `${match[4]}:${match[5] ?? '00'}`;
  const value = match === null ? Number.NaN : Date.parse(`${match[1]}T${match[2]?.replace(',', '.')}${zone}`);
  if (Number.isNaN(value)) throw invalid(line.number, `a date and time (ISO 8601) in ${line.tag}`, text);
  return value;
}

/** EXT-X-DATERANGE (RFC 8216bis section 4.4.5.1). */
export function readDateRange(line: Line, attributes: Attributes): DateRange {
  const date = (name: string): number | null => {
    const text = attributes.get(name);
    return text === undefined ? null : readDate(line, text);
  };
  return {
    id: requireAttribute(line, attributes, 'ID'),
    class: attributes.get('CLASS') ?? null,
    startMs: date('START-DATE'),
    endMs: date('END-DATE'),
    durationMs: longSeconds(line, attributes, 'DURATION'),
    plannedDurationMs: longSeconds(line, attributes, 'PLANNED-DURATION'),
    endOnNext: isYes(attributes, 'END-ON-NEXT'),
    attributes,
  };
}

/** Seconds of any length as milliseconds: a programme may last longer than the day that segments may. */
function longSeconds(line: Line, attributes: Attributes, name: string): number | null {
  const text = attributes.get(name);
  if (text === undefined) return null;
  if (!/^\d{1,12}(\.\d*)?$/.test(text)) throw invalid(line.number, `seconds for ${name} in ${line.tag}`, text);
  return Number(text) * 1000;
}
