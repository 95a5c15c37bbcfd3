import type { Contender, Group, Sample } from '../lib/bench.js';
import { capacityOf, LEAST_CAPACITY } from '../lib/flows/measure.js';
import { COUNTED_PORT, HEARD_EVERY, receivers, sampled, targetFile } from '../lib/flows/topology.js';
import { generate, type Heard, heardBy, listen, type Phase, sentBy } from '../lib/flows/traffic.js';
import type { Topology } from '../lib/topology.js';
import { bare, KINDS, type Relay, type Relaying } from '../voice/programs.js';

export const FLOWS = 100;
export const BYTES = 172;

/** What all cases measure against: found once, when it is first asked for. */
export class Reference {
  readonly #topology: Topology;
  readonly #quick: boolean;
  readonly #direct = new Map<number, Promise<Heard>>();
  readonly #capacity = new Map<Relaying['kind'], Promise<number>>();

  constructor(topology: Topology, quick: boolean) {
    this.#topology = topology;
    this.#quick = quick;
  }

  /** Packets a second that the bare relay carries. */
  capacity(kind: Relaying['kind']): Promise<number> {
    const found = this.#capacity.get(kind) ?? this.#find(kind);
    this.#capacity.set(kind, found);
    return found;
  }

  /** The delay of the same path at the same rate, where the kernel forwards and nobody relays. */
  direct(rate: number): Promise<Heard> {
    const found = this.#direct.get(rate) ?? this.#pass(rate);
    this.#direct.set(rate, found);
    return found;
  }

  async #find(kind: Relaying['kind']): Promise<number> {
    const { child, targets } = await bare.start(this.#topology, { receivers: receivers(FLOWS, COUNTED_PORT), kind });
    try {
      const load = { targets, bytes: BYTES, burst: 1, copies: 1 };
      const seconds = this.#quick ? 0.3 : 1;
      return Math.max(LEAST_CAPACITY, await capacityOf(this.#topology, load, 150_000, seconds));
    } finally {
      await child.stop();
    }
  }

  async #pass(rate: number): Promise<Heard> {
    const targets = targetFile(this.#topology.lab, 'direct', sampled(FLOWS));
    return (await delays(this.#topology, targets, windows(rate, this.#quick))).measured;
  }
}

/** One phase to settle, one that counts. */
function windows(rate: number, quick: boolean): Phase[] {
  return [
    { rate, seconds: 0.5 },
    { rate, seconds: quick ? 1 : 5 },
  ];
}

async function delays(
  topology: Topology,
  targets: string,
  phases: readonly Phase[],
): Promise<{ measured: Heard; share: number }> {
  const sink = await listen(topology, FLOWS);
  const generator = await generate(topology, { targets, bytes: BYTES, burst: 1, phases });
  const sent = await sentBy(generator);
  const measured = (await heardBy(sink)).get(1);
  if (measured === undefined) throw new Error('nothing came through');
  return { measured, share: (measured.packets * HEARD_EVERY) / (sent[1]?.sent ?? 1) };
}

function contender(
  topology: Topology,
  reference: Reference,
  relay: Relay,
  kind: Relaying['kind'],
  part: number,
  quick: boolean,
): Contender {
  const measure = async (): Promise<Sample> => {
    const rate = part * (await reference.capacity(kind));
    const direct = await reference.direct(rate);
    const { child, targets } = await relay.start(topology, { receivers: sampled(FLOWS), kind });
    try {
      const { measured, share } = await delays(topology, targets, windows(rate, quick));
      const notes = share < 0.999 ? [`delivered ${(share * 100).toFixed(2)} % of the load in a run`] : [];
      return { figures: { p50: measured.p50 - direct.p50, p99: measured.p99 - direct.p50 }, notes };
    } finally {
      await child.stop();
    }
  };
  return { name: relay.name, measure };
}

/** The delay that relays add at a part of the bare relay's capacity. */
export function delayGroup(
  topology: Topology,
  reference: Reference,
  [ours, limit, ...peers]: readonly [Relay, Relay, ...Relay[]],
  kind: Relaying['kind'],
  part: number,
  quick: boolean,
): Group {
  const of = (relay: Relay): Contender => contender(topology, reference, relay, kind, part, quick);
  const name = `${part * 100} % of capacity, ${KINDS[kind]}`;
  return {
    figures: [
      { case: `${name}, added delay p50`, unit: 'us', better: 'less', key: 'p50' },
      { case: `${name}, added delay p99`, unit: 'us', better: 'less', key: 'p99' },
    ],
    ours: of(ours),
    limit: of(limit),
    peers: peers.map(of),
    notes: [
      `${FLOWS} flows of ${BYTES} bytes; from the sender's call to the arrival at the receiver, less the median of the same path without a relay`,
    ],
  };
}
