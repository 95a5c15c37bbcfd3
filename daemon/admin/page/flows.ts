import type { FlowStatus } from '../../flows/status.js';
import { attribute, byId, el, Keyed, text } from './dom.js';
import { count, rate } from './format.js';

/** Rows shown, and asked for. */
export const MOST_FLOWS = 12;

/** The table of flows: those that carry most first. Not there while there are none. */
export class Flows {
  readonly #panel = byId('flows-panel');
  readonly #rows = new Keyed(byId('flows'), () => new FlowRow());

  update(flows: readonly FlowStatus[]): void {
    this.#panel.hidden = flows.length === 0;
    const rows = this.#rows.sync(flows.map(({ id }) => id));
    for (const [index, flow] of flows.entries()) rows[index]?.update(flow);
  }
}

class FlowRow {
  readonly root: HTMLTableRowElement;
  readonly #cells = ['', '', '', 'num', 'num', 'num', 'num', 'num'].map((kind) => el('td', { class: kind }));

  constructor() {
    this.root = el('tr', {}, ...this.#cells);
  }

  update(flow: FlowStatus): void {
    const { counters, rates, state } = flow;
    const drops = counters.sendErrors + counters.shedLate + counters.shedPriority;
    const values = [
      flow.id,
      flow.input,
      state,
      `${flow.receiversOpen}/${flow.receivers}`,
      rate(rates.bitsIn),
      rate(rates.bitsOut),
      count(counters.rtpLost),
      count(drops),
    ];
    for (const [index, cell] of this.#cells.entries()) text(cell, values[index] ?? '');
    const [, , standing, , , , , dropped] = this.#cells;
    if (standing !== undefined) {
      attribute(standing, 'data-state', state === 'failed' ? 'warn' : null);
      attribute(standing, 'title', flow.reason);
    }
    if (dropped !== undefined) attribute(dropped, 'data-state', drops > 0 ? 'warn' : null);
  }
}
