import { must } from '../../test/lab/lib/process.js';
import type { Bench, BenchLine, Contender, Group, Sample } from '../lib/bench.js';
import { shorten } from '../lib/interleave.js';
import { repairProgram } from '../lib/repair.js';
import { CODES, type Code, type Kind } from './codes.js';

/** One link, and how many packets go over it. */
interface Link {
  /** `random 5 %`. */
  readonly name: string;
  /** As repair-model takes it. */
  readonly loss: string;
  /** Milliseconds. */
  readonly roundTrip: number;
  readonly packets: number;
}

/** What repair-model tells. */
interface Outcome {
  readonly lost: number;
  /** Percent of the media's bytes. */
  readonly parity: number;
  readonly resends: number;
}

/** Between packets of 1,316 bytes at 8 Mbit/s. */
const INTERVAL_MS = 1.316;
const SEED = 1;
const OVERHEAD = ', overhead';
const BOTH = 'block code and retransmission';

/** The model, and which dimensions do best by themselves on each link. */
class Models {
  readonly #program: string;
  readonly #best = new Map<string, Promise<Code>>();

  constructor(program: string) {
    this.#program = program;
  }

  /** Waits a block of `code` and four round trips before it gives up; without `code`, as long as with one of `like`. */
  async run(link: Link, code: Code | null, resends: boolean, like = code): Promise<Outcome> {
    const playout = Math.ceil(((like?.span ?? 0) * INTERVAL_MS + 4 * link.roundTrip) * 1000);
    const means = [code?.text ?? 'none', link.loss, link.roundTrip, playout, resends ? 'resends' : 'silent'];
    const command = [this.#program, ...[...means, link.packets, SEED].map(String)];
    return JSON.parse((await must(command, { timeoutMs: 600_000 })).stdout) as Outcome;
  }

  /** The code of this kind that loses least without retransmission, the shortest of several. */
  best(link: Link, kind: Kind): Promise<Code> {
    const key = `${kind}, ${link.name}`;
    const known = this.#best.get(key) ?? this.#search(link, kind);
    this.#best.set(key, known);
    return known;
  }

  async #search(link: Link, kind: Kind): Promise<Code> {
    const lost: number[] = [];
    for (const code of CODES[kind]) lost.push((await this.run(link, code, false)).lost);
    const found = CODES[kind][lost.indexOf(Math.min(...lost))];
    if (found === undefined) throw new Error(`no dimensions of ${kind}`);
    return found;
  }
}

const sample = ({ lost, parity, resends }: Outcome, ...notes: string[]): Sample => ({
  figures: { lost, overhead: parity + resends },
  notes,
});

function coded(models: Models, link: Link, kind: Kind, resends: boolean): Contender {
  return {
    name: resends ? `${kind} and retransmission` : `${kind} alone`,
    async measure() {
      const code = await models.best(link, kind);
      return sample(await models.run(link, code, resends), ...(resends ? [] : [code.says]));
    },
  };
}

/** With as much time as the block code has. */
function retransmission(models: Models, link: Link): Contender {
  return {
    name: 'retransmission alone',
    async measure() {
      const code = await models.best(link, 'block code');
      return sample(await models.run(link, null, true, code));
    },
  };
}

function group(models: Models, link: Link): Group {
  const name = `${link.name}, ${link.roundTrip} ms`;
  return {
    figures: [
      { case: name, unit: `lost of ${link.packets}`, better: 'less', key: 'lost' },
      { case: `${name}${OVERHEAD}`, unit: '% of bytes', better: 'less', key: 'overhead' },
    ],
    ours: coded(models, link, 'block code', true),
    limit: null,
    peers: [
      coded(models, link, 'ST 2022-1', true),
      retransmission(models, link),
      coded(models, link, 'block code', false),
      coded(models, link, 'ST 2022-1', false),
    ],
    notes: [],
  };
}

/** One row for each link, one column for each means: packets lost, and bytes besides the media's. */
function page(lines: readonly BenchLine[]): string {
  const rows = lines.filter((line) => !line.case.endsWith(OVERHEAD));
  const links = [...new Set(rows.map((line) => line.case))];
  const means = [...new Set(rows.map((line) => line.peer_name ?? ''))];
  const cell = (link: string, of: (line: BenchLine) => number | null, name: string): string => {
    const figure = (text: string): string => {
      const line = lines.find((one) => one.case === text && one.peer_name === name);
      return shorten(line === undefined ? null : of(line));
    };
    return `${figure(link)} (${figure(`${link}${OVERHEAD}`)} %)`;
  };
  const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  const heads = ['link', BOTH, ...means];
  return [
    row(heads),
    row(heads.map(() => '---')),
    ...links.map((link) =>
      row([link, cell(link, (l) => l.ours, means[0] ?? ''), ...means.map((name) => cell(link, (l) => l.peer, name))]),
    ),
  ].join('\n');
}

/** What is lost in spite of parity, of retransmission, and of both, on a clock of its own. */
export const repair: Bench = {
  name: 'repair',
  summary: 'packets lost in spite of FEC, retransmission and both, at random loss and bursts, on a fake clock',
  rounds: 1,
  page,
  async prepare(_lab, { quick }) {
    const models = new Models(await repairProgram('bench/repair/repair-model.cc'));
    const losses = [
      ...[0.1, 1, 5, 10].map((percent) => ({ name: `random ${percent} %`, loss: `random:${percent / 100}` })),
      ...[5, 20, 100].map((burst) => ({ name: `bursts of ${burst}`, loss: `burst:${burst}` })),
    ];
    const packets = quick ? 20_000 : 1_000_000;
    return losses.flatMap((one) => [5, 50].map((roundTrip) => group(models, { ...one, roundTrip, packets })));
  },
};
