import { z } from 'zod';
import { compile } from '../../test/lab/lib/compile.js';
import type { Host } from '../../test/lab/lib/host.js';
import type { Lab } from '../../test/lab/lib/lab.js';
import type { Link } from '../../test/lab/lib/link.js';
import { during, poll } from '../../test/lab/lib/poll.js';
import type { Child } from '../../test/lab/lib/process.js';
import { Edge, sluice } from '../../test/lab/parts/sluice.js';
import type { Code } from './codes.js';
import { intervalMs, type Outcome, PERIOD, playoutMs, type Trial, type Way } from './outcome.js';

const INPUT = { group: '239.20.1.1', port: 5000, source: '10.20.1.2', edge: '10.20.1.1', device: 'source0' } as const;
const OUTPUT = { address: '239.20.2.1', port: 5000 } as const;
const EDGE_ADDRESS = '10.20.4.1';
const RECEIVER_ADDRESS = '10.20.4.2';
const TOWARDS_RECEIVER = 'access0';
/** Bytes of RTP packets: of media, of parity with its header of 16 bytes, of a retransmission with the number before it. */
const BYTES = { media: 12 + 1_316, parity: 12 + 16 + 1_316, resend: 12 + 2 + 1_316 } as const;
/** Without loss before and after what counts: all begins and ends in order. */
const QUIET_MS = 1_500;

const summary = z.object({ type: z.literal('summary'), packets: z.number(), missing: z.number(), rtpLost: z.number() });
const interval = z.object({ type: z.literal('interval') });

/** Packets that the edge has sent so far. */
interface Sent {
  readonly media: number;
  readonly parity: number;
  readonly resends: number;
}

function sum(metrics: string, pattern: RegExp): number {
  return [...metrics.matchAll(pattern)].reduce((all, [, value]) => all + Number(value), 0);
}

interface Stage {
  readonly source: Host;
  readonly edge: Host;
  readonly receiver: Host;
  /** From the edge to the receiver. */
  readonly link: Link;
  /** The program of the source. */
  readonly tsgen: string;
}

/** The daemon, `sluice receive`, and between them a line of this round trip that loses. */
export class RealLink implements Trial {
  readonly #stage: Stage;

  private constructor(stage: Stage) {
    this.#stage = stage;
  }

  /** @param roundTrip milliseconds, of every way that it is asked to run */
  static async create(lab: Lab, roundTrip: number): Promise<RealLink> {
    const [source, edge, receiver] = [await lab.host('source'), await lab.host('edge'), await lab.host('receiver')];
    await lab.link(
      [source, { name: 'edge0', addresses: [`${INPUT.source}/24`] }],
      [edge, { name: INPUT.device, addresses: [`${INPUT.edge}/24`] }],
    );
    const link = await lab.link(
      [edge, { name: TOWARDS_RECEIVER, addresses: [`${EDGE_ADDRESS}/24`] }],
      [receiver, { name: 'eth0', addresses: [`${RECEIVER_ADDRESS}/24`] }],
      { line: { delayMs: roundTrip / 2 } },
    );
    const tsgen = await compile('bench-tsgen', ['bench/main-job/tsgen.cc'], { headers: ['bench/lib'] });
    return new RealLink({ source, edge, receiver, link, tsgen });
  }

  async run(way: Way, code: Code | null, resends: boolean, like = code): Promise<Outcome> {
    const { source, tsgen, link } = this.#stage;
    const from = [INPUT.group, INPUT.port, INPUT.source, way.megabits].map(String);
    const media = await source.spawn('tsgen', [tsgen, ...from]);
    const edge = await this.#start(code, resends);
    try {
      await edge.ready(30_000);
      const playout = Math.ceil(playoutMs(way, like));
      const receiver = await this.#receive(resends, playout);
      await during(QUIET_MS);
      const before = await this.#sent(edge);
      await this.#lose(way);
      await during(way.packets * intervalMs(way));
      const lost = await link.b.lost();
      await this.#heal();
      const after = await this.#sent(edge);
      await during(QUIET_MS);
      await receiver.stop('SIGINT', 10_000);
      return outcome(receiver, lost, before, after);
    } finally {
      await edge.child.stop();
      await media.stop();
    }
  }

  #start(code: Code | null, resends: boolean): Promise<Edge> {
    const multicast = {
      ...OUTPUT,
      interface: TOWARDS_RECEIVER,
      ...code?.settings,
      ...(resends ? { retransmission: { address: EDGE_ADDRESS, allow: [`${RECEIVER_ADDRESS}/32`] } } : {}),
    };
    const url = `rtp://${INPUT.group}:${INPUT.port}?iface=${INPUT.device}`;
    const buffer = { memory: '32MiB', delay: '300ms' };
    return Edge.start(this.#stage.edge, [{ id: 'bench', renditions: [{ id: 'main', url, buffer, multicast }] }]);
  }

  /** Resolves when packets come. */
  async #receive(resends: boolean, playout: number): Promise<Child> {
    const url = `rtp://${EDGE_ADDRESS}@${OUTPUT.address}:${OUTPUT.port}?iface=eth0`;
    const means = resends ? ['--retransmission', `${EDGE_ADDRESS}:${OUTPUT.port + 8}`] : ['--repair'];
    const command = sluice('receive', url, ...means, '--playout', `${playout}ms`, '--json');
    const child = await this.#stage.receiver.spawn('receive', command);
    const comes = (): boolean => {
      if (!child.running) throw new Error(`sluice receive ended: ${child.tail()}`);
      return child.lines().some((line) => interval.safeParse(JSON.parse(line)).success);
    };
    await poll(comes, 15_000, () => `sluice receive to have packets: ${child.tail()}`);
    return child;
  }

  /** Media, parity and resends are lost at one end, requests at the other; beside bursts of media at random at the same share. */
  async #lose({ loss }: Way): Promise<void> {
    const { a, b } = this.#stage.link;
    const everything = 'meta l4proto udp';
    const share = 'random' in loss ? loss.random : loss.burst / PERIOD;
    await a.lose(share, everything);
    if ('random' in loss) return b.lose(share, everything);
    await b.loseBurstsAndElse(loss.burst, PERIOD, `udp dport ${OUTPUT.port}`, share);
  }

  async #heal(): Promise<void> {
    await this.#stage.link.a.heal();
    await this.#stage.link.b.heal();
  }

  async #sent(edge: Edge): Promise<Sent> {
    const { body } = await edge.host.get('http://127.0.0.1:9480/metrics');
    return {
      media: sum(body, /^sluice_stream_packets_total\{[^}]*direction="out"[^}]*\} (\d+)/gm),
      parity: sum(body, /^sluice_repair_packets_total\{[^}]*kind="(?:column|row|block)"[^}]*\} (\d+)/gm),
      resends: sum(body, /^sluice_repair_packets_total\{[^}]*kind="retransmission"[^}]*\} (\d+)/gm),
    };
  }
}

function outcome(receiver: Child, lostOnLink: number, before: Sent, after: Sent): Outcome {
  const last = receiver.lines().at(-1) ?? '';
  const { rtpLost, missing } = summary.parse(JSON.parse(last));
  if (lostOnLink === 0 || missing === 0) throw new Error(`the link lost ${lostOnLink}, and ${missing} were missing`);
  const media = (after.media - before.media) * BYTES.media;
  const percent = (packets: number, bytes: number): number => (100 * packets * bytes) / media;
  return {
    lost: rtpLost,
    parity: percent(after.parity - before.parity, BYTES.parity),
    resends: percent(after.resends - before.resends, BYTES.resend),
  };
}
