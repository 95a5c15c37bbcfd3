import type { HistoryPoint } from '../model.js';
import { rate } from './format.js';
import uPlot from './vendor/uplot.js';

/** Seconds shown. */
const SPAN_S = 300;

type Series = [number[], (number | null)[], (number | null)[]];

/** Bytes in beside bytes out over the last five minutes. */
export class TrafficChart {
  readonly #data: Series = [[], [], []];
  #plot: uPlot | undefined;

  constructor(private readonly parent: HTMLElement) {
    this.#draw();
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.#draw());
    new ResizeObserver(() => this.#plot?.setSize(this.#size())).observe(parent);
  }

  /** Replaces everything shown. */
  load(points: readonly HistoryPoint[]): void {
    const [times, incoming, outgoing] = this.#data;
    for (const column of this.#data) column.length = 0;
    for (const point of points) {
      times.push(point.time);
      incoming.push(point.bitsIn);
      outgoing.push(point.bitsOut);
    }
    this.#show();
  }

  /** Adds one second at the right. */
  add(point: HistoryPoint): void {
    const [times, incoming, outgoing] = this.#data;
    const last = times.at(-1);
    if (last !== undefined && point.time <= last) return;
    // A pause (daemon restarted, page asleep) is a gap, not a slope.
    if (last !== undefined && point.time - last > 3) this.#push(last + 1, null, null);
    this.#push(point.time, point.bitsIn, point.bitsOut);
    while ((times[0] ?? 0) < point.time - SPAN_S) {
      times.shift();
      incoming.shift();
      outgoing.shift();
    }
    this.#show();
  }

  #push(time: number, incoming: number | null, outgoing: number | null): void {
    this.#data[0].push(time);
    this.#data[1].push(incoming);
    this.#data[2].push(outgoing);
  }

  #show(): void {
    const end = this.#data[0].at(-1) ?? Date.now() / 1000;
    this.#plot?.batch(() => {
      this.#plot?.setData(this.#data, false);
      this.#plot?.setScale('x', { min: end - SPAN_S, max: end });
    });
  }

  #size(): { width: number; height: number } {
    return { width: Math.max(200, this.parent.clientWidth), height: Math.max(120, this.parent.clientHeight) };
  }

  #draw(): void {
    this.#plot?.destroy();
    this.#plot = new uPlot(optionsFor(getComputedStyle(this.parent), this.#size()), this.#data, this.parent);
    this.#show();
  }
}

function optionsFor(style: CSSStyleDeclaration, size: { width: number; height: number }): uPlot.Options {
  const colour = (name: string): string => style.getPropertyValue(name).trim();
  const font = `11px ${style.fontFamily}`;
  const axis = {
    stroke: colour('--muted'),
    font,
    grid: { stroke: colour('--line'), width: 1 },
    ticks: { show: false },
  };
  const line = (label: string, name: string): uPlot.Series => ({
    label,
    stroke: colour(`--${name}`),
    fill: colour(`--${name}-wash`),
    width: 1.5,
    points: { show: false },
    spanGaps: false,
  });
  return {
    ...size,
    padding: [8, 4, 0, 0],
    legend: { show: false },
    cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
    scales: { y: { range: (_plot, _min, max) => [0, Math.max(1000, max * 1.1)] } },
    axes: [
      {
        ...axis,
        space: 80,
        size: 28,
        values: (_plot, ticks) => ticks.map((tick) => new Date(tick * 1000).toLocaleTimeString('en-GB')),
      },
      { ...axis, size: 84, values: (_plot, ticks) => ticks.map((tick) => (tick === 0 ? '0' : rate(tick))) },
    ],
    series: [{}, line('In', 'in'), line('Out', 'out')],
  };
}
