import type { ChannelStatus, RenditionStatus } from '../../streams/status.js';
import { attribute, el, Keyed, text } from './dom.js';
import { bytes, count, milliseconds, plural, rate } from './format.js';
import { Path } from './path.js';

/** A column of the figures under a channel; `warn` tells when a figure deserves attention. */
interface Column {
  readonly name: string;
  readonly of: (r: RenditionStatus) => string;
  readonly warn?: (r: RenditionStatus) => boolean;
}

const dropsOf = (r: RenditionStatus): number => r.ring.fullDrops + r.viewers.drops + (r.multicast?.drops ?? 0);
const errorsOf = (r: RenditionStatus): number =>
  r.input.continuityErrors + r.input.transportErrors + r.input.syncErrors;

const COLUMNS: readonly Column[] = [
  { name: 'Bitrate', of: (r) => rate(r.bitrate) },
  { name: 'Bytes in', of: (r) => bytes(r.input.bytes) },
  { name: 'Bytes out', of: (r) => bytes(r.viewers.bytes + (r.multicast?.bytes ?? 0)) },
  { name: 'Upstream', of: (r) => count(r.source.connections) },
  { name: 'Viewers', of: (r) => count(r.viewers.continuous + r.viewers.hls) },
  { name: 'Drops', of: (r) => count(dropsOf(r)), warn: (r) => dropsOf(r) > 0 },
  { name: 'TS errors', of: (r) => count(errorsOf(r)), warn: (r) => errorsOf(r) > 0 },
  { name: 'Splices', of: (r) => count(r.input.discontinuities) },
  { name: 'Underruns', of: (r) => count(r.ring.underruns), warn: (r) => r.ring.underruns > 0 },
  { name: 'Clock', of: (r) => `${r.ring.clockPpm >= 0 ? '+' : '−'}${Math.abs(r.ring.clockPpm).toFixed(1)}\u00a0ppm` },
  { name: 'Last byte', of: (r) => (r.input.lastInputAgeMs === null ? '–' : milliseconds(r.input.lastInputAgeMs)) },
];

/** One channel: its state, the path of each rendition, and the figures in a table. */
export class ChannelCard {
  readonly root = el('section', { class: 'panel channel' });
  readonly #name = el('h2');
  readonly #badge = el('span', { class: 'badge' });
  readonly #sum = el('span', { class: 'sum' });
  readonly #hls = el('a', {}, 'Master playlist');
  readonly #paths: Keyed<Path>;
  readonly #rows: Keyed<FigureRow>;
  #renditions = new Map<string, RenditionStatus>();

  constructor(id: string) {
    const paths = el('div');
    const body = el('tbody');
    this.#paths = new Keyed(paths, (key) => new Path(this.#rendition(key.split(' ', 1)[0] ?? '')));
    this.#rows = new Keyed(body, (key) => new FigureRow(key));
    const heads = COLUMNS.map(({ name }) => el('th', { scope: 'col', class: 'num' }, name));
    const head = el('thead', {}, el('tr', {}, el('th', { scope: 'col' }, 'Rendition'), ...heads));
    const caption = el('caption', { class: 'hidden' }, `Figures of channel ${id}`);
    this.root.append(
      el(
        'header',
        { class: 'panel-head' },
        this.#name,
        el('span', { class: 'id' }, id),
        this.#badge,
        this.#sum,
        this.#hls,
      ),
      paths,
      el('div', { class: 'scroll' }, el('table', { class: 'figures' }, caption, head, body)),
    );
    attribute(this.root, 'data-channel', id);
  }

  /** Shows the channel as it is now. */
  update(channel: ChannelStatus): void {
    this.#renditions = new Map(channel.renditions.map((rendition) => [rendition.id, rendition]));
    text(this.#name, channel.name);
    text(this.#badge, channel.state);
    attribute(this.#badge, 'data-state', channel.state);
    const sum = `${plural(channel.connections, 'upstream connection')} for ${plural(channel.renditions.length, 'rendition')} · ${plural(channel.viewers, 'viewer')}`;
    text(this.#sum, sum);
    attribute(this.#hls, 'href', channel.hls);
    const ids = [...this.#renditions.keys()];
    // A rendition that got or lost its sender, by a restart with another configuration, is drawn anew.
    const paths = this.#paths.sync(
      channel.renditions.map((one) => (one.multicast === null ? one.id : `${one.id} multicast`)),
    );
    const rows = this.#rows.sync(ids);
    ids.forEach((id, index) => {
      paths[index]?.update(this.#rendition(id));
      rows[index]?.update(this.#rendition(id));
    });
  }

  #rendition(id: string): RenditionStatus {
    const rendition = this.#renditions.get(id);
    if (rendition === undefined) throw new Error(`no rendition ${id}`);
    return rendition;
  }
}

class FigureRow {
  readonly root: HTMLTableRowElement;
  readonly #cells = COLUMNS.map(() => el('td', { class: 'num' }));

  constructor(id: string) {
    this.root = el('tr', {}, el('th', { scope: 'row' }, id), ...this.#cells);
  }

  update(rendition: RenditionStatus): void {
    COLUMNS.forEach((column, index) => {
      const cell = this.#cells[index];
      if (cell === undefined) return;
      text(cell, column.of(rendition));
      attribute(cell, 'data-state', column.warn?.(rendition) === true ? 'warn' : null);
    });
  }
}

/** Why a channel has no picture: the first rendition's reason; null when there is one. */
export function noSignal(channel: ChannelStatus): string | null {
  if (channel.state !== 'down') return null;
  const first = channel.renditions.find((rendition) => rendition.reason !== null);
  return first === undefined ? 'waiting for media' : `${first.id}: ${first.reason}`;
}
