/** The DASH manifests of fixtures/dash, and what mpd-parser makes of manifests. For tests. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { inheritAttributes, type MpdRepresentation, stringToMpdXml, toPlaylists } from 'mpd-parser';
import { ROOT } from '../quality/rooms.js';

export const URL_OF_MPD = 'https://origin.example/live/ch1/manifest.mpd?token=1';

export interface Fixture {
  readonly name: string;
  readonly text: string;
  /** A moment at which the segments of a dynamic one are there. */
  readonly nowMs: number;
}

const NOW: Readonly<Record<string, string>> = {
  'ffmpeg-low-latency.mpd': '2026-11-20T11:03:07.000Z',
  'ffmpeg-number.mpd': '2026-11-20T12:00:00.000Z',
  'ffmpeg-timeline-time.mpd': '2026-11-20T11:04:17.700Z',
  'ffmpeg-list.mpd': '2026-11-20T12:00:00.000Z',
  'live-timeline.mpd': '2024-05-01T12:00:00.000Z',
  'live-multi-period.mpd': '2024-05-01T11:59:30.500Z',
};

export const FIXTURES: readonly Fixture[] = Object.entries(NOW).map(([name, now]) => ({
  name,
  text: readFileSync(join(ROOT, 'fixtures', 'dash', name), 'utf8'),
  nowMs: Date.parse(now),
}));

export function fixture(name: string): Fixture {
  const found = FIXTURES.find((one) => one.name === name);
  if (found === undefined) throw new Error(`no fixture ${name}`);
  return found;
}

/** Every representation with its segments, as mpd-parser sees them; alternatives by further base URLs left out. */
export function oracle(text: string, nowMs: number, manifestUri = URL_OF_MPD): MpdRepresentation[] {
  const { representationInfo } = inheritAttributes(stringToMpdXml(text), { manifestUri, NOW: nowMs, clientOffset: 0 });
  const seen = new Set<string>();
  return toPlaylists(representationInfo).filter(({ attributes: { id, periodStart } }) => {
    const key = `${periodStart}/${id}`;
    return !seen.has(key) && seen.add(key);
  });
}
