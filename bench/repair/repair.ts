import { must } from '../../test/lab/lib/process.js';
import type { Bench, BenchLine, Contender, Group, Sample } from '../lib/bench.js';
import { shorten } from '../lib/interleave.js';
import { repairProgram } from '../lib/repair.js';
import { CODES, type Code, type Kind } from './codes.js';
import { type Outcome, playoutMs, type Trial, type Way } from './outcome.js';
import { RealLink } from './real-link.js';

const SEED = 1;
const OVERHEAD = ', overhead';
const BOTH = 'block code and retransmission';

/** Everything on a fake clock. */
class Model implements Trial {
  readonly #program: string;

  constructor(program: string) {
    this.#program = program;
  }

  async run(way: Way, code: Code | null, resends: boolean, like = code): Promise<Outcome> {
    const { loss, megabits, roundTrip, packets } = way;
    const playout = Math.ceil(playoutMs(way, like) * 1000);
    const lossy = 'random' in loss ? `random:${loss.random}` : `burst:${loss.burst}`;
    const means = [code?.text ?? 'none', lossy, megabits, roundTrip, playout, resends ? 'resends' : 'silent'];
    const command = [this.#program, ...[...means, packets, SEED].map(String)];
    return JSON.parse((await must(command, { timeoutMs: 600_000 })).stdout) as Outcome;
  }
}

/** Which dimensions do best by themselves on each link, by the model. */
class Choice {
  readonly #model: Model;
  readonly #packets: number;
  readonly #best = new Map<string, Promise<Code>>();

  constructor(model: Model, packets: number) {
    this.#model = model;
    this.#packets = packets;
  }

  /** The code of this kind that loses least without retransmission, the shortest of several; at any rate and round trip. */
  best(way: Way, kind: Kind): Promise<Code> {
    const key = `${kind}, ${way.name}`;
    const known =
      this.#best.get(key) ?? this.#search({ ...way, megabits: MODELLED_RATE, packets: this.#packets }, kind);
    this.#best.set(key, known);
    return known;
  }

  async #search(way: Way, kind: Kind): Promise<Code> {
    const lost: number[] = [];
    for (const code of CODES[kind]) lost.push((await this.#model.run(way, code, false)).lost);
    const found = CODES[kind][lost.indexOf(Math.min(...lost))];
    if (found === undefined) throw new Error(`no dimensions of ${kind}`);
    return found;
  }
}

const sample = ({ lost, parity, resends }: Outcome, ...notes: string[]): Sample => ({
  figures: { lost, overhead: parity + resends },
  notes,
});

/** What runs a stream over links, and with which codes. */
interface Means {
  readonly trial: Trial;
  readonly choice: Choice;
}

function coded({ trial, choice }: Means, way: Way, kind: Kind, resends: boolean): Contender {
  return {
    name: resends ? `${kind} and retransmission` : `${kind} alone`,
    async measure() {
      const code = await choice.best(way, kind);
      return sample(await trial.run(way, code, resends), ...(resends ? [] : [code.says]));
    },
  };
}

/** With as much time as the block code has. */
function retransmission({ trial, choice }: Means, way: Way): Contender {
  return {
    name: 'retransmission alone',
    async measure() {
      return sample(await trial.run(way, null, true, await choice.best(way, 'block code')));
    },
  };
}

function group(means: Means, way: Way, where = ''): Group {
  const name = `${where}${way.name}, ${way.roundTrip} ms`;
  return {
    figures: [
      { case: name, unit: `lost of ${way.packets}`, better: 'less', key: 'lost' },
      { case: `${name}${OVERHEAD}`, unit: '% of bytes', better: 'less', key: 'overhead' },
    ],
    ours: coded(means, way, 'block code', true),
    limit: null,
    peers: [
      coded(means, way, 'ST 2022-1', true),
      retransmission(means, way),
      coded(means, way, 'block code', false),
      coded(means, way, 'ST 2022-1', false),
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

const random = (percent: number): Pick<Way, 'name' | 'loss'> => ({
  name: `random ${percent} %`,
  loss: { random: percent / 100 },
});
const bursts = (burst: number): Pick<Way, 'name' | 'loss'> => ({ name: `bursts of ${burst}`, loss: { burst } });

const MODELLED = [...[0.1, 1, 5, 10].map(random), ...[5, 20, 100].map(bursts)];
const MODELLED_RATE = 8;
/** Once more on a real link: as much in a sixth of the time, and beside it what the model says of that. */
const REAL = [random(1), random(5), bursts(20)];
const REAL_RATE = 50;
const REAL_ROUND_TRIP = 5;

/** What is lost in spite of parity, of retransmission, and of both: on a clock of its own, and some of it on a real link. */
export const repair: Bench = {
  name: 'repair',
  summary:
    'packets lost in spite of FEC, retransmission and both, at random loss and bursts, on a fake clock and a real link',
  rounds: 1,
  page,
  async prepare(lab, { quick }) {
    const model = new Model(await repairProgram('bench/repair/repair-model.cc'));
    const packets = quick ? 20_000 : 1_000_000;
    const choice = new Choice(model, packets);
    const modelled = { trial: model, choice };
    const link = { trial: await RealLink.create(lab, REAL_ROUND_TRIP), choice };
    const over = { megabits: REAL_RATE, roundTrip: REAL_ROUND_TRIP, packets: quick ? 10_000 : 100_000 };
    return [
      ...MODELLED.flatMap((one) =>
        [5, 50].map((roundTrip) => group(modelled, { ...one, megabits: MODELLED_RATE, roundTrip, packets })),
      ),
      ...REAL.flatMap((one) => [
        group(modelled, { ...one, ...over }, `${REAL_RATE} Mbit/s, model: `),
        group(link, { ...one, ...over }, `${REAL_RATE} Mbit/s, real link: `),
      ]),
    ];
  },
};
