import type { ViewerStatus } from '../../streams/status.js';
import { attribute, byId, el, Keyed, text } from './dom.js';
import { bytes, count, duration, plural } from './format.js';

/** Rows shown: the rest is only counted. */
const MOST = 12;

/** The table of continuous viewers: those furthest behind the live edge first. */
export class Clients {
  readonly #body = byId('clients');
  readonly #note = byId('clients-note');
  readonly #rows = new Keyed(this.#body, () => new ClientRow());
  readonly #nobody = el('tr', {}, el('td', { colspan: '7' }, 'Nobody is connected to a continuous stream.'));

  update(viewers: readonly ViewerStatus[]): void {
    const shown = [...viewers].sort((a, b) => b.lagBytes - a.lagBytes || a.id - b.id).slice(0, MOST);
    this.#nobody.remove();
    const rows = this.#rows.sync(shown.map((viewer) => String(viewer.id)));
    for (const [index, viewer] of shown.entries()) rows[index]?.update(viewer);
    if (shown.length === 0) this.#body.append(this.#nobody);
    const more = viewers.length > MOST ? `the ${MOST} furthest behind live of ` : '';
    text(this.#note, viewers.length === 0 ? '' : `${more}${plural(viewers.length, 'viewer')}`);
  }
}

class ClientRow {
  readonly root: HTMLTableRowElement;
  readonly #cells = ['', '', 'num', 'num', 'num', 'num', ''].map((kind) => el('td', { class: kind }));

  constructor() {
    this.root = el('tr', {}, ...this.#cells);
  }

  update(viewer: ViewerStatus): void {
    const values = [
      viewer.remote,
      viewer.stream,
      duration(viewer.connectedSeconds),
      bytes(viewer.bytes),
      bytes(viewer.lagBytes),
      count(viewer.drops),
      viewer.userAgent,
    ];
    for (const [index, cell] of this.#cells.entries()) text(cell, values[index] ?? '');
    const [agent, drops] = [this.#cells[6], this.#cells[5]];
    if (agent !== undefined) attribute(agent, 'title', viewer.userAgent);
    if (drops !== undefined) attribute(drops, 'data-state', viewer.drops > 0 ? 'warn' : null);
  }
}
